-- Stable identity (external ids, merges) and the derived index of custom fields.

-- Ids that other systems have for a contact: kind 'crm', 'shop', … A value belongs to one contact; a contact may have
-- several of a kind, since a merge keeps both.
CREATE TABLE contact_identities (
  workspace_id uuid NOT NULL,
  kind text COLLATE "C" NOT NULL CHECK (kind ~ '^[a-z][a-z0-9_]{0,62}$'),
  value text COLLATE "C" NOT NULL CHECK (length(value) BETWEEN 1 AND 255),
  contact_id uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT sally_now(),
  PRIMARY KEY (workspace_id, kind, value),
  FOREIGN KEY (workspace_id, contact_id) REFERENCES contacts (workspace_id, id)
);
CREATE INDEX contact_identities_contact ON contact_identities (workspace_id, contact_id);
SELECT sally_protect_table('contact_identities');
GRANT SELECT, INSERT, UPDATE, DELETE ON contact_identities TO sally_api, sally_worker;

-- A contact that was merged is a tombstone (erased_at is set, so that nothing counts or mails it) which knows where its
-- person is now. Always the last survivor: a later merge points the older tombstones on.
ALTER TABLE contacts ADD COLUMN merged_into uuid,
  ADD CONSTRAINT contacts_merged_into_fkey FOREIGN KEY (workspace_id, merged_into) REFERENCES contacts (workspace_id, id),
  ADD CONSTRAINT contacts_merged_check CHECK (merged_into IS NULL OR (erased_at IS NOT NULL AND merged_into <> id));
CREATE INDEX contacts_merged_into ON contacts (workspace_id, merged_into) WHERE merged_into IS NOT NULL;

-- The contact itself and all that were merged into it: whose submissions, consent events and events are its history.
CREATE FUNCTION sally_contact_family(workspace uuid, contact uuid) RETURNS SETOF uuid
  LANGUAGE sql STABLE
  AS $$
    SELECT contact
    UNION ALL
    SELECT c.id FROM contacts c WHERE c.workspace_id = workspace AND c.merged_into = contact
  $$;

-- Open words, so that further origins and kinds need no new constraint; the code knows which there are.
ALTER TABLE submissions DROP CONSTRAINT submissions_origin_check,
  ADD CONSTRAINT submissions_origin_check CHECK (origin ~ '^[A-Z][A-Z_]{1,30}$');
ALTER TABLE jobs DROP CONSTRAINT jobs_kind_check, ADD CONSTRAINT jobs_kind_check CHECK (kind ~ '^[a-z][A-Za-z]{1,40}$');

-- is_segmentable: every write of a contact keeps contact_attributes (trigger below). Segments may use a field whose
-- index_state is READY; BUILDING and REMOVING are done by the job index_job_id (workflow buildIndex).
ALTER TABLE contact_field_definitions
  ADD COLUMN is_segmentable boolean NOT NULL DEFAULT false,
  ADD COLUMN index_state text NOT NULL DEFAULT 'NONE' CHECK (index_state IN ('NONE', 'BUILDING', 'READY', 'REMOVING')),
  ADD COLUMN index_job_id uuid,
  ADD CONSTRAINT contact_field_definitions_index_check CHECK (is_segmentable = (index_state IN ('BUILDING', 'READY')));
CREATE INDEX contact_field_definitions_segmentable ON contact_field_definitions (workspace_id) WHERE is_segmentable;

-- Derived from contacts.fields: one typed row per contact and segmentable field that has a value; no row = missing.
-- No foreign keys: contacts are never deleted, the trigger alone writes here, and a check per row would cost as much as
-- the row.
CREATE TABLE contact_attributes (
  workspace_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  field_id uuid NOT NULL,
  -- text, enum, url
  text_value text COLLATE "C",
  number_value double precision,
  boolean_value boolean,
  date_value date,
  -- datetime
  moment_value timestamptz,
  list_value text[] COLLATE "C",
  PRIMARY KEY (workspace_id, contact_id, field_id),
  CHECK (num_nonnulls(text_value, number_value, boolean_value, date_value, moment_value, list_value) = 1)
);
-- A text has up to 10,000 characters, an index entry 2,704 bytes: ask for left(text_value, 200) = left($1, 200) as well.
CREATE INDEX contact_attributes_text ON contact_attributes (workspace_id, field_id, left(text_value, 200), contact_id) WHERE text_value IS NOT NULL;
CREATE INDEX contact_attributes_number ON contact_attributes (workspace_id, field_id, number_value, contact_id) WHERE number_value IS NOT NULL;
CREATE INDEX contact_attributes_boolean ON contact_attributes (workspace_id, field_id, boolean_value, contact_id) WHERE boolean_value IS NOT NULL;
CREATE INDEX contact_attributes_date ON contact_attributes (workspace_id, field_id, date_value, contact_id) WHERE date_value IS NOT NULL;
CREATE INDEX contact_attributes_moment ON contact_attributes (workspace_id, field_id, moment_value, contact_id) WHERE moment_value IS NOT NULL;
CREATE INDEX contact_attributes_list ON contact_attributes USING gin (list_value) WHERE list_value IS NOT NULL;
SELECT sally_protect_table('contact_attributes');
GRANT SELECT, INSERT, UPDATE, DELETE ON contact_attributes TO sally_api, sally_worker;

-- A value of contacts.fields in the column of its type; NULL in the others, and where the value is of another type.
CREATE FUNCTION sally_attribute_text(type text, value jsonb) RETURNS text LANGUAGE sql STABLE
  AS $$ SELECT CASE WHEN type IN ('text', 'enum', 'url') AND jsonb_typeof(value) = 'string' THEN value #>> '{}' END $$;
CREATE FUNCTION sally_attribute_number(type text, value jsonb) RETURNS double precision LANGUAGE sql STABLE
  AS $$ SELECT CASE WHEN type = 'number' AND jsonb_typeof(value) = 'number' THEN (value #>> '{}')::double precision END $$;
CREATE FUNCTION sally_attribute_boolean(type text, value jsonb) RETURNS boolean LANGUAGE sql STABLE
  AS $$ SELECT CASE WHEN type = 'boolean' AND jsonb_typeof(value) = 'boolean' THEN (value #>> '{}')::boolean END $$;
CREATE FUNCTION sally_attribute_date(type text, value jsonb) RETURNS date LANGUAGE sql STABLE
  AS $$ SELECT CASE WHEN type = 'date' AND value #>> '{}' ~ '^(?!0000)\d{4}-\d\d-\d\d$' THEN (value #>> '{}')::date END $$;
CREATE FUNCTION sally_attribute_moment(type text, value jsonb) RETURNS timestamptz LANGUAGE sql STABLE
  AS $$ SELECT CASE WHEN type = 'datetime' AND value #>> '{}' ~ '^(?!0000)\d{4}-\d\d-\d\dT' THEN (value #>> '{}')::timestamptz END $$;
CREATE FUNCTION sally_attribute_list(type text, value jsonb) RETURNS text[] LANGUAGE sql STABLE
  AS $$ SELECT CASE WHEN type = 'list' AND jsonb_typeof(value) = 'array' THEN ARRAY(SELECT jsonb_array_elements_text(value)) END $$;

-- Keeps contact_attributes in the transaction of every change of a contact, whoever makes it. Once per statement, so
-- that an import stays set-based. A definer's function: roles that may change contacts need no rights on the index.
-- Nested loops are off, since a plan that was made for one contact would compare each of 2,000 with all others. Lists
-- apart: a function with a subquery is not inlined, and its call costs more than the row.
CREATE FUNCTION sally_index_contacts() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_nestloop = off SET enable_hashjoin = on
  AS $$
  DECLARE gone record;
  BEGIN
    IF NOT EXISTS (SELECT FROM contact_field_definitions WHERE is_segmentable) THEN
      RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
      INSERT INTO contact_attributes (workspace_id, contact_id, field_id, text_value, number_value, boolean_value,
        date_value, moment_value, list_value)
      SELECT * FROM (
        SELECT n.workspace_id, n.id, d.id AS field, sally_attribute_text(d.type, n.fields -> d.name) AS t,
          sally_attribute_number(d.type, n.fields -> d.name) AS n, sally_attribute_boolean(d.type, n.fields -> d.name) AS b,
          sally_attribute_date(d.type, n.fields -> d.name) AS d, sally_attribute_moment(d.type, n.fields -> d.name) AS m,
          CASE WHEN d.type = 'list' THEN sally_attribute_list(d.type, n.fields -> d.name) END AS l
        FROM new_contacts n
        JOIN contact_field_definitions d ON d.workspace_id = n.workspace_id AND d.is_segmentable
        WHERE n.fields ? d.name) v
      WHERE num_nonnulls(v.t, v.n, v.b, v.d, v.m, v.l) = 1
      ON CONFLICT DO NOTHING;
    ELSE
      FOR gone IN
        SELECT n.workspace_id, n.id, d.id AS field
        FROM new_contacts n
        JOIN old_contacts o ON o.workspace_id = n.workspace_id AND o.id = n.id
        JOIN contact_field_definitions d ON d.workspace_id = n.workspace_id AND d.is_segmentable
        WHERE o.fields ? d.name AND NOT n.fields ? d.name
      LOOP
        DELETE FROM contact_attributes a
        WHERE a.workspace_id = gone.workspace_id AND a.contact_id = gone.id AND a.field_id = gone.field;
      END LOOP;
      INSERT INTO contact_attributes AS a (workspace_id, contact_id, field_id, text_value, number_value, boolean_value,
        date_value, moment_value, list_value)
      SELECT * FROM (
        SELECT n.workspace_id, n.id, d.id AS field, sally_attribute_text(d.type, n.fields -> d.name) AS t,
          sally_attribute_number(d.type, n.fields -> d.name) AS n, sally_attribute_boolean(d.type, n.fields -> d.name) AS b,
          sally_attribute_date(d.type, n.fields -> d.name) AS d, sally_attribute_moment(d.type, n.fields -> d.name) AS m,
          CASE WHEN d.type = 'list' THEN sally_attribute_list(d.type, n.fields -> d.name) END AS l
        FROM new_contacts n
        JOIN old_contacts o ON o.workspace_id = n.workspace_id AND o.id = n.id
        JOIN contact_field_definitions d ON d.workspace_id = n.workspace_id AND d.is_segmentable
        WHERE n.fields ? d.name AND (n.fields -> d.name) IS DISTINCT FROM (o.fields -> d.name)) v
      WHERE num_nonnulls(v.t, v.n, v.b, v.d, v.m, v.l) = 1
      ON CONFLICT (workspace_id, contact_id, field_id) DO UPDATE SET text_value = excluded.text_value,
        number_value = excluded.number_value, boolean_value = excluded.boolean_value, date_value = excluded.date_value,
        moment_value = excluded.moment_value, list_value = excluded.list_value;
    END IF;
    RETURN NULL;
  END $$;

CREATE TRIGGER contacts_index_inserted AFTER INSERT ON contacts REFERENCING NEW TABLE AS new_contacts
  FOR EACH STATEMENT EXECUTE FUNCTION sally_index_contacts();
CREATE TRIGGER contacts_index_updated AFTER UPDATE ON contacts REFERENCING OLD TABLE AS old_contacts NEW TABLE AS new_contacts
  FOR EACH STATEMENT EXECUTE FUNCTION sally_index_contacts();

-- A function's new owner needs CREATE on the schema, but only for this moment.
GRANT CREATE ON SCHEMA public TO sally_worker;
REVOKE ALL ON FUNCTION sally_index_contacts() FROM PUBLIC;
ALTER FUNCTION sally_index_contacts() OWNER TO sally_worker;
REVOKE CREATE ON SCHEMA public FROM sally_worker;
