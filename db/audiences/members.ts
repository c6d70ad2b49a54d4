import { many, one, type Queryable, sql } from '../../platform/postgres';
import type { ContactRow } from '../contacts';
import { countEvents } from '../events';
import { markAudiencesUsing } from './audiences';

export interface MemberRow extends Pick<ContactRow, 'id' | 'email' | 'status' | 'first_name' | 'last_name'> {
  added_at: Date;
}

/** Members by contact id, one more than `limit`. */
export function listMembers(
  db: Queryable,
  workspaceId: string,
  audienceId: string,
  page: { after: string | null; limit: number },
): Promise<MemberRow[]> {
  return many(
    db,
    sql`SELECT c.id, c.email, c.status, c.first_name, c.last_name, m.added_at
        FROM audience_members m JOIN contacts c ON c.workspace_id = m.workspace_id AND c.id = m.contact_id
        WHERE m.workspace_id = ${workspaceId} AND m.audience_id = ${audienceId} AND c.erased_at IS NULL
          AND (${page.after}::uuid IS NULL OR m.contact_id > ${page.after}::uuid)
        ORDER BY m.contact_id LIMIT ${page.limit + 1}`,
  );
}

/**
 * Adds contacts, which must exist, to a list; who is on it stays. Counts in the same statement, so that member_count
 * is exact. Returns how many were new.
 */
export async function addMembers(
  tx: Queryable,
  workspaceId: string,
  audienceId: string,
  contactIds: readonly string[],
): Promise<number> {
  const row = await one<{ count: number }>(
    tx,
    sql`WITH added AS (
          INSERT INTO audience_members (workspace_id, audience_id, contact_id)
          SELECT ${workspaceId}, ${audienceId}, id FROM unnest(${contactIds}::uuid[]) AS given (id) ORDER BY id
          ON CONFLICT DO NOTHING RETURNING contact_id),
        counted AS (SELECT count(*) AS count FROM added),
        noted AS (
          UPDATE audiences SET member_count = member_count + counted.count, updated_at = sally_now() FROM counted
          WHERE workspace_id = ${workspaceId} AND id = ${audienceId} AND counted.count > 0),
        told AS (
          SELECT count(sally_append_event(${workspaceId}, 'segment_membership_changed', contact_id, NULL,
            ${JSON.stringify({ audience_id: audienceId, change: 'added' })}::jsonb)) AS events FROM added)
        SELECT counted.count FROM counted, told`,
  );
  return noted(tx, workspaceId, audienceId, row?.count ?? 0);
}

/** Takes contacts off a list; returns how many were on it. */
export async function removeMembers(
  tx: Queryable,
  workspaceId: string,
  audienceId: string,
  contactIds: readonly string[],
): Promise<number> {
  const row = await one<{ count: number }>(
    tx,
    sql`WITH removed AS (
          DELETE FROM audience_members
          WHERE workspace_id = ${workspaceId} AND audience_id = ${audienceId} AND contact_id = ANY(${contactIds}::uuid[])
          RETURNING contact_id),
        counted AS (SELECT count(*) AS count FROM removed),
        noted AS (
          UPDATE audiences SET member_count = member_count - counted.count, updated_at = sally_now() FROM counted
          WHERE workspace_id = ${workspaceId} AND id = ${audienceId} AND counted.count > 0),
        told AS (
          SELECT count(sally_append_event(${workspaceId}, 'segment_membership_changed', contact_id, NULL,
            ${JSON.stringify({ audience_id: audienceId, change: 'removed' })}::jsonb)) AS events FROM removed)
        SELECT counted.count FROM counted, told`,
  );
  return noted(tx, workspaceId, audienceId, row?.count ?? 0);
}

/**
 * Adds the contacts of an import's batch: as `addMembers`, with one event for the batch (`contacts_imported`, which the
 * import appends) instead of one per contact.
 */
export async function addImportedMembers(
  tx: Queryable,
  workspaceId: string,
  audienceId: string,
  contactIds: readonly string[],
): Promise<number> {
  const row = await one<{ count: number }>(
    tx,
    sql`WITH added AS (
          INSERT INTO audience_members (workspace_id, audience_id, contact_id)
          SELECT ${workspaceId}, ${audienceId}, id FROM unnest(${contactIds}::uuid[]) AS given (id)
          ON CONFLICT DO NOTHING RETURNING contact_id),
        counted AS (SELECT count(*) AS count FROM added),
        noted AS (
          UPDATE audiences SET member_count = member_count + counted.count, updated_at = sally_now() FROM counted
          WHERE workspace_id = ${workspaceId} AND id = ${audienceId} AND counted.count > 0)
        SELECT count FROM counted`,
  );
  if (row && row.count > 0) await markAudiencesUsing(tx, workspaceId, audienceId);
  return row?.count ?? 0;
}

async function noted(tx: Queryable, workspaceId: string, audienceId: string, count: number): Promise<number> {
  countEvents('segment_membership_changed', count);
  if (count > 0) await markAudiencesUsing(tx, workspaceId, audienceId);
  return count;
}
