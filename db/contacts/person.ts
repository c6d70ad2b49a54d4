import { many, type Queryable, type Statement, sql } from '../../platform/postgres';

/** A row of a section: where the next page begins behind it, and what is written. */
export interface PersonRow {
  key: string;
  document: unknown;
}

interface Section {
  /** Name in the document. */
  name: string;
  /** Rows by `key`, from behind `after` on. `family`: the contact and those merged into it. */
  rows(of: { workspaceId: string; family: readonly string[]; after: string | null; limit: number }): Statement;
}

/** A section whose rows are those of a table with contact_id and id. */
function byId(name: string, table: string, columns: string): Section {
  return {
    name,
    rows: ({ workspaceId, family, after, limit }) => ({
      ...sql`SELECT t.id::text AS key, to_jsonb(d) AS document FROM ${raw(table)} t
        CROSS JOIN LATERAL (SELECT ${raw(columns)}) d
        WHERE t.workspace_id = ${workspaceId} AND t.contact_id = ANY (${family}::uuid[])
          AND (${after}::uuid IS NULL OR t.id > ${after}::uuid) ORDER BY t.id LIMIT ${limit}`,
    }),
  };
}

const raw = (text: string): Statement => ({ text, values: [] });

/** A short section, given whole: `after` null asks for it, anything else finds nothing more. */
function whole(
  name: string,
  statement: (of: { workspaceId: string; family: readonly string[] }) => Statement,
): Section {
  return {
    name,
    rows: ({ workspaceId, family, after }) =>
      sql`SELECT 'all' AS key, to_jsonb(t) AS document FROM (${statement({ workspaceId, family })}) t WHERE ${after}::text IS NULL`,
  };
}

/** All that is stored about a person, part by part, in the order of the document. */
export const PERSON_SECTIONS: readonly Section[] = [
  whole(
    'profiles',
    ({ workspaceId, family }) => sql`
    SELECT id, email, status, first_name, last_name, locale, time_zone, tags, fields, merged_into, created_at, updated_at
    FROM contacts WHERE workspace_id = ${workspaceId} AND id = ANY (${family}::uuid[]) ORDER BY id`,
  ),
  whole(
    'external_ids',
    ({ workspaceId, family }) => sql`
    SELECT kind, value, created_at FROM contact_identities
    WHERE workspace_id = ${workspaceId} AND contact_id = ANY (${family}::uuid[]) ORDER BY kind, value`,
  ),
  byId('submissions', 'submissions', 't.id, t.origin, t.payload, t.created_at'),
  whole(
    'consents',
    ({ workspaceId, family }) => sql`
    SELECT p.key AS purpose, p.name, c.channel, c.status, c.granted_at, c.revoked_at, c.source, c.updated_at
    FROM consents c JOIN purposes p ON p.workspace_id = c.workspace_id AND p.id = c.purpose_id
    WHERE c.workspace_id = ${workspaceId} AND c.contact_id = ANY (${family}::uuid[]) ORDER BY p.key, c.channel`,
  ),
  byId(
    'consent_events',
    'consent_events',
    `t.id, (SELECT p.key FROM purposes p WHERE p.workspace_id = t.workspace_id AND p.id = t.purpose_id) AS purpose,
     t.channel, t.status, t.source, t.wording_version,
     (SELECT w.wording FROM purpose_wordings w WHERE w.workspace_id = t.workspace_id AND w.purpose_id = t.purpose_id
       AND w.wording_version = t.wording_version) AS wording,
     t.locale, host(t.ip_address) AS ip_address, t.user_agent, t.occurred_at`,
  ),
  whole(
    'preferences',
    ({ workspaceId, family }) => sql`
    SELECT p.key AS category, p.name, c.subscribed, c.source, c.updated_at FROM category_preferences c
    JOIN preference_categories p ON p.workspace_id = c.workspace_id AND p.id = c.category_id
    WHERE c.workspace_id = ${workspaceId} AND c.contact_id = ANY (${family}::uuid[]) ORDER BY p.key`,
  ),
  byId(
    'opt_in_requests',
    'opt_in_requests',
    't.id, t.status, t.profile, t.locale, host(t.ip_address) AS ip_address, t.user_agent, t.created_at, t.confirmed_at',
  ),
  whole(
    'audiences',
    ({ workspaceId, family }) => sql`
    SELECT a.id, a.name, m.added_at FROM audience_members m
    JOIN audiences a ON a.workspace_id = m.workspace_id AND a.id = m.audience_id
    WHERE m.workspace_id = ${workspaceId} AND m.contact_id = ANY (${family}::uuid[]) AND a.archived_at IS NULL ORDER BY a.id`,
  ),
  whole(
    'suppressions',
    ({ workspaceId, family }) => sql`
    SELECT s.id, s.reason, s.state, s.created_at FROM suppressions s
    JOIN contacts c ON c.workspace_id = s.workspace_id AND c.email_hash = s.address_hash
    WHERE s.workspace_id = ${workspaceId} AND c.id = ANY (${family}::uuid[]) ORDER BY s.id`,
  ),
  byId(
    'messages',
    'deliveries',
    `t.id, t.source_type, t.status, t.reason, t.address, t.recipient_name, t.context, t.created_at, t.sent_at,
     (SELECT m.subject FROM messages m WHERE m.workspace_id = t.workspace_id AND m.id = t.message_id) AS subject_template,
     (SELECT jsonb_agg(jsonb_build_object('kind', e.kind, 'link', e.link_position, 'actor', e.actor, 'occurred_at', e.occurred_at)
        ORDER BY e.occurred_at) FROM engagements e
      WHERE e.workspace_id = t.workspace_id AND e.source_id = t.source_id AND e.delivery_id = t.id) AS engagements`,
  ),
  {
    name: 'events',
    rows: ({ workspaceId, family, after, limit }) => sql`
      SELECT t.event_id::text AS key, jsonb_build_object('id', t.event_id, 'type', t.event_type, 'payload', t.payload,
        'created_at', t.created_at) AS document
      FROM marketing_events t WHERE t.workspace_id = ${workspaceId} AND t.contact_id = ANY (${family}::uuid[])
        AND (${after}::uuid IS NULL OR t.event_id > ${after}::uuid) ORDER BY t.event_id LIMIT ${limit}`,
  },
];

/** The contact and those that were merged into it. */
export async function contactFamily(db: Queryable, workspaceId: string, contactId: string): Promise<string[]> {
  const rows = await many<{ id: string }>(
    db,
    sql`SELECT f AS id FROM sally_contact_family(${workspaceId}, ${contactId}) AS f`,
  );
  return rows.map(({ id }) => id);
}

/** A page of a section, by key. */
export function readPersonRows(
  db: Queryable,
  section: Section,
  of: { workspaceId: string; family: readonly string[]; after: string | null; limit: number },
): Promise<PersonRow[]> {
  return many<PersonRow & Record<string, unknown>>(db, section.rows(of));
}
