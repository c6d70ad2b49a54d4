-- Row-level security for every tenant table, grants per role, and look-ups before the workspace is known.

-- Protects a table: the API's role sees only the workspace of its transaction; workers and the owner see all
-- (FORCE binds the owner too, hence its policy). Called for new partitions as well.
CREATE FUNCTION sally_protect_table(table_name text) RETURNS void
  LANGUAGE plpgsql
  AS $$
  BEGIN
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', table_name);
    EXECUTE format('CREATE POLICY workspace_only ON %I TO sally_api USING (workspace_id = sally_workspace()) WITH CHECK (workspace_id = sally_workspace())', table_name);
    EXECUTE format('CREATE POLICY all_workspaces ON %I TO sally_worker, sally_owner USING (true) WITH CHECK (true)', table_name);
  END $$;

DO $$
DECLARE
  t text;
  append_only constant text[] := ARRAY['audit_log', 'submissions', 'consent_events', 'approvals', 'engagements',
    'marketing_events', 'late_settlements', 'purpose_wordings', 'template_versions', 'links'];
BEGIN
  FOR t IN
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'workspace_id')
  LOOP
    PERFORM sally_protect_table(t);
    IF t = ANY (append_only) THEN
      EXECUTE format('GRANT SELECT, INSERT ON %I TO sally_api, sally_worker', t);
    ELSE
      EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO sally_api, sally_worker', t);
    END IF;
  END LOOP;
END $$;

ALTER TABLE workspaces ENABLE ROW LEVEL SECURITY;
ALTER TABLE workspaces FORCE ROW LEVEL SECURITY;
CREATE POLICY workspace_only ON workspaces TO sally_api USING (id = sally_workspace()) WITH CHECK (id = sally_workspace());
CREATE POLICY all_workspaces ON workspaces TO sally_worker, sally_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON workspaces TO sally_api, sally_worker;

GRANT SELECT ON test_clock, mail_domains TO sally_api, sally_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON rate_limit_counters TO sally_api, sally_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON delivery_processes TO sally_worker;
-- The API never reads password hashes: people are reached through the functions below.
GRANT SELECT (id, email, name, disabled_at, created_at) ON users TO sally_api;
GRANT SELECT, INSERT, UPDATE ON users TO sally_worker;

-- Made by sally_owner, owned by sally_worker afterwards, so that a look-up can see beyond one workspace but
-- never more than the worker's rights.
CREATE FUNCTION sally_find_api_key(hash bytea)
  RETURNS TABLE (workspace_id uuid, id uuid, user_id uuid, scopes text[], role text, touch boolean)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
  AS $$
    SELECT k.workspace_id, k.id, k.user_id, k.scopes, m.role,
      k.last_used_at IS NULL OR k.last_used_at < sally_now() - interval '10 minutes'
    FROM api_keys k
    JOIN memberships m ON m.workspace_id = k.workspace_id AND m.user_id = k.user_id
    JOIN users u ON u.id = k.user_id AND u.disabled_at IS NULL
    WHERE k.key_hash = hash AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > sally_now())
  $$;

-- Notes that a key is in use; called at most every ten minutes, so that a busy key is no hot row.
CREATE FUNCTION sally_touch_api_key(key_id uuid) RETURNS void
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
  AS $$ UPDATE api_keys SET last_used_at = sally_now() WHERE id = key_id $$;

CREATE FUNCTION sally_find_login(login_email text)
  RETURNS TABLE (id uuid, password_hash text, session_epoch integer)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
  AS $$ SELECT u.id, u.password_hash, u.session_epoch FROM users u WHERE u.email = login_email AND u.disabled_at IS NULL $$;

-- The person of a session; no row = disabled, or the session has ended.
CREATE FUNCTION sally_find_session(session_user_id uuid, epoch integer)
  RETURNS TABLE (email text, name text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
  AS $$ SELECT u.email, u.name FROM users u WHERE u.id = session_user_id AND u.disabled_at IS NULL AND u.session_epoch = epoch $$;

-- The role of a session's user in a workspace; no row = not a member, or the session has ended.
CREATE FUNCTION sally_find_membership(session_user_id uuid, epoch integer, workspace uuid)
  RETURNS TABLE (role text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
  AS $$
    SELECT m.role FROM memberships m JOIN users u ON u.id = m.user_id
    WHERE m.user_id = session_user_id AND m.workspace_id = workspace AND u.disabled_at IS NULL AND u.session_epoch = epoch
  $$;

CREATE FUNCTION sally_find_workspaces(session_user_id uuid, epoch integer)
  RETURNS TABLE (id uuid, name text, slug text, role text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
  AS $$
    SELECT w.id, w.name, w.slug, m.role FROM memberships m JOIN users u ON u.id = m.user_id JOIN workspaces w ON w.id = m.workspace_id
    WHERE m.user_id = session_user_id AND u.disabled_at IS NULL AND u.session_epoch = epoch ORDER BY w.id
  $$;

-- Public pages name the workspace by slug or id.
CREATE FUNCTION sally_find_workspace(slug_or_id text) RETURNS uuid
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
  AS $$ SELECT w.id FROM workspaces w WHERE w.slug = slug_or_id OR w.id::text = slug_or_id $$;

-- The link table and origin of a message, for clicks (the token carries the message's id).
CREATE FUNCTION sally_find_message_links(message uuid)
  RETURNS TABLE (workspace_id uuid, urls text[])
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
  AS $$
    SELECT m.workspace_id, coalesce((SELECT array_agg(l.url ORDER BY l.position) FROM links l
      WHERE l.workspace_id = m.workspace_id AND l.message_id = m.id), '{}')
    FROM messages m WHERE m.id = message
  $$;

CREATE FUNCTION sally_find_invitation(hash bytea)
  RETURNS TABLE (workspace_id uuid, id uuid, email text, role text, workspace_name text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
  AS $$
    SELECT i.workspace_id, i.id, i.email, i.role, w.name FROM invitations i JOIN workspaces w ON w.id = i.workspace_id
    WHERE i.token_hash = hash AND i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > sally_now()
  $$;

-- Clicks and opens of many workspaces in one statement; the API's own role could insert only one workspace's.
-- Ids are minted by the caller: a batch whose COMMIT got lost, or that was spooled as well, is repeated harmlessly.
CREATE FUNCTION sally_record_engagements(ids uuid[], workspaces uuid[], sources uuid[], delivery_ids uuid[], kinds text[], positions integer[], actors text[], times timestamptz[])
  RETURNS bigint LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
  AS $$
    WITH written AS (
      INSERT INTO engagements (id, workspace_id, source_id, delivery_id, kind, link_position, actor, occurred_at)
      SELECT * FROM unnest(ids, workspaces, sources, delivery_ids, kinds, positions, actors, times)
      ON CONFLICT DO NOTHING
      RETURNING 1)
    SELECT count(*) FROM written
  $$;

-- Creates or finds a person accepting an invitation; returns NULL when the address is already somebody's and
-- no password is being set for a new person.
CREATE FUNCTION sally_create_user(new_email text, new_name text, new_password_hash text) RETURNS uuid
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
  AS $$
    INSERT INTO users (email, name, password_hash) VALUES (new_email, new_name, new_password_hash)
    ON CONFLICT (email) DO NOTHING RETURNING id
  $$;

-- Ends every session of the person; audited in each of their workspaces. Returns the new session epoch.
CREATE FUNCTION sally_set_password(for_user uuid, new_password_hash text) RETURNS integer
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
  AS $$
    INSERT INTO audit_log (workspace_id, actor_type, actor_id, action, entity_type, entity_id)
    SELECT m.workspace_id, 'user', for_user, 'user.set-password', 'user', for_user FROM memberships m WHERE m.user_id = for_user;
    UPDATE users SET password_hash = new_password_hash, session_epoch = session_epoch + 1 WHERE id = for_user
    RETURNING session_epoch
  $$;

-- A function's new owner needs CREATE on the schema, but only for this moment.
GRANT CREATE ON SCHEMA public TO sally_worker;
DO $$
DECLARE f regprocedure;
BEGIN
  FOR f IN SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'public' AND p.prosecdef AND p.proname NOT IN ('sally_ensure_partitions')
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO sally_api, sally_worker', f);
    EXECUTE format('ALTER FUNCTION %s OWNER TO sally_worker', f);
  END LOOP;
END $$;
REVOKE CREATE ON SCHEMA public FROM sally_worker;
REVOKE ALL ON FUNCTION sally_ensure_partitions(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sally_ensure_partitions(timestamptz, integer) TO sally_worker;
REVOKE ALL ON FUNCTION sally_protect_table(text) FROM PUBLIC;

SELECT sally_ensure_partitions(sally_now() - interval '1 month', 6);
