-- Mailboxes, sequences with steps, enrolments, and what a planned row of the ledger knows of its slot.

-- When a duty of an installation-wide Schedule was last done for a workspace (design, section 3).
CREATE TABLE workspace_jobs (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  job text NOT NULL,
  -- The workspace's local date that it was done for.
  local_date date NOT NULL,
  ran_at timestamptz NOT NULL DEFAULT sally_now(),
  details jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (workspace_id, job)
);

-- A person's or team's address that sequences are sent from, at one provider, with a quota per workspace-local day.
CREATE TABLE mailboxes (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  email text NOT NULL,
  display_name text NOT NULL DEFAULT '',
  reply_to text,
  provider_id uuid NOT NULL,
  daily_quota integer NOT NULL CHECK (daily_quota > 0),
  is_active boolean NOT NULL DEFAULT true,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  -- Kept for the ledger's sake.
  deleted_at timestamptz,
  PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX mailboxes_email ON mailboxes (workspace_id, email) WHERE deleted_at IS NULL;

CREATE TABLE sequences (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
  description text NOT NULL DEFAULT '',
  status text NOT NULL DEFAULT 'DRAFT' CHECK (status IN ('DRAFT', 'ACTIVE', 'PAUSED', 'ARCHIVED')),
  stream_id uuid NOT NULL REFERENCES streams (id),
  -- {start, end, timezone, weekdays?}; `timezone` is used where the contact's is not known, or not to be used.
  send_window jsonb NOT NULL,
  use_contact_time_zone boolean NOT NULL DEFAULT true,
  -- False: a contact gets at most one mail of all sequences per local day.
  several_per_day boolean NOT NULL DEFAULT false,
  purpose_id uuid NOT NULL,
  category_id uuid,
  -- Whoever is a member of it has reached the goal.
  goal_audience_id uuid,
  tracking boolean NOT NULL DEFAULT true,
  -- Who has changed what an approval pins.
  authors uuid[] NOT NULL DEFAULT '{}',
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id),
  FOREIGN KEY (workspace_id, purpose_id) REFERENCES purposes (workspace_id, id),
  FOREIGN KEY (workspace_id, category_id) REFERENCES preference_categories (workspace_id, id),
  FOREIGN KEY (workspace_id, goal_audience_id) REFERENCES audiences (workspace_id, id)
);
CREATE UNIQUE INDEX sequences_stream ON sequences (stream_id);

CREATE TABLE sequence_mailboxes (
  workspace_id uuid NOT NULL,
  sequence_id uuid NOT NULL,
  mailbox_id uuid NOT NULL,
  PRIMARY KEY (workspace_id, sequence_id, mailbox_id),
  FOREIGN KEY (workspace_id, sequence_id) REFERENCES sequences (workspace_id, id),
  FOREIGN KEY (workspace_id, mailbox_id) REFERENCES mailboxes (workspace_id, id)
);
CREATE INDEX sequence_mailboxes_mailbox ON sequence_mailboxes (workspace_id, mailbox_id);

CREATE TABLE sequence_steps (
  workspace_id uuid NOT NULL,
  sequence_id uuid NOT NULL,
  step_number smallint NOT NULL CHECK (step_number > 0),
  -- Local calendar days after the step before was accepted (for the first: after the enrolment).
  wait_days smallint NOT NULL CHECK (wait_days >= 0),
  template_id uuid NOT NULL,
  template_context jsonb NOT NULL DEFAULT '{}',
  -- The frozen message of the last submission; NULL when none or voided.
  message_id uuid,
  PRIMARY KEY (workspace_id, sequence_id, step_number),
  FOREIGN KEY (workspace_id, sequence_id) REFERENCES sequences (workspace_id, id),
  FOREIGN KEY (workspace_id, template_id) REFERENCES templates (workspace_id, id),
  FOREIGN KEY (workspace_id, message_id) REFERENCES messages (workspace_id, id)
);

CREATE TABLE sequence_enrolments (
  workspace_id uuid NOT NULL,
  -- source_id of its rows in the ledger.
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  sequence_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  status text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'COMPLETED', 'STOPPED', 'FAILED')),
  stop_reason text,
  -- The step that was planned last; 0 = none yet.
  step_number smallint NOT NULL DEFAULT 0,
  -- That step's row is in the ledger, and what became of it has not been taken note of.
  pending boolean NOT NULL DEFAULT false,
  -- Chosen with the first step and kept.
  mailbox_id uuid,
  -- From when on the next step may be planned.
  due_at timestamptz NOT NULL,
  enrolled_at timestamptz NOT NULL DEFAULT sally_now(),
  enrolled_by uuid,
  ended_at timestamptz,
  PRIMARY KEY (workspace_id, id),
  -- Nobody goes through a sequence twice.
  CONSTRAINT sequence_enrolments_once UNIQUE (workspace_id, sequence_id, contact_id),
  FOREIGN KEY (workspace_id, sequence_id) REFERENCES sequences (workspace_id, id),
  FOREIGN KEY (workspace_id, contact_id) REFERENCES contacts (workspace_id, id),
  FOREIGN KEY (workspace_id, mailbox_id) REFERENCES mailboxes (workspace_id, id)
);
CREATE INDEX sequence_enrolments_due ON sequence_enrolments (workspace_id, due_at) WHERE status = 'ACTIVE' AND NOT pending;
CREATE INDEX sequence_enrolments_pending ON sequence_enrolments (workspace_id, sequence_id) WHERE status = 'ACTIVE' AND pending;
CREATE INDEX sequence_enrolments_contact ON sequence_enrolments (workspace_id, contact_id);

-- A planned row: its mailbox (fixed, and with it the route), the workspace-local date whose quota it has a unit of
-- (NULL = none: it waits to be planned again), and when its slot's window closes. The unit is the row itself:
-- a mailbox's day is what its rows of that date say, so that nothing has to be given back.
ALTER TABLE deliveries ADD COLUMN mailbox_id uuid, ADD COLUMN mailbox_date date, ADD COLUMN slot_until timestamptz;
CREATE INDEX deliveries_mailbox ON deliveries (mailbox_id, mailbox_date) WHERE mailbox_id IS NOT NULL;
CREATE INDEX deliveries_mailbox_queued ON deliveries (mailbox_id) WHERE mailbox_id IS NOT NULL AND status = 'QUEUED';
CREATE INDEX deliveries_mailbox_contact ON deliveries (contact_id, mailbox_date) WHERE mailbox_id IS NOT NULL;

ALTER TABLE lanes DROP CONSTRAINT lanes_kind_check,
  ADD CONSTRAINT lanes_kind_check CHECK (kind IN ('opt-in', 'transactional', 'pool', 'mailboxes'));
ALTER TABLE streams DROP CONSTRAINT streams_source_type_check,
  ADD CONSTRAINT streams_source_type_check CHECK (source_type IN ('CAMPAIGN', 'OPT_IN', 'TRANSACTIONAL', 'TEST', 'SEQUENCE'));
-- Campaign runs and sequences have streams of their own; the rest has one constant stream per lane.
DROP INDEX streams_constant;
CREATE UNIQUE INDEX streams_constant ON streams (lane_id, source_type) WHERE source_type NOT IN ('CAMPAIGN', 'SEQUENCE');

ALTER TABLE messages DROP CONSTRAINT messages_origin_check,
  ADD CONSTRAINT messages_origin_check CHECK (origin IN ('CAMPAIGN', 'TEMPLATE', 'TEST', 'STEP')),
  -- The From addresses that an approval covers; NULL = from_email alone.
  ADD COLUMN permitted_senders text[];

SELECT sally_protect_table('workspace_jobs');
SELECT sally_protect_table('mailboxes');
SELECT sally_protect_table('sequences');
SELECT sally_protect_table('sequence_mailboxes');
SELECT sally_protect_table('sequence_steps');
SELECT sally_protect_table('sequence_enrolments');
GRANT SELECT, INSERT, UPDATE, DELETE ON workspace_jobs, mailboxes, sequences, sequence_mailboxes, sequence_steps,
  sequence_enrolments TO sally_api, sally_worker;
-- A provider that mailboxes send through cannot be removed.
ALTER TABLE mailboxes ADD CONSTRAINT mailboxes_provider FOREIGN KEY (workspace_id, provider_id) REFERENCES providers (workspace_id, id);
