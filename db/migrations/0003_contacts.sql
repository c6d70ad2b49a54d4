-- Contacts, custom fields, submissions, imports.

CREATE TABLE contacts (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  -- Normalised (domain/contacts/email.ts): trimmed, NFC, lower case, domain in ASCII.
  email text NOT NULL CHECK (length(email) <= 320),
  email_domain text NOT NULL GENERATED ALWAYS AS (split_part(email, '@', -1)) STORED,
  -- HMAC-SHA-256 under the suppression key: joins suppressions without an address, survives erasure there.
  email_hash bytea NOT NULL,
  status text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'UNSUBSCRIBED', 'BOUNCED', 'COMPLAINED')),
  first_name text NOT NULL DEFAULT '',
  last_name text NOT NULL DEFAULT '',
  locale text,
  time_zone text,
  tags text[] NOT NULL DEFAULT '{}',
  fields jsonb NOT NULL DEFAULT '{}' CHECK (octet_length(fields::text) <= 32768),
  -- Raised by every change of the profile: If-Match, and "is what was rendered still right?" at the claim.
  version integer NOT NULL DEFAULT 1,
  erased_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, email)
);
CREATE INDEX contacts_email_prefix ON contacts (workspace_id, email text_pattern_ops);
CREATE INDEX contacts_name_prefix ON contacts (workspace_id, lower(last_name) text_pattern_ops);
CREATE INDEX contacts_email_hash ON contacts (workspace_id, email_hash);

CREATE TABLE contact_field_definitions (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  name text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  label text NOT NULL,
  type text NOT NULL CHECK (type IN ('text', 'number', 'boolean', 'date', 'datetime', 'enum', 'url', 'list')),
  required boolean NOT NULL DEFAULT false,
  default_value jsonb,
  enum_values text[],
  archived_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, name)
);

-- Append-only: every change of a profile, whatever its origin; the profile can be rebuilt from them.
CREATE TABLE submissions (
  workspace_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  contact_id uuid NOT NULL,
  origin text NOT NULL CHECK (origin IN ('API', 'IMPORT', 'SIGN_UP', 'SYSTEM')),
  -- What the change came from: import job and row, sign-up request, API request.
  origin_id uuid,
  origin_row integer,
  -- The submitted values only: {email?, first_name?, …, fields?: {…}}; null removes.
  payload jsonb NOT NULL,
  actor_id uuid,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id)
);
CREATE INDEX submissions_contact ON submissions (workspace_id, contact_id, id);

CREATE TABLE import_rejections (
  workspace_id uuid NOT NULL,
  job_id uuid NOT NULL,
  row_number integer NOT NULL,
  code text NOT NULL,
  column_name text,
  message text NOT NULL,
  cells jsonb NOT NULL,
  PRIMARY KEY (workspace_id, job_id, row_number),
  FOREIGN KEY (workspace_id, job_id) REFERENCES jobs (workspace_id, id) ON DELETE CASCADE
);
