-- The delivery ledger (design, section 4) with everything a claim touches.

CREATE TABLE lanes (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  kind text NOT NULL CHECK (kind IN ('opt-in', 'transactional', 'pool')),
  key text NOT NULL DEFAULT 'default',
  -- Set by producers; only who changes it signals the lane's workflow.
  awake boolean NOT NULL DEFAULT false,
  drained_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (id),
  UNIQUE (workspace_id, kind, key)
);

-- What can be paused as a whole. `state` changes in the same transaction as its own row (campaign run).
CREATE TABLE streams (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  lane_id uuid NOT NULL REFERENCES lanes (id),
  source_type text NOT NULL CHECK (source_type IN ('CAMPAIGN', 'OPT_IN', 'TRANSACTIONAL', 'TEST')),
  state text NOT NULL DEFAULT 'ACTIVE' CHECK (state IN ('WAITING', 'ACTIVE', 'PAUSED', 'CANCELLED')),
  priority smallint NOT NULL,
  -- Per-day send window {start, end, timezone, weekdays?}; NULL = always.
  send_window jsonb,
  -- What waits longer fails with EXPIRED; NULL = never.
  expires_at timestamptz,
  -- The campaign run is SENT and no row of it waits, so that drains need not look; a row that comes back clears it.
  idle boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (id)
);
CREATE INDEX streams_lane ON streams (lane_id, state) WHERE NOT idle;
-- Opt-in, transactional and test mail have one constant stream per lane.
CREATE UNIQUE INDEX streams_constant ON streams (lane_id, source_type) WHERE source_type <> 'CAMPAIGN';

CREATE TABLE campaign_runs (
  workspace_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  campaign_id uuid NOT NULL,
  message_id uuid NOT NULL,
  sha256 text NOT NULL,
  stream_id uuid NOT NULL REFERENCES streams (id),
  status text NOT NULL CHECK (status IN ('SCHEDULED', 'SENDING', 'PAUSED', 'CANCELLED', 'SENT')),
  phase text NOT NULL DEFAULT 'PENDING' CHECK (phase IN ('PENDING', 'MATERIALISING', 'MATERIALISED')),
  scheduled_at timestamptz NOT NULL,
  started_at timestamptz,
  completed_at timestamptz,
  -- Why a run was stopped by Sally itself (APPROVAL_VOID), for the operator.
  stop_reason text,
  materialise_cursor uuid,
  -- Independent count of the audience, taken when materialising ends.
  audience_size bigint,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, campaign_id, scheduled_at),
  FOREIGN KEY (workspace_id, campaign_id) REFERENCES campaigns (workspace_id, id),
  FOREIGN KEY (workspace_id, message_id) REFERENCES messages (workspace_id, id)
);
CREATE INDEX campaign_runs_stream ON campaign_runs (stream_id);
CREATE INDEX campaign_runs_open ON campaign_runs (scheduled_at) WHERE status IN ('SCHEDULED', 'SENDING', 'PAUSED');

-- Signed changes per process, so that no settle waits for another process's row. Sum over processes = rows now
-- in that status. `slot` keeps a process's claims apart from its settles.
CREATE TABLE run_counters (
  workspace_id uuid NOT NULL,
  stream_id uuid NOT NULL,
  process_id uuid NOT NULL,
  slot smallint NOT NULL DEFAULT 0,
  materialised bigint NOT NULL DEFAULT 0,
  queued bigint NOT NULL DEFAULT 0,
  sending bigint NOT NULL DEFAULT 0,
  sent bigint NOT NULL DEFAULT 0,
  failed bigint NOT NULL DEFAULT 0,
  unconfirmed bigint NOT NULL DEFAULT 0,
  cancelled bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (stream_id, process_id, slot)
) WITH (fillfactor = 50);

-- Mailbox-provider group by recipient domain; absent = 'other'.
CREATE TABLE mail_domains (
  domain text PRIMARY KEY,
  mx_group text NOT NULL
);

CREATE TABLE deliveries (
  workspace_id uuid NOT NULL,
  source_type text NOT NULL,
  source_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  step_key text NOT NULL,
  recipient_key text NOT NULL,
  contact_id uuid,
  address text,
  recipient_name text,
  address_hash bytea,
  message_id uuid NOT NULL,
  lane_id uuid NOT NULL,
  stream_id uuid NOT NULL,
  mx_group text NOT NULL,
  channel text NOT NULL DEFAULT 'email',
  class text NOT NULL CHECK (class IN ('transactional', 'opt-in', 'journey', 'bulk', 'test')),
  priority smallint NOT NULL,
  status text NOT NULL DEFAULT 'QUEUED'
    CHECK (status IN ('QUEUED', 'SENDING', 'SENT', 'FAILED', 'UNCONFIRMED', 'CANCELLED')),
  reason text,
  not_before timestamptz NOT NULL,
  expires_at timestamptz,
  attempts smallint NOT NULL DEFAULT 0,
  max_attempts smallint NOT NULL DEFAULT 4,
  -- Drops inside this row's own DATA, in a row; the third counts as an attempt and sends it alone.
  data_drops smallint NOT NULL DEFAULT 0,
  last_attempt_at timestamptz,
  process_id uuid,
  claim_id uuid,
  route_id uuid,
  route_reason text,
  cap_date date,
  provider_message_id text,
  rfc_message_id text,
  context jsonb,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  sent_at timestamptz,
  PRIMARY KEY (source_id, id),
  -- The recipient early: a key is told apart by its second column, which makes inserts of a campaign a third cheaper.
  UNIQUE (source_id, recipient_key, step_key, source_type, workspace_id)
) PARTITION BY RANGE (source_id);
-- The read-ahead: per lane, active stream and mailbox-provider group, what is due.
CREATE INDEX deliveries_due ON deliveries (lane_id, stream_id, mx_group, not_before) WHERE status = 'QUEUED';
CREATE INDEX deliveries_contact ON deliveries (workspace_id, contact_id, id);
CREATE INDEX deliveries_provider_message ON deliveries (provider_message_id) WHERE provider_message_id IS NOT NULL;
-- What is open on the wire or unknown: small, looked at by renewals, the watchdog and the settle endpoint.
CREATE INDEX deliveries_open ON deliveries (stream_id, status) WHERE status IN ('SENDING', 'UNCONFIRMED');

-- One row per claim: look-up after an unknown COMMIT, list of what a dead process left, the EMAIL_SENT stream,
-- and the independent count of acceptances.
CREATE TABLE delivery_groups (
  workspace_id uuid NOT NULL,
  claim_id uuid NOT NULL,
  process_id uuid NOT NULL,
  lane_id uuid NOT NULL,
  stream_id uuid NOT NULL,
  route_id uuid NOT NULL,
  -- One element when all rows are of one source (a campaign run), else one per row.
  source_ids uuid[] NOT NULL,
  delivery_ids uuid[] NOT NULL,
  claimed_at timestamptz NOT NULL,
  settled_at timestamptz,
  accepted integer NOT NULL DEFAULT 0,
  failed integer NOT NULL DEFAULT 0,
  returned integer NOT NULL DEFAULT 0,
  unconfirmed integer NOT NULL DEFAULT 0,
  PRIMARY KEY (claimed_at, claim_id)
) PARTITION BY RANGE (claimed_at);
CREATE INDEX delivery_groups_claim ON delivery_groups (claim_id);
CREATE INDEX delivery_groups_open ON delivery_groups (process_id) WHERE settled_at IS NULL;
CREATE INDEX delivery_groups_stream ON delivery_groups (stream_id);

-- What became known after the group was closed: replies that outlived a lease, evidence, operators' decisions.
CREATE TABLE late_settlements (
  workspace_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  source_id uuid NOT NULL,
  delivery_id uuid NOT NULL,
  claim_id uuid NOT NULL,
  stream_id uuid NOT NULL,
  origin text NOT NULL CHECK (origin IN ('REPLY', 'EVIDENCE', 'OPERATOR', 'POLICY')),
  outcome text NOT NULL CHECK (outcome IN ('SENT', 'FAILED', 'QUEUED')),
  -- False when the row had moved to another claim: recorded, not applied; two acceptances raise an alert.
  applied boolean NOT NULL,
  actor_id uuid,
  recorded_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id)
);
CREATE INDEX late_settlements_stream ON late_settlements (stream_id);
CREATE INDEX late_settlements_delivery ON late_settlements (source_id, delivery_id);

-- Only what was not accepted at first try.
CREATE TABLE delivery_attempts (
  workspace_id uuid NOT NULL,
  source_id uuid NOT NULL,
  delivery_id uuid NOT NULL,
  claim_id uuid NOT NULL,
  attempt smallint NOT NULL,
  outcome text NOT NULL,
  smtp_code smallint,
  enhanced_code text,
  -- The server's words with addresses struck out.
  diagnostic text,
  route_id uuid,
  at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (source_id, delivery_id, claim_id)
);

-- A delivery process's lease; all times by the database's clock, the fence by the process's own clocks.
CREATE TABLE delivery_processes (
  id uuid PRIMARY KEY,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  renewed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  lease_until timestamptz NOT NULL,
  lease_seconds numeric NOT NULL,
  -- Set by a graceful stop, or when an expired lease's rows have been taken care of.
  released_at timestamptz
);
CREATE INDEX delivery_processes_open ON delivery_processes (lease_until) WHERE released_at IS NULL;

-- Senders: SMTP providers, one identity per From address; a route is provider × identity.
CREATE TABLE providers (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  provider_type text NOT NULL CHECK (provider_type IN ('SMTP')),
  -- AES-256-GCM with key id; never returned.
  credentials bytea NOT NULL,
  -- {host, port, secure, pool size, DKIM selector …}: nothing secret.
  settings jsonb NOT NULL DEFAULT '{}',
  max_sends_per_second integer CHECK (max_sends_per_second > 0),
  max_sends_per_day integer CHECK (max_sends_per_day > 0),
  priority smallint NOT NULL DEFAULT 5,
  is_default boolean NOT NULL DEFAULT false,
  is_active boolean NOT NULL DEFAULT true,
  last_check_at timestamptz,
  last_check_status text,
  last_error text,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, name)
);
CREATE UNIQUE INDEX providers_default ON providers (workspace_id) WHERE is_default;

CREATE TABLE sending_identities (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  email text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, email)
);

CREATE TABLE routes (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  -- The nil UUID is the installation's fallback sender.
  provider_id uuid NOT NULL,
  identity_id uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (id),
  UNIQUE (workspace_id, provider_id, identity_id),
  FOREIGN KEY (workspace_id, identity_id) REFERENCES sending_identities (workspace_id, id)
);

-- Units taken by claims, keyed by (resource, local date) and never zeroed; no row = nothing taken yet.
-- The limit itself is the resource's own column, copied at each claim for the reader.
CREATE TABLE capacity (
  workspace_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('provider-day')),
  resource_id uuid NOT NULL,
  window_key text NOT NULL,
  limit_units bigint,
  used bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (workspace_id, kind, resource_id, window_key)
) WITH (fillfactor = 50);

-- GCRA by the database clock: the theoretical arrival time of the next message.
CREATE TABLE rate_slots (
  workspace_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('provider-second', 'fallback-minute')),
  resource_id uuid NOT NULL,
  next_slot_at timestamptz NOT NULL,
  PRIMARY KEY (workspace_id, kind, resource_id)
) WITH (fillfactor = 50);

CREATE TABLE throttles (
  workspace_id uuid NOT NULL,
  route_id uuid NOT NULL,
  mx_group text NOT NULL,
  -- Messages allowed per second; halved by a throttling answer, raised step by step.
  rate numeric NOT NULL,
  blocked_until timestamptz NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (route_id, mx_group)
);

CREATE TABLE breakers (
  workspace_id uuid NOT NULL,
  provider_id uuid NOT NULL,
  state text NOT NULL DEFAULT 'CLOSED' CHECK (state IN ('CLOSED', 'OPEN', 'HALF_OPEN')),
  reason text,
  failures integer NOT NULL DEFAULT 0,
  opened_at timestamptz,
  -- When the next probe may go.
  probe_at timestamptz,
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, provider_id)
);

-- Partitions by month of source_id (ledger) or time. No default partition: a row without a home is an error.
CREATE FUNCTION sally_ensure_partitions(from_month timestamptz, months integer) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
  AS $$
  DECLARE
    month timestamptz; next_month timestamptz; suffix text; made integer := 0; parent text; i integer;
  BEGIN
    FOR i IN 0..months - 1 LOOP
      month := (date_trunc('month', from_month AT TIME ZONE 'UTC') + make_interval(months => i)) AT TIME ZONE 'UTC';
      next_month := (date_trunc('month', from_month AT TIME ZONE 'UTC') + make_interval(months => i + 1)) AT TIME ZONE 'UTC';
      suffix := to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
      IF to_regclass('deliveries_' || suffix) IS NULL THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF deliveries FOR VALUES FROM (%L) TO (%L)
          WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05,
                autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)',
          'deliveries_' || suffix, sally_uuid_v7_floor(month), sally_uuid_v7_floor(next_month));
        PERFORM sally_protect_table('deliveries_' || suffix);
        made := made + 1;
      END IF;
      FOREACH parent IN ARRAY ARRAY['delivery_groups', 'engagements', 'marketing_events'] LOOP
        IF to_regclass(parent || '_' || suffix) IS NULL THEN
          EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
            parent || '_' || suffix, parent, month, next_month);
          PERFORM sally_protect_table(parent || '_' || suffix);
          made := made + 1;
        END IF;
      END LOOP;
    END LOOP;
    RETURN made;
  END $$;
