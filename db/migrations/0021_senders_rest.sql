-- Dedicated IPs with a log-in of their own, mailboxes with a sending window of their own, coming back to a sequence.

-- Many relays choose the address of departure by the user who logs in. Sealed like those of providers; NULL = the
-- provider's own.
ALTER TABLE dedicated_ips ADD COLUMN credentials bytea;

-- {start, end, timezone, weekdays?} in the place of its sequences' windows; NULL = theirs.
ALTER TABLE mailboxes ADD COLUMN send_window jsonb;

-- Who has gone through a sequence may be enrolled again this many days after the end; NULL = never.
ALTER TABLE sequences ADD COLUMN reenrol_after_days smallint CHECK (reenrol_after_days BETWEEN 0 AND 3650);
-- Nobody is in a sequence twice at a time; whether they may come back is what the sequence says.
ALTER TABLE sequence_enrolments DROP CONSTRAINT sequence_enrolments_once;
CREATE UNIQUE INDEX sequence_enrolments_active ON sequence_enrolments (workspace_id, sequence_id, contact_id) WHERE status = 'ACTIVE';
CREATE INDEX sequence_enrolments_person ON sequence_enrolments (workspace_id, sequence_id, contact_id);
