-- Capacity of more kinds, breakers per sender, how often a contact wants a category, and look-ups of unknown outcomes.

-- 'provider-hour': hourly buckets (UTC) of a rolling 24 hours; its row with an empty window is only a lock, which
-- everyone takes before adding the buckets up. The rest: one row per local date.
ALTER TABLE capacity DROP CONSTRAINT capacity_kind_check,
  ADD CONSTRAINT capacity_kind_check CHECK (kind IN ('provider-day', 'provider-hour', 'domain-day', 'ip-day'));

-- The units that each row of a group holds: [{kind, resource, window}]. NULL = none. A row holds them as long as it
-- has the group's claim and a cap_date.
ALTER TABLE delivery_groups ADD COLUMN units jsonb;

ALTER TABLE providers ADD COLUMN max_sends_per_24_hours integer CHECK (max_sends_per_24_hours > 0);

-- Refusals for good belong to a sender at a provider (a From address): its own breaker. The nil UUID = the whole provider.
ALTER TABLE breakers ADD COLUMN identity_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  DROP CONSTRAINT breakers_pkey, ADD PRIMARY KEY (workspace_id, provider_id, identity_id);

-- The least time between two messages of a category to a contact; see docs/verdicts.md.
ALTER TABLE category_preferences ADD COLUMN IF NOT EXISTS frequency text NOT NULL DEFAULT 'IMMEDIATE'
  CHECK (frequency IN ('IMMEDIATE', 'DAILY', 'WEEKLY', 'MONTHLY'));

-- One row per message that a contact with a frequency got of a category; taken in the claim, under the lock of the
-- contact's row in category_preferences.
CREATE TABLE frequency_units (
  workspace_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  category_id uuid NOT NULL,
  source_id uuid NOT NULL,
  delivery_id uuid NOT NULL,
  taken_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, contact_id, category_id, delivery_id),
  FOREIGN KEY (workspace_id, contact_id) REFERENCES contacts (workspace_id, id)
);
CREATE INDEX frequency_units_delivery ON frequency_units (workspace_id, delivery_id);

-- When a provider was last asked about an UNCONFIRMED row.
CREATE TABLE delivery_lookups (
  workspace_id uuid NOT NULL,
  source_id uuid NOT NULL,
  delivery_id uuid NOT NULL,
  asked integer NOT NULL DEFAULT 1,
  asked_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, source_id, delivery_id)
);

SELECT sally_protect_table('frequency_units');
SELECT sally_protect_table('delivery_lookups');
GRANT SELECT, INSERT, UPDATE, DELETE ON frequency_units, delivery_lookups TO sally_api, sally_worker;
