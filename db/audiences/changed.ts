import { type ConditionTree, type TrackedChanges, trackedChanges } from '../../domain/audiences';
import { canonicalHash } from '../../domain/content';
import { one, type Queryable, sql } from '../../platform/postgres';
import type { Lookups } from './resolve';

/** More changed contacts than this are not looked at one by one: everybody is calculated. */
const MOST_CONTACTS = 20_000;
/** Rows that are read in order to find them. */
const MOST_ROWS = 200_000;
const NIL = '00000000-0000-0000-0000-000000000000';

/** How far a calculation has seen: what came later may have changed somebody. */
export interface Seen {
  /** Oldest transaction that may have been open when it began. */
  transaction: string;
  /** How far opens and clicks had been rolled up. */
  engagementTransaction: string;
  engagementId: string;
  /** How far the ledger's groups had been rolled up. */
  settledTransaction: string;
  settledClaim: string;
  lookupsSha256: string;
}

type Since = Omit<Seen, 'lookupsSha256'>;

/** To be read before the calculation's own statement: what it does not see then is newer than this. */
export async function seenNow(tx: Queryable, lookups: Lookups): Promise<Seen> {
  const row = await one<Since & Record<string, unknown>>(
    tx,
    sql`SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS transaction,
          coalesce(e.transaction_id, '0')::text AS "engagementTransaction", coalesce(e.event_id, ${NIL}::uuid) AS "engagementId",
          coalesce(g.transaction_id, '0')::text AS "settledTransaction", coalesce(g.event_id, ${NIL}::uuid) AS "settledClaim"
        FROM (SELECT) AS always
        LEFT JOIN event_cursors e ON e.consumer = 'engagement-roll-up' AND e.shard = 0
        LEFT JOIN event_cursors g ON g.consumer = 'receipt-roll-up' AND g.shard = 0`,
  );
  if (!row) throw new Error('a snapshot has no horizon');
  return {
    ...row,
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
  if (told === null) return null;
  const engaged = tracked.engagement ? await engagedContacts(tx, audience.workspaceId, before) : [];
  if (engaged === null) return null;
  const settled = tracked.outcomes ? await settledContacts(tx, audience.workspaceId, before) : [];
  if (settled === null) return null;
  const all = [...new Set([...told, ...engaged, ...settled])];
  return all.length > MOST_CONTACTS ? null : all;
}

/** Null where there is nothing to go by, or only what another cluster's transactions were called. */
async function lastSeen(
  tx: Queryable,
  { workspaceId, audienceId }: { workspaceId: string; audienceId: string },
  now: Seen,
): Promise<Since | null> {
  return one<Since & Record<string, unknown>>(
    tx,
    sql`SELECT seen_transaction::text AS transaction, seen_engagement_transaction::text AS "engagementTransaction",
          seen_engagement_id AS "engagementId", seen_settled_transaction::text AS "settledTransaction",
          seen_settled_claim AS "settledClaim"
        FROM audiences
        WHERE workspace_id = ${workspaceId} AND id = ${audienceId} AND seen_transaction <= ${now.transaction}::xid8
          AND seen_engagement_transaction IS NOT NULL AND seen_settled_transaction IS NOT NULL
          AND seen_lookups_sha256 = ${now.lookupsSha256}
          AND calculated_sha256 = definition_sha256 AND calculation_error IS NULL
          AND fully_calculated_at > sally_now() - interval '1 day'`,
  );
}

/** Whom events tell of since then; an event about contacts that names none tells of everybody. */
async function toldContacts(
  tx: Queryable,
  workspaceId: string,
  tracked: TrackedChanges,
  since: Since,
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
async function engagedContacts(tx: Queryable, workspaceId: string, since: Since): Promise<string[] | null> {
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

/** To whom messages were accepted, refused, queued again since then; whatever they are by now. */
async function settledContacts(tx: Queryable, workspaceId: string, since: Since): Promise<string[] | null> {
  const row = await one<{ rows: number; ids: string[] | null }>(
    tx,
    sql`WITH changed AS MATERIALIZED (
          SELECT g.source_ids, g.delivery_ids FROM delivery_groups g
          WHERE g.transaction_id IS NOT NULL
            AND (g.transaction_id, g.claim_id) > (${since.settledTransaction}::xid8, ${since.settledClaim}::uuid)
            AND g.workspace_id = ${workspaceId}::uuid
          LIMIT ${MOST_ROWS}),
        members AS MATERIALIZED (
          SELECT coalesce(c.source_ids[u.position], c.source_ids[1]) AS source_id, u.id
          FROM changed c CROSS JOIN LATERAL unnest(c.delivery_ids) WITH ORDINALITY AS u (id, position)
          LIMIT ${MOST_ROWS})
        SELECT (SELECT count(*) FROM members) AS rows, array_agg(DISTINCT coalesce(c.merged_into, c.id)) AS ids
        FROM members m
        CROSS JOIN LATERAL (SELECT x.workspace_id, x.contact_id FROM deliveries x
          WHERE x.source_id = m.source_id AND x.id = m.id OFFSET 0) d
        JOIN contacts c ON c.workspace_id = d.workspace_id AND c.id = d.contact_id`,
  );
  return !row || row.rows >= MOST_ROWS ? null : (row.ids ?? []);
}
