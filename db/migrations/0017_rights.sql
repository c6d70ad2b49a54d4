-- Data rights: erasure, exports as files, retention; and content gates.

-- ── Erasure ─────────────────────────────────────────────────────────────────────────────────────────────────────
-- Tables that are append-only for everybody else are changed by sally_eraser alone: a role that nobody can log in as,
-- reached through the functions below (db/provision.ts makes it).
DO $$
DECLARE
  t text;
  columns text;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sally_eraser') THEN
    RAISE EXCEPTION 'the role sally_eraser is missing: provision the roles of this release first (docs/operations.md)';
  END IF;
  FOR t, columns IN
    VALUES ('submissions', 'payload'), ('consent_events', 'ip_address, user_agent'), ('marketing_events', 'payload'),
      ('audit_log', 'old_values, new_values'), ('suppression_removals', 'hint, evidence, suppressed_evidence')
  LOOP
    CONTINUE WHEN to_regclass(t) IS NULL;
    EXECUTE format('CREATE POLICY eraser ON %I TO sally_eraser USING (true) WITH CHECK (true)', t);
    EXECUTE format('GRANT SELECT, UPDATE (%s) ON %I TO sally_eraser', columns, t);
  END LOOP;
END $$;

-- Empties what contacts left in tables that are append-only: values go, rows and their counts stay. Returns how many
-- rows of each table changed.
CREATE FUNCTION sally_erase_history(workspace uuid, contacts uuid[], hashes bytea[]) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
  AS $$
  DECLARE
    n_submissions bigint; n_consent_events bigint; n_events bigint; n_removals bigint;
  BEGIN
    UPDATE submissions SET payload = '{}' WHERE workspace_id = workspace AND contact_id = ANY (contacts) AND payload <> '{}';
    GET DIAGNOSTICS n_submissions = ROW_COUNT;
    UPDATE consent_events SET ip_address = NULL, user_agent = NULL
      WHERE workspace_id = workspace AND contact_id = ANY (contacts) AND num_nonnulls(ip_address, user_agent) > 0;
    GET DIAGNOSTICS n_consent_events = ROW_COUNT;
    UPDATE marketing_events SET payload = '{}' WHERE workspace_id = workspace AND contact_id = ANY (contacts) AND payload <> '{}';
    GET DIAGNOSTICS n_events = ROW_COUNT;
    UPDATE suppression_removals SET hint = '(erased)', evidence = '', suppressed_evidence = '{}'
      WHERE workspace_id = workspace AND address_hash = ANY (hashes) AND hint <> '(erased)';
    GET DIAGNOSTICS n_removals = ROW_COUNT;
    RETURN jsonb_build_object('submissions', n_submissions, 'consent_events', n_consent_events,
      'marketing_events', n_events, 'suppression_removals', n_removals);
  END $$;

-- Empties old and new values of audit rows that are about one of the contacts, or hold one of the texts (in lower
-- case); looks at `slice` rows behind `after`. who, what and when stay. `last` NULL: there was nothing more to look at.
CREATE FUNCTION sally_erase_audit(workspace uuid, contacts uuid[], texts text[], after uuid, slice integer,
    OUT last uuid, OUT erased bigint)
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
  AS $$
    WITH looked AS MATERIALIZED (
      SELECT a.id, a.entity_id, a.action, lower(concat(a.old_values, ' ', a.new_values)) AS content FROM audit_log a
      WHERE a.workspace_id = workspace AND a.id > after ORDER BY a.id LIMIT slice),
    changed AS (
      UPDATE audit_log a SET old_values = CASE WHEN a.old_values IS NULL THEN NULL ELSE '{"erased": true}'::jsonb END,
        new_values = CASE WHEN a.new_values IS NULL THEN NULL ELSE '{"erased": true}'::jsonb END
      FROM looked l
      -- The erasure's own rows hold ids and counts only, and what is empty already is not counted again.
      WHERE a.workspace_id = workspace AND a.id = l.id AND l.action NOT IN ('contact.erase', 'contact.erased')
        AND '{"erased": true}' IS DISTINCT FROM coalesce(a.new_values, a.old_values)
        AND (l.entity_id = ANY (contacts) OR EXISTS (SELECT FROM unnest(texts) AS t (text) WHERE position(t.text IN l.content) > 0))
      RETURNING 1)
    SELECT (SELECT id FROM looked ORDER BY id DESC LIMIT 1), (SELECT count(*) FROM changed)
  $$;

-- A function's new owner needs CREATE on the schema, but only for this moment.
GRANT CREATE ON SCHEMA public TO sally_eraser;
REVOKE ALL ON FUNCTION sally_erase_history(uuid, uuid[], bytea[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION sally_erase_audit(uuid, uuid[], text[], uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sally_erase_history(uuid, uuid[], bytea[]) TO sally_worker;
GRANT EXECUTE ON FUNCTION sally_erase_audit(uuid, uuid[], text[], uuid, integer) TO sally_worker;
ALTER FUNCTION sally_erase_history(uuid, uuid[], bytea[]) OWNER TO sally_eraser;
ALTER FUNCTION sally_erase_audit(uuid, uuid[], text[], uuid, integer) OWNER TO sally_eraser;
REVOKE CREATE ON SCHEMA public FROM sally_eraser;

-- Messages to an address that was no contact's, found by its hash. Partial: campaigns' rows do not pay for it.
CREATE INDEX deliveries_address ON deliveries (workspace_id, address_hash) WHERE contact_id IS NULL;
-- The jobs of one kind, newest first.
CREATE INDEX jobs_kind ON jobs (workspace_id, kind, id DESC);

-- ── Exports ─────────────────────────────────────────────────────────────────────────────────────────────────────
-- The file of an export job, written piece by piece in the transaction that moves the job's cursor on.
CREATE TABLE export_chunks (
  workspace_id uuid NOT NULL,
  job_id uuid NOT NULL,
  position integer NOT NULL,
  data bytea NOT NULL,
  PRIMARY KEY (workspace_id, job_id, position),
  FOREIGN KEY (workspace_id, job_id) REFERENCES jobs (workspace_id, id) ON DELETE CASCADE
);
SELECT sally_protect_table('export_chunks');
GRANT SELECT, INSERT, UPDATE, DELETE ON export_chunks TO sally_api, sally_worker;

-- ── Retention ───────────────────────────────────────────────────────────────────────────────────────────────────
-- How many days each kind of data is kept; no row = the default of domain/contacts/retention.ts, days NULL = for ever.
CREATE TABLE retention_periods (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  kind text NOT NULL CHECK (kind ~ '^[a-z][a-z_]{1,40}$'),
  days integer CHECK (days BETWEEN 1 AND 36500),
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, kind)
);
SELECT sally_protect_table('retention_periods');
GRANT SELECT, INSERT, UPDATE, DELETE ON retention_periods TO sally_api, sally_worker;

-- ── Content gates ───────────────────────────────────────────────────────────────────────────────────────────────
-- Protects a resource: who meets the conditions gets a link by mail.
CREATE TABLE gates (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  slug text NOT NULL CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,99}$'),
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  -- {type: 'url', url} | {type: 'json', document} | {type: 'file', filename, contentType, bytes}; a file's bytes are in gate_files.
  resource jsonb NOT NULL,
  match text NOT NULL CHECK (match IN ('all', 'any')),
  -- [{type: 'consent', purposeId} | {type: 'audience', audienceId} | {type: 'fields', names}]; none = everybody.
  conditions jsonb NOT NULL,
  link_seconds integer NOT NULL CHECK (link_seconds BETWEEN 300 AND 7776000),
  max_uses integer NOT NULL CHECK (max_uses BETWEEN 1 AND 1000),
  -- Whose double opt-in a visitor may ask for along with the link.
  opt_in_purpose_id uuid,
  archived_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, slug),
  FOREIGN KEY (workspace_id, opt_in_purpose_id) REFERENCES purposes (workspace_id, id)
);
CREATE TABLE gate_files (
  workspace_id uuid NOT NULL,
  gate_id uuid NOT NULL,
  position integer NOT NULL,
  data bytea NOT NULL,
  PRIMARY KEY (workspace_id, gate_id, position),
  FOREIGN KEY (workspace_id, gate_id) REFERENCES gates (workspace_id, id) ON DELETE CASCADE
);
-- One per request for a link. REFUSED: the conditions were not met, no link was mailed.
CREATE TABLE gate_grants (
  workspace_id uuid NOT NULL,
  -- source_id of its mail in the ledger.
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  gate_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  status text NOT NULL CHECK (status IN ('GRANTED', 'REFUSED', 'REVOKED')),
  -- Each condition and whether it was met when the link was asked for.
  verdicts jsonb NOT NULL,
  -- What the visitor typed; becomes the contact's profile when the mailed link is used, since until then anybody may
  -- have typed it.
  submitted jsonb NOT NULL DEFAULT '{}',
  uses integer NOT NULL DEFAULT 0,
  max_uses integer NOT NULL,
  expires_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  last_used_at timestamptz,
  revoked_at timestamptz,
  revoked_by uuid,
  PRIMARY KEY (workspace_id, id),
  FOREIGN KEY (workspace_id, gate_id) REFERENCES gates (workspace_id, id),
  FOREIGN KEY (workspace_id, contact_id) REFERENCES contacts (workspace_id, id)
);
CREATE INDEX gate_grants_gate ON gate_grants (workspace_id, gate_id, id DESC);
CREATE INDEX gate_grants_contact ON gate_grants (workspace_id, contact_id, gate_id, created_at);
-- Append-only: every use of a link, and every one that was refused.
CREATE TABLE gate_accesses (
  workspace_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  gate_id uuid NOT NULL,
  grant_id uuid NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('GIVEN', 'EXPIRED', 'USED_UP', 'REVOKED', 'CLOSED', 'CONDITIONS')),
  occurred_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id)
);
CREATE INDEX gate_accesses_grant ON gate_accesses (workspace_id, grant_id, id DESC);
SELECT sally_protect_table(t) FROM unnest(ARRAY['gates', 'gate_files', 'gate_grants', 'gate_accesses']) AS t;
GRANT SELECT, INSERT, UPDATE, DELETE ON gates, gate_files, gate_grants TO sally_api, sally_worker;
GRANT SELECT, INSERT ON gate_accesses TO sally_api, sally_worker;
