-- Consent as evidence, preference centre, unsubscribes by source, suppressions that are removed with a reason, soft bounces.

-- A wording in further languages. Append-only like the wordings: what a person was shown cannot be edited later.
CREATE TABLE purpose_wording_translations (
  workspace_id uuid NOT NULL,
  purpose_id uuid NOT NULL,
  wording_version integer NOT NULL,
  locale text NOT NULL CHECK (locale ~ '^[a-z]{2,3}(-[A-Za-z0-9-]{2,30})?$'),
  wording text NOT NULL,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, purpose_id, wording_version, locale),
  FOREIGN KEY (workspace_id, purpose_id, wording_version)
    REFERENCES purpose_wordings (workspace_id, purpose_id, wording_version)
);

-- The wording as a person with this locale saw it at this moment: the locale's own translation, its language's, else
-- the wording itself. A translation that was added later was not shown.
CREATE FUNCTION sally_wording(workspace uuid, purpose uuid, version integer, for_locale text, at timestamptz) RETURNS text
  LANGUAGE sql STABLE
  AS $$
    SELECT coalesce(
      (SELECT t.wording FROM purpose_wording_translations t
       WHERE t.workspace_id = workspace AND t.purpose_id = purpose AND t.wording_version = version AND t.created_at <= at
         AND t.locale IN (for_locale, split_part(for_locale, '-', 1))
       ORDER BY length(t.locale) DESC LIMIT 1),
      (SELECT w.wording FROM purpose_wordings w
       WHERE w.workspace_id = workspace AND w.purpose_id = purpose AND w.wording_version = version))
  $$;

-- What an import states about the consent of its people: kept for the proof when job and file are long gone.
CREATE TABLE consent_bases (
  workspace_id uuid NOT NULL,
  import_job_id uuid NOT NULL,
  purpose_id uuid NOT NULL,
  statement text NOT NULL,
  file_name text NOT NULL,
  file_sha256 text,
  declared_by uuid,
  declared_at timestamptz NOT NULL,
  PRIMARY KEY (workspace_id, import_job_id, purpose_id),
  FOREIGN KEY (workspace_id, purpose_id) REFERENCES purposes (workspace_id, id)
);

-- How often a contact wants messages of a category (spec 003, "Frequency options"); enforced in the claim.
ALTER TABLE category_preferences ADD COLUMN IF NOT EXISTS frequency text NOT NULL DEFAULT 'IMMEDIATE'
  CHECK (frequency IN ('IMMEDIATE', 'DAILY', 'WEEKLY', 'MONTHLY'));
ALTER TABLE preference_categories
  ADD COLUMN description text NOT NULL DEFAULT '',
  -- {"de": {"name": "…", "description": "…"}}: what the preference page shows in other languages.
  ADD COLUMN translations jsonb NOT NULL DEFAULT '{}',
  ADD COLUMN version integer NOT NULL DEFAULT 1,
  ADD COLUMN updated_at timestamptz NOT NULL DEFAULT sally_now();

-- How the public pages of a workspace look; no row = Sally's own look.
CREATE TABLE page_themes (
  workspace_id uuid PRIMARY KEY REFERENCES workspaces (id),
  accent_color text NOT NULL CHECK (accent_color ~ '^[0-9a-f]{6}$'),
  corners text NOT NULL CHECK (corners IN ('ROUNDED', 'SQUARE')),
  footer text NOT NULL DEFAULT '',
  privacy_url text,
  imprint_url text,
  version integer NOT NULL DEFAULT 1,
  updated_at timestamptz NOT NULL DEFAULT sally_now()
);

-- Every leaving, with its source (spec 003, "Unsubscribe sources"): what retention is analysed by. ALL: no bulk mail any
-- more; CATEGORY: none of one category.
CREATE TABLE unsubscribes (
  workspace_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  contact_id uuid NOT NULL,
  source text NOT NULL CHECK (source IN ('LINK', 'PREFERENCE_CENTER', 'API', 'COMPLAINT', 'BOUNCE')),
  scope text NOT NULL CHECK (scope IN ('ALL', 'CATEGORY')),
  category_id uuid,
  -- The message that led here, where one did.
  source_id uuid,
  delivery_id uuid,
  campaign_id uuid,
  occurred_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id)
);
CREATE INDEX unsubscribes_contact ON unsubscribes (workspace_id, contact_id, id);
CREATE INDEX unsubscribes_source ON unsubscribes (workspace_id, source, occurred_at);

-- Bounces and complaints come in on several ways (an answer, a webhook, a report by mail); all of them end in the
-- contact's status, so here is the one place that sees every one.
CREATE FUNCTION sally_note_lost_contact() RETURNS trigger
  LANGUAGE plpgsql
  AS $$
  BEGIN
    INSERT INTO unsubscribes (workspace_id, contact_id, source, scope)
    VALUES (NEW.workspace_id, NEW.id, CASE NEW.status WHEN 'BOUNCED' THEN 'BOUNCE' ELSE 'COMPLAINT' END, 'ALL');
    RETURN NULL;
  END $$;
CREATE TRIGGER contacts_lost AFTER UPDATE OF status ON contacts FOR EACH ROW
  WHEN (OLD.status IS DISTINCT FROM NEW.status AND NEW.status IN ('BOUNCED', 'COMPLAINED'))
  EXECUTE FUNCTION sally_note_lost_contact();

-- Suppressions that were lifted: by whom, why and on what evidence.
CREATE TABLE suppression_removals (
  workspace_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT sally_uuid_v7(),
  suppression_id uuid NOT NULL,
  address_hash bytea,
  domain text,
  hint text NOT NULL,
  suppressed_reason text NOT NULL,
  suppressed_source text NOT NULL,
  suppressed_at timestamptz NOT NULL,
  suppressed_evidence jsonb NOT NULL,
  reason text NOT NULL CHECK (reason IN ('OWNER_REQUEST', 'ADDRESS_WORKS', 'MISTAKE')),
  evidence text NOT NULL,
  removed_by uuid NOT NULL,
  removed_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, id)
);
-- "What of this domain is suppressed?": an address is known by its hint ("a…@example.com") alone.
CREATE INDEX suppressions_hint_domain ON suppressions (workspace_id, (split_part(hint, '@', -1)), id);

-- Deliveries that a mailbox refused for now, and for good after all tries (full mailbox, greylisting that never ends).
CREATE TABLE soft_bounces (
  workspace_id uuid NOT NULL,
  address_hash bytea NOT NULL,
  source_id uuid NOT NULL,
  delivery_id uuid NOT NULL,
  enhanced_code text,
  occurred_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, address_hash, delivery_id)
);
CREATE INDEX soft_bounces_time ON soft_bounces (workspace_id, occurred_at);

-- After how many soft bounces within how many days an address is suppressed; no row = 5 within 30, 0 = never.
CREATE TABLE bounce_policies (
  workspace_id uuid PRIMARY KEY REFERENCES workspaces (id),
  soft_bounces integer NOT NULL CHECK (soft_bounces BETWEEN 0 AND 100),
  within_days integer NOT NULL CHECK (within_days BETWEEN 1 AND 365),
  version integer NOT NULL DEFAULT 1,
  updated_at timestamptz NOT NULL DEFAULT sally_now()
);

SELECT sally_protect_table('purpose_wording_translations');
SELECT sally_protect_table('consent_bases');
SELECT sally_protect_table('page_themes');
SELECT sally_protect_table('unsubscribes');
SELECT sally_protect_table('suppression_removals');
SELECT sally_protect_table('soft_bounces');
SELECT sally_protect_table('bounce_policies');
GRANT SELECT, INSERT ON purpose_wording_translations, consent_bases, unsubscribes, suppression_removals TO sally_api, sally_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON page_themes, soft_bounces, bounce_policies TO sally_api, sally_worker;
