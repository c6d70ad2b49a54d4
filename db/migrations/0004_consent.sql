-- Purposes, consent state and proof, double opt-in, categories, suppressions.

CREATE TABLE purposes (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  key text NOT NULL CHECK (key ~ '^[a-z][a-z0-9_-]{0,62}$'),
  name text NOT NULL,
  -- 'marketing' needs consent to send; 'transactional' is allowed unless denied.
  kind text NOT NULL CHECK (kind IN ('marketing', 'transactional')),
  wording text NOT NULL,
  wording_version integer NOT NULL DEFAULT 1,
  archived_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, key)
);

-- Every wording ever shown, for the proof.
CREATE TABLE purpose_wordings (
  workspace_id uuid NOT NULL,
  purpose_id uuid NOT NULL,
  wording_version integer NOT NULL,
  wording text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, purpose_id, wording_version),
  FOREIGN KEY (workspace_id, purpose_id) REFERENCES purposes (workspace_id, id)
);

CREATE TABLE consents (
  workspace_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  channel text NOT NULL DEFAULT 'email',
  purpose_id uuid NOT NULL,
  status text NOT NULL CHECK (status IN ('granted', 'denied', 'pending')),
  granted_at timestamptz,
  revoked_at timestamptz,
  source text NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, contact_id, channel, purpose_id),
  FOREIGN KEY (workspace_id, contact_id) REFERENCES contacts (workspace_id, id),
  FOREIGN KEY (workspace_id, purpose_id) REFERENCES purposes (workspace_id, id)
);
CREATE INDEX consents_purpose ON consents (workspace_id, purpose_id, status, contact_id);

-- Append-only proof.
CREATE TABLE consent_events (
  workspace_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  contact_id uuid NOT NULL,
  channel text NOT NULL DEFAULT 'email',
  purpose_id uuid NOT NULL,
  status text NOT NULL CHECK (status IN ('granted', 'denied', 'pending')),
  source text NOT NULL CHECK (source IN ('sign_up', 'double_opt_in', 'import', 'api', 'unsubscribe', 'manual')),
  wording_version integer,
  locale text,
  ip_address inet,
  user_agent text,
  opt_in_request_id uuid,
  import_job_id uuid,
  import_row integer,
  actor_id uuid,
  occurred_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id)
);
CREATE INDEX consent_events_contact ON consent_events (workspace_id, contact_id, id);

CREATE TABLE opt_in_requests (
  workspace_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  contact_id uuid NOT NULL,
  channel text NOT NULL DEFAULT 'email',
  purpose_id uuid NOT NULL,
  wording_version integer NOT NULL,
  locale text,
  status text NOT NULL DEFAULT 'OPEN' CHECK (status IN ('OPEN', 'CONFIRMED', 'EXPIRED', 'CANCELLED')),
  remind_at timestamptz,
  expires_at timestamptz NOT NULL,
  -- A further sign-up or "send me a new mail" raises it; it is part of the mail's step key.
  mails_requested integer NOT NULL DEFAULT 1,
  -- When each of them was asked for: the API asks for at most 3 per contact in any rolling 24 h.
  mails_requested_at timestamptz[] NOT NULL DEFAULT ARRAY[sally_now()],
  mails_enqueued integer NOT NULL DEFAULT 0,
  reminded_at timestamptz,
  confirmed_at timestamptz,
  -- What the visitor typed; applied by the confirmation, since until then anybody may have typed it.
  profile jsonb NOT NULL DEFAULT '{}',
  -- The contact's address as it was asked about: a link mailed there says nothing about a later address.
  email_hash bytea NOT NULL,
  -- When watchdog last pointed the workflow at it.
  hinted_at timestamptz,
  -- When the workflow has something to do next; watchdog looks for what is overdue.
  due_at timestamptz GENERATED ALWAYS AS (
    CASE WHEN mails_enqueued < mails_requested THEN '-infinity'::timestamptz
         ELSE least(CASE WHEN reminded_at IS NULL THEN remind_at END, expires_at) END) STORED,
  ip_address inet,
  user_agent text,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id),
  FOREIGN KEY (workspace_id, contact_id) REFERENCES contacts (workspace_id, id),
  FOREIGN KEY (workspace_id, purpose_id) REFERENCES purposes (workspace_id, id)
);
CREATE UNIQUE INDEX opt_in_requests_open ON opt_in_requests (workspace_id, contact_id, channel, purpose_id) WHERE status = 'OPEN';
CREATE INDEX opt_in_requests_due ON opt_in_requests (due_at) WHERE status = 'OPEN';

-- One row per opt-in mail begun: at most 3 per address in any rolling 24 h, taken in the claim.
CREATE TABLE opt_in_mails (
  workspace_id uuid NOT NULL,
  address_hash bytea NOT NULL,
  taken_at timestamptz NOT NULL DEFAULT sally_now(),
  source_id uuid NOT NULL,
  delivery_id uuid NOT NULL,
  PRIMARY KEY (workspace_id, address_hash, delivery_id)
);

-- What messages are about (spec 003, "Categories"); a contact may leave one.
CREATE TABLE preference_categories (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  key text NOT NULL CHECK (key ~ '^[a-z][a-z0-9_-]{0,62}$'),
  name text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, key)
);
CREATE TABLE category_preferences (
  workspace_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  category_id uuid NOT NULL,
  subscribed boolean NOT NULL,
  source text NOT NULL CHECK (source IN ('LINK', 'PREFERENCE_CENTER', 'API', 'COMPLAINT', 'BOUNCE')),
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, contact_id, category_id),
  FOREIGN KEY (workspace_id, contact_id) REFERENCES contacts (workspace_id, id),
  FOREIGN KEY (workspace_id, category_id) REFERENCES preference_categories (workspace_id, id)
);

-- Addresses (as keyed hash) and whole domains that get nothing from this workspace.
CREATE TABLE suppressions (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  address_hash bytea,
  domain text,
  -- Shown to operators ("a…@example.com"); never the address.
  hint text NOT NULL,
  reason text NOT NULL CHECK (reason IN ('BOUNCE', 'COMPLAINT', 'MANUAL')),
  source text NOT NULL CHECK (source IN ('API', 'DELIVERY', 'IMPORT')),
  -- HELD: learnt from a sample that tripped a breaker; does not count until an operator releases it.
  state text NOT NULL DEFAULT 'ACTIVE' CHECK (state IN ('ACTIVE', 'HELD')),
  evidence jsonb NOT NULL DEFAULT '{}',
  note text NOT NULL DEFAULT '',
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id),
  CHECK ((address_hash IS NULL) <> (domain IS NULL))
);
CREATE UNIQUE INDEX suppressions_address ON suppressions (workspace_id, address_hash) WHERE address_hash IS NOT NULL;
CREATE UNIQUE INDEX suppressions_domain ON suppressions (workspace_id, domain) WHERE domain IS NOT NULL;

CREATE TABLE audiences (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
  description text NOT NULL DEFAULT '',
  member_count bigint NOT NULL DEFAULT 0,
  archived_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, name)
);
CREATE TABLE audience_members (
  workspace_id uuid NOT NULL,
  audience_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  added_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, audience_id, contact_id),
  FOREIGN KEY (workspace_id, audience_id) REFERENCES audiences (workspace_id, id),
  FOREIGN KEY (workspace_id, contact_id) REFERENCES contacts (workspace_id, id)
);
CREATE INDEX audience_members_contact ON audience_members (workspace_id, contact_id);
