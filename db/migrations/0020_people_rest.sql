-- What people left behind: addresses of merged contacts, ids of old events; and the language of mails to visitors.

-- Where the person is whose contact was merged into another one, by the address it had. Keyed hashes: no address stays
-- that nobody uses. contact_id is the merged contact; its merged_into follows later merges. An erasure removes them.
CREATE TABLE merged_addresses (
  workspace_id uuid NOT NULL,
  address_hash bytea NOT NULL,
  contact_id uuid NOT NULL,
  merged_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, address_hash, contact_id),
  FOREIGN KEY (workspace_id, contact_id) REFERENCES contacts (workspace_id, id)
);
CREATE INDEX merged_addresses_contact ON merged_addresses (workspace_id, contact_id);
SELECT sally_protect_table('merged_addresses');
GRANT SELECT, INSERT, UPDATE, DELETE ON merged_addresses TO sally_api, sally_worker;

-- Contacts are looked up by the hash of their address only when a suppression is lifted or held back, and then they have
-- one of these states. An index of all contacts would cost every import.
CREATE INDEX contacts_refused_address ON contacts (workspace_id, email_hash) WHERE status IN ('BOUNCED', 'COMPLAINED');

-- For their retention, oldest first. The column only grows, so new rows are appended at the index's end.
CREATE INDEX event_keys_received ON event_keys (workspace_id, received_at);

-- The language in which a visitor who named no locale is written to: what their browser asked for. Not part of the proof.
ALTER TABLE opt_in_requests ADD COLUMN language text CHECK (language ~ '^[a-z]{2}$');
