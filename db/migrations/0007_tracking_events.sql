-- Engagements (append-only) and the event store (spec 001, "Event Store Schema").

CREATE TABLE engagements (
  workspace_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  source_id uuid NOT NULL,
  delivery_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('OPEN', 'CLICK', 'UNSUBSCRIBE')),
  link_position integer,
  -- Who acted, judged by user agent and timing.
  actor text NOT NULL CHECK (actor IN ('human', 'machine', 'unknown')),
  occurred_at timestamptz NOT NULL,
  PRIMARY KEY (occurred_at, id)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX engagements_delivery ON engagements (source_id, delivery_id, kind);

CREATE TABLE marketing_events (
  event_id uuid NOT NULL DEFAULT sally_uuid_v7(),
  workspace_id uuid NOT NULL,
  event_type varchar(50) NOT NULL,
  contact_id uuid,
  campaign_id uuid,
  journey_id uuid,
  payload jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (created_at, event_id)
) PARTITION BY RANGE (created_at);
CREATE INDEX idx_contact_events ON marketing_events (workspace_id, contact_id, created_at DESC);
CREATE INDEX idx_campaign_events ON marketing_events (workspace_id, campaign_id, event_type, created_at);
CREATE INDEX idx_event_type_time ON marketing_events (workspace_id, event_type, created_at DESC);

-- The one way to append an event, in the transaction of the change it tells of.
CREATE FUNCTION sally_append_event(workspace uuid, type text, contact uuid, campaign uuid, data jsonb) RETURNS uuid
  LANGUAGE sql VOLATILE
  AS $$
    INSERT INTO marketing_events (workspace_id, event_type, contact_id, campaign_id, payload)
    VALUES (workspace, type, contact, campaign, data) RETURNING event_id
  $$;
