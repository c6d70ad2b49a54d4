-- Templates with versions, frozen messages and approvals, campaigns and runs.

CREATE TABLE templates (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
  slug text NOT NULL CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,99}$'),
  category text NOT NULL CHECK (category IN ('GENERAL', 'MARKETING', 'ONBOARDING', 'RELEASE', 'TRANSACTIONAL', 'NEWSLETTER')),
  is_active boolean NOT NULL DEFAULT true,
  -- The current content version.
  version integer NOT NULL DEFAULT 1,
  -- Raised by every change, also of the name: If-Match.
  revision integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  deleted_at timestamptz,
  PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX templates_slug ON templates (workspace_id, slug) WHERE deleted_at IS NULL;

CREATE TABLE template_versions (
  workspace_id uuid NOT NULL,
  template_id uuid NOT NULL,
  version integer NOT NULL,
  subject_template text NOT NULL,
  body_html text NOT NULL,
  body_text text,
  preview_text text NOT NULL DEFAULT '',
  -- [{name, default?, required?, description?}]
  variables jsonb NOT NULL DEFAULT '[]',
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, template_id, version),
  FOREIGN KEY (workspace_id, template_id) REFERENCES templates (workspace_id, id)
);

-- A frozen copy of what will be sent. Immutable but for its approval state. CAMPAIGN: written by submitting
-- (or by a test send, approval NONE); TEMPLATE: the active version of a transactional or opt-in template.
CREATE TABLE messages (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  origin text NOT NULL CHECK (origin IN ('CAMPAIGN', 'TEMPLATE', 'TEST')),
  channel text NOT NULL DEFAULT 'email',
  campaign_id uuid,
  template_id uuid,
  template_version integer,
  subject text NOT NULL,
  html text NOT NULL,
  text text NOT NULL,
  preview_text text NOT NULL DEFAULT '',
  from_name text NOT NULL,
  from_email text NOT NULL,
  reply_to text,
  category_id uuid,
  purpose_id uuid,
  -- The campaign's context layer, and the one below it: workspace values with the template's defaults over them.
  template_context jsonb NOT NULL DEFAULT '{}',
  template_defaults jsonb NOT NULL DEFAULT '{}',
  tracking boolean NOT NULL DEFAULT true,
  audience jsonb,
  -- Compiled templates and what they read of the context; their links are in `links`.
  compiled jsonb NOT NULL,
  sha256 text NOT NULL,
  approval text NOT NULL CHECK (approval IN ('NONE', 'SUBMITTED', 'APPROVED', 'REJECTED', 'VOIDED')),
  -- Everybody who wrote any of it: none of them may approve it where four eyes are asked for.
  authors uuid[] NOT NULL DEFAULT '{}',
  submitted_by uuid,
  submitted_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id)
);
-- Links in mails name the message alone; the workspace is not known before (sally_find_message_links).
CREATE UNIQUE INDEX messages_id ON messages (id);
CREATE INDEX messages_campaign ON messages (workspace_id, campaign_id, id DESC) WHERE campaign_id IS NOT NULL;
-- One frozen copy per template version and what else goes into it (From, workspace values).
CREATE UNIQUE INDEX messages_template ON messages (workspace_id, template_id, template_version, sha256) WHERE origin = 'TEMPLATE';

CREATE TABLE links (
  workspace_id uuid NOT NULL,
  message_id uuid NOT NULL,
  position integer NOT NULL,
  url text NOT NULL,
  PRIMARY KEY (workspace_id, message_id, position),
  FOREIGN KEY (workspace_id, message_id) REFERENCES messages (workspace_id, id)
);

-- Append-only decisions over frozen messages.
CREATE TABLE approvals (
  workspace_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  message_id uuid NOT NULL,
  decision text NOT NULL CHECK (decision IN ('APPROVED', 'REJECTED', 'VOIDED')),
  sha256 text NOT NULL,
  comment text NOT NULL DEFAULT '',
  decided_by uuid,
  decided_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id),
  FOREIGN KEY (workspace_id, message_id) REFERENCES messages (workspace_id, id)
);
CREATE INDEX approvals_message ON approvals (workspace_id, message_id, id);

CREATE TABLE campaigns (
  workspace_id uuid NOT NULL REFERENCES workspaces (id),
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
  description text NOT NULL DEFAULT '',
  campaign_type text NOT NULL DEFAULT 'ONE_TIME' CHECK (campaign_type IN ('ONE_TIME')),
  channel text NOT NULL DEFAULT 'email',
  goals jsonb NOT NULL DEFAULT '[]',
  tags text[] NOT NULL DEFAULT '{}',
  notes text NOT NULL DEFAULT '',
  -- Content: a template (its version at submission is frozen) or content of its own.
  template_id uuid,
  subject text,
  html text,
  text text,
  preview_text text,
  template_context jsonb NOT NULL DEFAULT '{}',
  from_name text,
  from_email text,
  reply_to text,
  category_id uuid,
  purpose_id uuid,
  include_audiences uuid[] NOT NULL DEFAULT '{}',
  exclude_audiences uuid[] NOT NULL DEFAULT '{}',
  -- All contacts that granted `purpose_id`, instead of audiences.
  all_consented boolean NOT NULL DEFAULT false,
  send_window jsonb,
  tracking boolean NOT NULL DEFAULT true,
  expires_at timestamptz,
  -- The frozen message of the last submission; NULL when none or voided.
  message_id uuid,
  -- Who has changed what an approval pins.
  authors uuid[] NOT NULL DEFAULT '{}',
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  updated_at timestamptz NOT NULL DEFAULT sally_now(),
  deleted_at timestamptz,
  PRIMARY KEY (workspace_id, id),
  FOREIGN KEY (workspace_id, template_id) REFERENCES templates (workspace_id, id),
  FOREIGN KEY (workspace_id, category_id) REFERENCES preference_categories (workspace_id, id),
  FOREIGN KEY (workspace_id, purpose_id) REFERENCES purposes (workspace_id, id),
  FOREIGN KEY (workspace_id, message_id) REFERENCES messages (workspace_id, id)
);
