-- Workspaces, people, keys, audit, alerts, idempotency, jobs and uploads.

CREATE TABLE workspaces (
  id uuid PRIMARY KEY DEFAULT sally_uuid_v7(),
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  time_zone text NOT NULL DEFAULT 'UTC',
  default_locale text NOT NULL DEFAULT 'en',
  -- The domain of Message-ID and List-Id; fixed, so that a resend has the same Message-ID.
  message_domain text NOT NULL DEFAULT 'localhost',
  from_name text NOT NULL DEFAULT '',
  from_email text,
  postal_address text NOT NULL DEFAULT '',
  approval_mode text NOT NULL DEFAULT 'FOUR_EYES' CHECK (approval_mode IN ('FOUR_EYES', 'SELF', 'OFF')),
  opt_in_reminder_after interval NOT NULL DEFAULT '2 days',
  opt_in_expires_after interval NOT NULL DEFAULT '7 days',
  template_context jsonb NOT NULL DEFAULT '{}',
  test_recipients text[] NOT NULL DEFAULT '{}',
  settings jsonb NOT NULL DEFAULT '{}',
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  updated_at timestamptz NOT NULL DEFAULT sally_now()
);

-- A person who works with Sally; may be a member of several workspaces.
CREATE TABLE users (
  id uuid PRIMARY KEY DEFAULT sally_uuid_v7(),
  email text NOT NULL UNIQUE,
  name text NOT NULL,
  password_hash text NOT NULL,
  -- Raised when the password changes: every older session ends.
  session_epoch integer NOT NULL DEFAULT 1,
  disabled_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT sally_now()
);

CREATE TABLE memberships (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  user_id uuid NOT NULL REFERENCES users (id),
  role text NOT NULL CHECK (role IN ('owner', 'marketer', 'approver', 'operator', 'viewer')),
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, user_id)
);
CREATE INDEX memberships_user ON memberships (user_id);

CREATE TABLE invitations (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  email text NOT NULL,
  role text NOT NULL CHECK (role IN ('owner', 'marketer', 'approver', 'operator', 'viewer')),
  token_hash bytea NOT NULL UNIQUE,
  invited_by uuid NOT NULL,
  expires_at timestamptz NOT NULL,
  accepted_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id)
);

CREATE TABLE api_keys (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  user_id uuid NOT NULL,
  name text NOT NULL,
  -- SHA-256 of a 256-bit random key: no salt needed, looked up by equality.
  key_hash bytea NOT NULL UNIQUE,
  key_hint text NOT NULL,
  scopes text[] NOT NULL,
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id),
  FOREIGN KEY (workspace_id, user_id) REFERENCES memberships (workspace_id, user_id) ON DELETE CASCADE
);

-- Append-only; written in the transaction of the change it records.
CREATE TABLE audit_log (
  workspace_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  at timestamptz NOT NULL DEFAULT sally_now(),
  actor_type text NOT NULL CHECK (actor_type IN ('user', 'api_key', 'public', 'system')),
  actor_id uuid,
  api_key_id uuid,
  action text NOT NULL,
  entity_type text NOT NULL,
  entity_id uuid,
  old_values jsonb,
  new_values jsonb,
  request_id text,
  PRIMARY KEY (workspace_id, id)
);
CREATE INDEX audit_log_entity ON audit_log (workspace_id, entity_type, entity_id, id DESC);

-- One open row per cause.
CREATE TABLE alerts (
  workspace_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  kind text NOT NULL,
  cause text NOT NULL,
  severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
  message text NOT NULL,
  details jsonb NOT NULL DEFAULT '{}',
  occurrences integer NOT NULL DEFAULT 1,
  opened_at timestamptz NOT NULL DEFAULT sally_now(),
  last_seen_at timestamptz NOT NULL DEFAULT sally_now(),
  acknowledged_at timestamptz,
  acknowledged_by uuid,
  resolved_at timestamptz,
  PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX alerts_open ON alerts (workspace_id, kind, cause) WHERE resolved_at IS NULL;

-- Opens an alert, or counts another occurrence of the open one.
CREATE FUNCTION sally_raise_alert(workspace uuid, alert_kind text, alert_cause text, alert_severity text, alert_message text, alert_details jsonb)
  RETURNS uuid LANGUAGE sql VOLATILE
  AS $$
    INSERT INTO alerts (workspace_id, kind, cause, severity, message, details)
    VALUES (workspace, alert_kind, alert_cause, alert_severity, alert_message, alert_details)
    ON CONFLICT (workspace_id, kind, cause) WHERE resolved_at IS NULL
    DO UPDATE SET occurrences = alerts.occurrences + 1, last_seen_at = sally_now(), severity = excluded.severity,
      message = excluded.message, details = excluded.details
    RETURNING id
  $$;

CREATE TABLE idempotency_keys (
  workspace_id uuid NOT NULL,
  operation text NOT NULL,
  key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
  -- SHA-256 over the canonical request: the same key with another request is refused.
  request_hash bytea NOT NULL,
  source_id uuid,
  response_status smallint NOT NULL,
  response_body jsonb,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, operation, key)
);

-- Fixed-window counters of public endpoints; buckets are keyed hashes, never addresses.
CREATE TABLE rate_limit_counters (
  bucket text NOT NULL,
  window_start timestamptz NOT NULL,
  hits integer NOT NULL,
  PRIMARY KEY (bucket, window_start)
);
CREATE INDEX rate_limit_counters_age ON rate_limit_counters (window_start);

-- API and workers share no disk: uploads live here, in chunks.
CREATE TABLE uploads (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  filename text NOT NULL,
  content_type text NOT NULL,
  size_bytes bigint NOT NULL DEFAULT 0,
  sha256 text,
  completed_at timestamptz,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id)
);
CREATE TABLE upload_chunks (
  workspace_id uuid NOT NULL,
  upload_id uuid NOT NULL,
  position integer NOT NULL,
  data bytea NOT NULL,
  PRIMARY KEY (workspace_id, upload_id, position),
  FOREIGN KEY (workspace_id, upload_id) REFERENCES uploads (workspace_id, id) ON DELETE CASCADE
);

-- Long-running work that is no campaign: one row, one workflow `job/{id}`.
CREATE TABLE jobs (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  kind text NOT NULL CHECK (kind IN ('importContacts', 'checkProvider')),
  status text NOT NULL DEFAULT 'QUEUED' CHECK (status IN ('QUEUED', 'RUNNING', 'DONE', 'FAILED', 'CANCELLED')),
  input jsonb NOT NULL,
  -- Where the job goes on after a kill; written in the transaction of the step it describes.
  cursor jsonb NOT NULL DEFAULT '{}',
  progress jsonb NOT NULL DEFAULT '{}',
  result jsonb,
  error jsonb,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  started_at timestamptz,
  finished_at timestamptz,
  PRIMARY KEY (workspace_id, id)
);
CREATE INDEX jobs_open ON jobs (created_at) WHERE status IN ('QUEUED', 'RUNNING');
