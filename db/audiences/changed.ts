import { type ConditionTree, type TrackedChanges, trackedChanges } from '../../domain/audiences';
import { canonicalHash } from '../../domain/content';
import { one, type Queryable, sql } from '../../platform/postgres';
import type { Lookups } from './resolve';

/** More changed contacts than this are not looked at one by one: everybody is calculated. */
const MOST_CONTACTS = 20_000;
/** Rows that are read in order to find them. */
const MOST_ROWS = 200_000;

/** How far a calculation has seen: what came later may have changed somebody. */
export interface Seen {
  /** Oldest transaction that may have been open when it began. */
  transaction: string;
  /** How far opens and clicks had been rolled up. */
  engagementTransaction: string;
  engagementId: string;
  lookupsSha256: string;
}

/** To be read before the calculation's own statement: what it does not see then is newer than this. */
export async function seenNow(tx: Queryable, lookups: Lookups): Promise<Seen> {
  const row = await one<{ xmin: string; transaction_id: string; event_id: string }>(
    tx,
    sql`SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin, coalesce(k.transaction_id, '0')::text AS transaction_id,
          coalesce(k.event_id, '00000000-0000-0000-0000-000000000000') AS event_id
        FROM (SELECT) AS always LEFT JOIN event_cursors k ON k.consumer = 'engagement-roll-up' AND k.shard = 0`,
  );
  if (!row) throw new Error('a snapshot has no horizon');
  return {
    transaction: row.xmin,
    engagementTransaction: row.transaction_id,
    engagementId: row.event_id,
    lookupsSha256: canonicalHash({
      timeZone: lookups.timeZone,
      fields: Object.fromEntries(lookups.fields),
      purposes: Object.fromEntries(lookups.purposes),
      categories: Object.fromEntries(lookups.categories),
    }),
  };
}

/**
 * The contacts for whom a tree's result may be another one than in the audience's last calculation, and those they were
 * merged with. Null: everybody has to be looked at, since nothing tells of changes, nobody was looked at for a day, names
 * in the tree stand for something else now, a change was told of for many at once (imports), or too many changed.
 */
export async function changedContacts(
  tx: Queryable,
  audience: { workspaceId: string; audienceId: string },
  tree: ConditionTree,
  now: Seen,
): Promise<string[] | null> {
  const tracked = trackedChanges(tree);
  if (tracked === null) return null;
  const before = await lastSeen(tx, audience, now);
  if (before === null) return null;
  const told = await toldContacts(tx, audience.workspaceId, tracked, before);
  if (told === null || !tracked.engagement) return told;
  const engaged = await engagedContacts(tx, audience.workspaceId, before);
  if (engaged === null) return null;
  const all = [...new Set([...told, ...engaged])];
  return all.length > MOST_CONTACTS ? null : all;
}

/** Null where there is nothing to go by, or only what another cluster's transactions were called. */
async function lastSeen(
  tx: Queryable,
  { workspaceId, audienceId }: { workspaceId: string; audienceId: string },
  now: Seen,
): Promise<Omit<Seen, 'lookupsSha256'> | null> {
  const row = await one<{ transaction: string; engagement_transaction: string; engagement_id: string }>(
    tx,
    sql`SELECT seen_transaction::text AS transaction, seen_engagement_transaction::text AS engagement_transaction,
          seen_engagement_id AS engagement_id
        FROM audiences
        WHERE workspace_id = ${workspaceId} AND id = ${audienceId} AND seen_transaction <= ${now.transaction}::xid8
          AND seen_engagement_transaction IS NOT NULL AND seen_lookups_sha256 = ${now.lookupsSha256}
          AND calculated_sha256 = definition_sha256 AND calculation_error IS NULL
          AND fully_calculated_at > sally_now() - interval '1 day'`,
  );
  return (
    row && {
      transaction: row.transaction,
      engagementTransaction: row.engagement_transaction,
      engagementId: row.engagement_id,
    }
  );
}

/** Whom events tell of since then; an event about contacts that names none tells of everybody. */
async function toldContacts(
  tx: Queryable,
  workspaceId: string,
  tracked: TrackedChanges,
  since: Omit<Seen, 'lookupsSha256'>,
): Promise<string[] | null> {
  const row = await one<{ rows: number; everybody: boolean; ids: string[] | null }>(
    tx,
    sql`WITH told AS MATERIALIZED (
          SELECT e.event_type, e.contact_id, e.payload ->> 'merged_contact_id' AS merged_id FROM marketing_events e
          WHERE e.transaction_id >= ${since.transaction}::xid8 AND e.workspace_id = ${workspaceId}::uuid AND (
            e.event_type LIKE 'contact%' OR e.event_type LIKE 'consent\\_%' OR e.event_type = 'email_unsubscribed'
            OR e.event_type = ANY (${tracked.eventTypes}::text[])
            OR (e.event_type = 'segment_membership_changed'
              AND e.payload ->> 'audience_id' = ANY (${tracked.usesAudiences}::text[])))
          LIMIT ${MOST_ROWS}),
        named AS (
          SELECT contact_id AS id FROM told WHERE contact_id IS NOT NULL
          UNION SELECT merged_id::uuid FROM told WHERE event_type = 'contact_merged' AND merged_id IS NOT NULL),
        family AS (
          SELECT id FROM named
          UNION SELECT c.merged_into FROM named n
            JOIN contacts c ON c.workspace_id = ${workspaceId}::uuid AND c.id = n.id AND c.merged_into IS NOT NULL
          LIMIT ${MOST_CONTACTS + 1})
        SELECT (SELECT count(*) FROM told) AS rows, (SELECT array_agg(id) FROM family) AS ids,
          EXISTS (SELECT FROM told WHERE contact_id IS NULL AND event_type LIKE 'contact%') AS everybody`,
  );
  if (!row || row.everybody || row.rows >= MOST_ROWS) return null;
  const ids = row.ids ?? [];
  return ids.length > MOST_CONTACTS ? null : ids;
}

/** Who opened or clicked since then; later than what had been rolled up, whether it has been by now or not. */
async function engagedContacts(
  tx: Queryable,
  workspaceId: string,
  since: Omit<Seen, 'lookupsSha256'>,
): Promise<string[] | null> {
  const row = await one<{ rows: number; ids: string[] | null }>(
    tx,
    sql`WITH acts AS MATERIALIZED (
          SELECT e.source_id, e.delivery_id FROM engagements e
          WHERE (e.transaction_id, e.id) > (${since.engagementTransaction}::xid8, ${since.engagementId}::uuid)
            AND e.workspace_id = ${workspaceId}::uuid AND e.kind IN ('OPEN', 'CLICK') AND e.actor <> 'machine'
          LIMIT ${MOST_ROWS})
        SELECT (SELECT count(*) FROM acts) AS rows, array_agg(DISTINCT coalesce(c.merged_into, c.id)) AS ids
        FROM acts
        JOIN deliveries d ON d.source_id = acts.source_id AND d.id = acts.delivery_id AND d.workspace_id = ${workspaceId}::uuid
        JOIN contacts c ON c.workspace_id = d.workspace_id AND c.id = d.contact_id`,
  );
  return !row || row.rows >= MOST_ROWS ? null : (row.ids ?? []);
}
