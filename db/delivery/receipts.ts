import { type Database, one, type Queryable, sql } from '../../platform/postgres';
import { lookUpOnly } from '../contacts';
import { lockCursor, moveCursor } from '../events';

/** Names the roll-up's cursor among those of the consumers of events. */
const CURSOR = 'receipt-roll-up';

/**
 * Adds what was accepted for whom, of all workspaces, to what is known about their contacts, and moves the cursor, in one
 * transaction. Two processes take turns.
 *
 * It reads the ledger's groups in the order of the transactions that changed them last, and only of those below which none
 * is open any more, so that a settlement that commits late is not skipped. A group that changes again is read again, which
 * changes nothing about rows that were known: first and last times come out the same, however often. Test, opt-in and
 * transactional mail does not count, nor do contacts that were erased. What a merged contact received before stays under
 * its own id; who asks looks it up by the survivor.
 *
 * @returns how many groups were read; less than `limit`: there are no more at the moment
 */
export function rollUpReceipts(db: Database, limit: number): Promise<number> {
  return db.transaction(async (tx) => {
    const cursor = await lockCursor(tx, CURSOR);
    // Right after a large campaign the planner knows nothing of it and would read entire ledgers for a few messages.
    await lookUpOnly(tx);
    const read = await one<{ count: number; transaction_id: string | null; claim_id: string | null }>(
      tx,
      sql`WITH batch AS MATERIALIZED (
            SELECT transaction_id, claim_id, workspace_id, source_ids, delivery_ids FROM delivery_groups
            WHERE transaction_id IS NOT NULL AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
              AND (transaction_id, claim_id) > (${cursor.transactionId}::xid8, ${cursor.id}::uuid)
            ORDER BY transaction_id, claim_id LIMIT ${limit}),
          members AS MATERIALIZED (
            SELECT b.workspace_id, coalesce(b.source_ids[u.position], b.source_ids[1]) AS source_id, u.id
            FROM batch b CROSS JOIN LATERAL unnest(b.delivery_ids) WITH ORDINALITY AS u (id, position)),
          received AS (
            INSERT INTO contact_receipts AS k (workspace_id, contact_id, first_at, last_at)
            SELECT d.workspace_id, d.contact_id, min(d.sent_at), max(d.sent_at)
            FROM members m
            CROSS JOIN LATERAL (SELECT x.workspace_id, x.contact_id, x.status, x.class, x.sent_at FROM deliveries x
              WHERE x.source_id = m.source_id AND x.id = m.id OFFSET 0) d
            JOIN contacts c ON c.workspace_id = d.workspace_id AND c.id = d.contact_id
            LEFT JOIN contacts s ON s.workspace_id = c.workspace_id AND s.id = c.merged_into
            WHERE d.status = 'SENT' AND d.class IN ('bulk', 'journey')
              AND CASE WHEN c.merged_into IS NULL THEN c.erased_at IS NULL ELSE s.erased_at IS NULL END
            GROUP BY 1, 2 ORDER BY 1, 2
            ON CONFLICT (workspace_id, contact_id) DO UPDATE SET first_at = least(k.first_at, excluded.first_at),
              last_at = greatest(k.last_at, excluded.last_at)
            WHERE excluded.first_at < k.first_at OR excluded.last_at > k.last_at),
          last AS (SELECT transaction_id, claim_id FROM batch ORDER BY transaction_id DESC, claim_id DESC LIMIT 1)
          SELECT (SELECT count(*) FROM batch) AS count, last.transaction_id::text, last.claim_id
          FROM (SELECT) AS always LEFT JOIN last ON true`,
    );
    if (!read?.transaction_id || !read.claim_id) return 0;
    await moveCursor(tx, cursor, { transactionId: read.transaction_id, id: read.claim_id }, read.count);
    return read.count;
  });
}

/**
 * Tells readers of the ledger's groups that rows of these claims became something else after their groups were closed:
 * the trigger of delivery_groups notes the transaction. In the caller's transaction, with the change itself.
 */
export async function tellOfClaims(tx: Queryable, claimIds: readonly string[]): Promise<void> {
  if (claimIds.length === 0) return;
  await tx.query(sql`
    WITH told AS MATERIALIZED (
      SELECT claimed_at, claim_id FROM delivery_groups WHERE claim_id = ANY (${[...new Set(claimIds)]}::uuid[])
      ORDER BY claim_id FOR NO KEY UPDATE)
    UPDATE delivery_groups g SET settled_at = g.settled_at FROM told
    WHERE g.claimed_at = told.claimed_at AND g.claim_id = told.claim_id`);
}
