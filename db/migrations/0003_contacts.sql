-- Contacts, custom fields, submissions, imports.

CREATE TABLE contacts (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  -- Normalised (domain/contacts/email.ts): trimmed, NFC, lower case, domain in ASCII.
  -- Compared by octets, so that the unique index serves prefix search too, whatever the database's locale.
  email text COLLATE "C" NOT NULL CHECK (length(email) <= 320),
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
CREATE INDEX contacts_first_name_prefix ON contacts (workspace_id, lower(first_name) text_pattern_ops);
CREATE INDEX contacts_last_name_prefix ON contacts (workspace_id, lower(last_name) text_pattern_ops);

-- Contacts whose address, first or last name begins with a text (lower case), newest first. Bounds instead of LIKE,
-- so that one plan serves every text; a definer's function, since row-level security keeps operators that are not
-- leakproof from the indexes. chr(1114111) is the last code point: nothing that begins with the text lies behind it.
CREATE FUNCTION sally_search_contacts(uuid, text, text, text, uuid, integer) RETURNS SETOF contacts
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
  AS $$
    WITH found AS MATERIALIZED (
      SELECT c.id FROM contacts c
      WHERE c.workspace_id = $1 AND c.email >= $2 AND c.email < ($2 || chr(1114111))
      UNION
      SELECT c.id FROM contacts c
      WHERE c.workspace_id = $1 AND lower(c.first_name) ~>=~ $2 AND lower(c.first_name) ~<~ ($2 || chr(1114111))
      UNION
      SELECT c.id FROM contacts c
      WHERE c.workspace_id = $1 AND lower(c.last_name) ~>=~ $2 AND lower(c.last_name) ~<~ ($2 || chr(1114111)))
    SELECT c.* FROM (SELECT id FROM found WHERE $5 IS NULL OR id < $5 ORDER BY id DESC) f
    JOIN contacts c ON c.workspace_id = $1 AND c.id = f.id
    -- Beyond the caller's workspace it sees nothing, whatever it is asked.
    WHERE $1 = sally_workspace() AND c.erased_at IS NULL AND ($3 IS NULL OR c.status = $3) AND ($4 IS NULL OR c.tags @> ARRAY[$4])
    ORDER BY c.id DESC LIMIT $6
  $$;

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

-- A dry run writes no contact; what its earlier rows would have written stands here until it ends, so that a later
-- row for the same address is judged as the real run would.
CREATE TABLE import_dry_run_profiles (
  workspace_id uuid NOT NULL,
  job_id uuid NOT NULL,
  email_hash bytea NOT NULL,
  profile jsonb NOT NULL,
  PRIMARY KEY (workspace_id, job_id, email_hash),
  FOREIGN KEY (workspace_id, job_id) REFERENCES jobs (workspace_id, id) ON DELETE CASCADE
);
