-- Who received anything, per contact instead of per message (docs/decisions/0032), and logos of the public pages (0033).

-- The last transaction that changed what is known of a group's rows: acceptances, failures, late truths, requeues. Readers
-- go by it, as consumers of events do (0015). NULL = nothing has become of any of its rows yet. Groups that are there
-- already get this migration's transaction, so that the first rounds of the roll-up are their back-fill.
ALTER TABLE delivery_groups ADD COLUMN transaction_id xid8 DEFAULT pg_current_xact_id();
ALTER TABLE delivery_groups ALTER COLUMN transaction_id DROP DEFAULT;
CREATE INDEX delivery_groups_transaction ON delivery_groups (transaction_id, claim_id) WHERE transaction_id IS NOT NULL;

-- Whoever changes a group: one call for all its messages that were settled together.
CREATE FUNCTION sally_note_group_change() RETURNS trigger LANGUAGE plpgsql
  AS $$ BEGIN NEW.transaction_id := pg_current_xact_id(); RETURN NEW; END $$;
CREATE TRIGGER delivery_groups_changed BEFORE UPDATE ON delivery_groups
  FOR EACH ROW EXECUTE FUNCTION sally_note_group_change();

-- When the first and the last bulk or journey message to somebody was accepted. Written by the roll-up only
-- (db/delivery/receipts.ts), some seconds after the acceptance. No foreign key: contacts are never deleted, and the
-- check would cost as much as the row.
CREATE TABLE contact_receipts (
  workspace_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  first_at timestamptz NOT NULL,
  last_at timestamptz NOT NULL,
  PRIMARY KEY (workspace_id, contact_id)
) WITH (fillfactor = 80);
SELECT sally_protect_table('contact_receipts');
GRANT SELECT, INSERT, UPDATE, DELETE ON contact_receipts TO sally_api, sally_worker;

-- Addresses that a server refused for good: few, and nothing for a message that is accepted.
CREATE INDEX deliveries_rejected ON deliveries (workspace_id, contact_id)
  WHERE status = 'FAILED' AND reason = 'ADDRESS_REJECTED';

-- With the contact in them, so that the set of one campaign or link is read from its index alone, and one contact is found
-- in it at once.
DROP INDEX contact_engagement_details_campaign, contact_engagement_details_link;
CREATE INDEX contact_engagement_details_campaign ON contact_engagement_details (workspace_id, campaign_id, kind, contact_id);
CREATE INDEX contact_engagement_details_link ON contact_engagement_details (workspace_id, url_md5, contact_id) WHERE kind = 'CLICK';

-- How far a calculation had seen the ledger's groups: transaction and claim.
ALTER TABLE audiences
  ADD COLUMN seen_settled_transaction xid8,
  ADD COLUMN seen_settled_claim uuid;

-- A workspace's logo on its public pages, a PNG. Its address is of its content, so that it can be kept for ever.
CREATE TABLE page_logos (
  workspace_id uuid PRIMARY KEY REFERENCES workspaces (id),
  sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  width integer NOT NULL CHECK (width > 0),
  height integer NOT NULL CHECK (height > 0),
  -- What it says, for who cannot see it.
  alt text NOT NULL CHECK (alt <> ''),
  png bytea NOT NULL CHECK (octet_length(png) BETWEEN 1 AND 131072),
  updated_at timestamptz NOT NULL DEFAULT sally_now()
);
SELECT sally_protect_table('page_logos');
GRANT SELECT, INSERT, UPDATE, DELETE ON page_logos TO sally_api, sally_worker;
