import type { ExternalId, FieldSnapshot, Profile } from '../../domain/contacts';
import { many, one, type Queryable, sql } from '../../platform/postgres';

export type ContactStatus = 'ACTIVE' | 'UNSUBSCRIBED' | 'BOUNCED' | 'COMPLAINED';

export interface ContactRow {
  id: string;
  email: string;
  status: ContactStatus;
  first_name: string;
  last_name: string;
  locale: string | null;
  time_zone: string | null;
  tags: string[];
  fields: FieldSnapshot;
  external_ids: ExternalId[];
  version: number;
  created_at: Date;
  updated_at: Date;
}

const COLUMNS = sql`c.id, c.email, c.status, c.first_name, c.last_name, c.locale, c.time_zone, c.tags, c.fields,
  coalesce((SELECT jsonb_agg(jsonb_build_object('kind', i.kind, 'value', i.value) ORDER BY i.kind, i.value)
    FROM contact_identities i WHERE i.workspace_id = c.workspace_id AND i.contact_id = c.id), '[]') AS external_ids,
  c.version, c.created_at, c.updated_at`;

/** The profile in a row: a name that is not known is null there and empty here. */
export function toProfile(
  row: Pick<ContactRow, 'email' | 'first_name' | 'last_name' | 'locale' | 'time_zone' | 'tags' | 'fields'>,
): Profile {
  return {
    email: row.email,
    firstName: row.first_name || null,
    lastName: row.last_name || null,
    locale: row.locale,
    timeZone: row.time_zone,
    tags: row.tags,
    fields: row.fields,
  };
}

export function findContact(db: Queryable, workspaceId: string, id: string): Promise<ContactRow | null> {
  return one(
    db,
    sql`SELECT ${COLUMNS} FROM contacts c
        WHERE c.workspace_id = ${workspaceId} AND c.id = ${id} AND c.erased_at IS NULL`,
  );
}

/** The contact, held until the end of the transaction. */
export function lockContact(tx: Queryable, workspaceId: string, id: string): Promise<ContactRow | null> {
  return one(
    tx,
    sql`SELECT ${COLUMNS} FROM contacts c
        WHERE c.workspace_id = ${workspaceId} AND c.id = ${id} AND c.erased_at IS NULL FOR UPDATE`,
  );
}

/** Id of the contact with a normalised address. */
export async function findContactId(db: Queryable, workspaceId: string, email: string): Promise<string | null> {
  const row = await one<{ id: string }>(
    db,
    sql`SELECT id FROM contacts WHERE workspace_id = ${workspaceId} AND email = ${email}`,
  );
  return row?.id ?? null;
}

/** Id of the contact that one with this address was merged into, lately at best; null: none, or it was erased. */
export async function findByMergedAddress(db: Queryable, workspaceId: string, hash: Buffer): Promise<string | null> {
  const row = await one<{ id: string }>(
    db,
    sql`SELECT c.merged_into AS id FROM merged_addresses m
        JOIN contacts c ON c.workspace_id = m.workspace_id AND c.id = m.contact_id AND c.merged_into IS NOT NULL
        WHERE m.workspace_id = ${workspaceId} AND m.address_hash = ${hash} ORDER BY m.merged_at DESC LIMIT 1`,
  );
  return row?.id ?? null;
}

export interface ContactFilter {
  status: ContactStatus | null;
  tag: string | null;
  /** Only ids below this one: the list runs from the newest to the oldest. */
  before: string | null;
  limit: number;
}

/** Contacts, newest first, one more than `limit`. */
export function listContacts(db: Queryable, workspaceId: string, filter: ContactFilter): Promise<ContactRow[]> {
  return many(
    db,
    sql`SELECT ${COLUMNS} FROM contacts c
        WHERE c.workspace_id = ${workspaceId} AND c.erased_at IS NULL
          AND (${filter.status}::text IS NULL OR c.status = ${filter.status})
          AND (${filter.tag}::text IS NULL OR c.tags @> ARRAY[${filter.tag}::text])
          AND (${filter.before}::uuid IS NULL OR c.id < ${filter.before}::uuid)
        ORDER BY c.id DESC LIMIT ${filter.limit + 1}`,
  );
}

/** Those whose address, first or last name begins with `prefix`, in any letter case; one more than `limit`. */
export function searchContacts(
  db: Queryable,
  workspaceId: string,
  prefix: string,
  filter: ContactFilter,
): Promise<ContactRow[]> {
  return many(
    db,
    sql`SELECT ${COLUMNS} FROM sally_search_contacts(${workspaceId}, ${prefix.toLowerCase()}, ${filter.status}, ${filter.tag},
          ${filter.before}, ${filter.limit + 1}) c ORDER BY c.id DESC`,
  );
}

/** Ids of those that exist among `ids`. */
export async function existingContactIds(
  db: Queryable,
  workspaceId: string,
  ids: readonly string[],
): Promise<string[]> {
  const rows = await many<{ id: string }>(
    db,
    sql`SELECT id FROM contacts WHERE workspace_id = ${workspaceId} AND id = ANY(${ids}::uuid[]) AND erased_at IS NULL`,
  );
  return rows.map(({ id }) => id);
}
