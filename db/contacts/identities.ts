import type { ExternalId } from '../../domain/contacts';
import { many, type Queryable, sql } from '../../platform/postgres';
import { isMeanwhile, ProfileConflict } from './conflict';

export type OwnedExternalId = ExternalId & { contactId: string };

/** External ids among those asked for that a contact has. */
export async function findExternalIds(
  db: Queryable,
  workspaceId: string,
  wanted: readonly ExternalId[],
): Promise<OwnedExternalId[]> {
  if (wanted.length === 0) return [];
  const rows = await many<{ kind: string; value: string; contact_id: string }>(
    db,
    sql`SELECT i.kind, i.value, i.contact_id
        FROM (SELECT ${workspaceId}::uuid AS workspace_id, kind, value
          FROM unnest(${wanted.map(({ kind }) => kind)}::text[], ${wanted.map(({ value }) => value)}::text[])
            AS w (kind, value) OFFSET 0) AS given
        JOIN contact_identities i ON i.workspace_id = given.workspace_id AND i.kind = given.kind AND i.value = given.value`,
  );
  return rows.map(({ kind, value, contact_id }) => ({ kind, value, contactId: contact_id }));
}

/** All external ids of contacts. */
export async function externalIdsOf(
  db: Queryable,
  workspaceId: string,
  contactIds: readonly string[],
): Promise<OwnedExternalId[]> {
  const rows = await many<{ kind: string; value: string; contact_id: string }>(
    db,
    sql`SELECT kind, value, contact_id FROM contact_identities
        WHERE workspace_id = ${workspaceId} AND contact_id = ANY(${contactIds}::uuid[]) ORDER BY kind, value`,
  );
  return rows.map(({ kind, value, contact_id }) => ({ kind, value, contactId: contact_id }));
}

/** Gives external ids to contacts. Throws ProfileConflict when one has been taken meanwhile; the statement has failed then. */
export async function insertExternalIds(
  tx: Queryable,
  workspaceId: string,
  externalIds: readonly OwnedExternalId[],
): Promise<void> {
  if (externalIds.length === 0) return;
  try {
    // Without ON CONFLICT, which looks each row up before and confirms it after, for what hardly ever happens.
    await tx.query(sql`
      INSERT INTO contact_identities (workspace_id, kind, value, contact_id, created_at)
      SELECT ${workspaceId}, n.kind, n.value, n.contact_id, (SELECT sally_now())
      FROM unnest(${externalIds.map(({ kind }) => kind)}::text[], ${externalIds.map(({ value }) => value)}::text[],
        ${externalIds.map(({ contactId }) => contactId)}::uuid[]) AS n (kind, value, contact_id)
      ORDER BY n.kind, n.value`);
  } catch (error) {
    throw isMeanwhile(error) ? new ProfileConflict() : error;
  }
}

/** Takes external ids from a contact. */
export async function deleteExternalIds(
  tx: Queryable,
  workspaceId: string,
  contactId: string,
  externalIds: readonly ExternalId[],
): Promise<void> {
  if (externalIds.length === 0) return;
  await tx.query(sql`
    DELETE FROM contact_identities i
    USING unnest(${externalIds.map(({ kind }) => kind)}::text[], ${externalIds.map(({ value }) => value)}::text[]) AS o (kind, value)
    WHERE i.workspace_id = ${workspaceId} AND i.contact_id = ${contactId} AND i.kind = o.kind AND i.value = o.value`);
}

/** Ids of the contacts that have one of these addresses (normalised) or external ids. */
export async function findByKeys(
  db: Queryable,
  workspaceId: string,
  emails: readonly string[],
  externalIds: readonly ExternalId[],
): Promise<string[]> {
  const rows = await many<{ id: string }>(
    db,
    // No normalised address holds a line break, and one text is much cheaper to bind than an array.
    sql`SELECT c.id
        FROM (SELECT ${workspaceId}::uuid AS workspace_id, email
          FROM unnest(string_to_array(nullif(${emails.join('\n')}, ''), E'\n')) AS e (email) OFFSET 0) AS given
        JOIN contacts c ON c.workspace_id = given.workspace_id AND c.email = given.email`,
  );
  const owned = await findExternalIds(db, workspaceId, externalIds);
  return [...new Set([...rows.map(({ id }) => id), ...owned.map(({ contactId }) => contactId)])];
}
