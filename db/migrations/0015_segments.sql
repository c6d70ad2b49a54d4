-- Segments: dynamic audiences and their refresh, a campaign's own conditions, intake and consumption of events.

-- A dynamic audience has a definition, a tree of conditions (domain/audiences/conditions.ts); its members are the result
-- of the last calculation. A static one is a list that people keep.
ALTER TABLE audiences
  ADD COLUMN type text NOT NULL DEFAULT 'STATIC' CHECK (type IN ('STATIC', 'DYNAMIC')),
  ADD COLUMN definition jsonb,
  ADD COLUMN definition_sha256 text,
  -- The definition that the members are of. Another one than the current: the next calculation is a baseline.
  ADD COLUMN calculated_sha256 text,
  ADD COLUMN last_calculated_at timestamptz,
  -- Class of the last calculation's failure; NULL when it succeeded.
  ADD COLUMN calculation_error text,
  -- Something changed that the definition asks about; NULL when nothing has since the last calculation.
  ADD COLUMN dirty_at timestamptz,
  -- What makes it dirty: 'profile', 'consent', 'category', 'event:{type}'.
  ADD COLUMN depends_on text[] NOT NULL DEFAULT '{}',
  -- Its members change by time alone, or by what no event tells of (engagement, deliveries).
  ADD COLUMN is_time_dependent boolean NOT NULL DEFAULT false,
  ADD COLUMN uses_audiences uuid[] NOT NULL DEFAULT '{}',
  ADD CONSTRAINT audiences_definition_check
    CHECK ((type = 'DYNAMIC') = (definition IS NOT NULL) AND (type = 'DYNAMIC') = (definition_sha256 IS NOT NULL));
CREATE INDEX audiences_dynamic ON audiences (workspace_id, id) WHERE type = 'DYNAMIC' AND archived_at IS NULL;

-- A calculation's differences on their way into audience_members. Unlogged: after a crash they are calculated again.
CREATE UNLOGGED TABLE audience_differences (
  workspace_id uuid NOT NULL,
  audience_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  joins boolean NOT NULL,
  PRIMARY KEY (workspace_id, audience_id, contact_id)
);
SELECT sally_protect_table('audience_differences');
GRANT SELECT, INSERT, UPDATE, DELETE ON audience_differences TO sally_api, sally_worker;

-- Conditions of a campaign's own: they narrow its audiences, or all contacts where it includes none.
ALTER TABLE campaigns ADD COLUMN audience_conditions jsonb;

-- created_at is when an event happened: for one from outside what the client said, within bounds.
ALTER TABLE marketing_events
  ADD COLUMN received_at timestamptz NOT NULL DEFAULT sally_now(),
  -- Consumers go by it: ids are minted before the COMMIT, so that their order is not the order of becoming visible.
  ADD COLUMN transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX marketing_events_transaction ON marketing_events (transaction_id, event_id);

-- Event ids of clients, so that a repeated event is known whatever month it is in.
CREATE TABLE event_keys (
  workspace_id uuid NOT NULL,
  client_event_id text COLLATE "C" NOT NULL CHECK (length(client_event_id) BETWEEN 1 AND 200),
  event_id uuid NOT NULL,
  received_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, client_event_id)
) PARTITION BY HASH (workspace_id, client_event_id);
DO $$
BEGIN
  FOR i IN 0..15 LOOP
    EXECUTE format('CREATE TABLE %I PARTITION OF event_keys FOR VALUES WITH (MODULUS 16, REMAINDER %s)', 'event_keys_' || i, i);
    PERFORM sally_protect_table('event_keys_' || i);
  END LOOP;
END $$;
SELECT sally_protect_table('event_keys');
GRANT SELECT, INSERT, DELETE ON event_keys TO sally_api, sally_worker;

-- Types of events that a workspace describes; others are accepted as they are.
CREATE TABLE event_types (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  name text COLLATE "C" NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{0,49}$'),
  description text NOT NULL DEFAULT '',
  -- [{name, type, required}]; NULL = any payload.
  fields jsonb,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, name)
);
SELECT sally_protect_table('event_types');
GRANT SELECT, INSERT, UPDATE, DELETE ON event_types TO sally_api, sally_worker;

-- How far each consumer has read; moved in the transaction of its effects. Of all workspaces, hence for workers only.
CREATE TABLE event_cursors (
  consumer text NOT NULL,
  shard smallint NOT NULL DEFAULT 0,
  transaction_id xid8 NOT NULL DEFAULT '0',
  event_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  consumed bigint NOT NULL DEFAULT 0,
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (consumer, shard)
);
GRANT SELECT, INSERT, UPDATE ON event_cursors TO sally_worker;
