-- What conditions ask about opens and clicks, per contact instead of per engagement, and calculations of what changed.

-- Readers go by it, as consumers of events do (0015). Rows that are there already get this migration's transaction, so
-- that the first rounds of the roll-up are their back-fill. Indexed at its end only: ids of transactions grow.
ALTER TABLE engagements ADD COLUMN transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX engagements_transaction ON engagements (transaction_id, id);

-- Whether, when first and when last somebody opened or clicked anything; machines do not count. Written by the roll-up
-- only (db/tracking/roll-up.ts), some seconds after the engagement itself.
CREATE TABLE contact_engagements (
  workspace_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('OPEN', 'CLICK')),
  first_at timestamptz NOT NULL,
  last_at timestamptz NOT NULL,
  count bigint NOT NULL,
  PRIMARY KEY (workspace_id, contact_id, kind),
  FOREIGN KEY (workspace_id, contact_id) REFERENCES contacts (workspace_id, id)
) WITH (fillfactor = 80);
SELECT sally_protect_table('contact_engagements');
GRANT SELECT, INSERT, UPDATE, DELETE ON contact_engagements TO sally_api, sally_worker;

-- The same by campaign and link. No campaign, and no link (opens), are the nil UUID. A link is known by the MD5 of its
-- URL: short enough for an index, and whoever makes two URLs of one MD5 fools nobody but themselves.
CREATE TABLE contact_engagement_details (
  workspace_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('OPEN', 'CLICK')),
  campaign_id uuid NOT NULL,
  url_md5 uuid NOT NULL,
  first_at timestamptz NOT NULL,
  last_at timestamptz NOT NULL,
  count bigint NOT NULL,
  PRIMARY KEY (workspace_id, contact_id, kind, campaign_id, url_md5),
  FOREIGN KEY (workspace_id, contact_id) REFERENCES contacts (workspace_id, id)
) WITH (fillfactor = 80);
CREATE INDEX contact_engagement_details_campaign ON contact_engagement_details (workspace_id, campaign_id, kind);
CREATE INDEX contact_engagement_details_link ON contact_engagement_details (workspace_id, url_md5) WHERE kind = 'CLICK';
SELECT sally_protect_table('contact_engagement_details');
GRANT SELECT, INSERT, UPDATE, DELETE ON contact_engagement_details TO sally_api, sally_worker;

-- From where the next calculation has to look for changes; NULL: it has to look at everybody.
ALTER TABLE audiences
  -- When everybody was looked at last.
  ADD COLUMN fully_calculated_at timestamptz,
  -- The oldest transaction that the last calculation may not have seen.
  ADD COLUMN seen_transaction xid8,
  -- How far engagements were rolled up then: transaction and id.
  ADD COLUMN seen_engagement_transaction xid8,
  ADD COLUMN seen_engagement_id uuid,
  -- What the conditions' names stood for then (fields, purposes, zone).
  ADD COLUMN seen_lookups_sha256 text;
