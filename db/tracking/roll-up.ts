import { type Database, one, sql } from '../../platform/postgres';
import { lockCursor, moveCursor } from '../events';

/** Names the roll-up's cursor among those of the consumers of events. */
const CURSOR = 'engagement-roll-up';
/** Stands for "no campaign" and "no link". */
const NIL = '00000000-0000-0000-0000-000000000000';

/**
 * Adds the next engagements of all workspaces to what is known about their contacts, and moves the cursor, in one
 * transaction: each counts once, whatever happens in between. Two processes take turns.
 *
 * Engagements are read in the order of their transactions, and only of those below which none is open any more, so that
 * one that commits late is not skipped. Machines, messages to nobody's contact, and contacts that were erased do not
 * count. What a merged contact did stays under its own id; who asks looks it up by the survivor.
 *
 * @returns how many engagements were read; less than `limit`: there are no more at the moment
 */
export function rollUpEngagements(db: Database, limit: number): Promise<number> {
  return db.transaction(async (tx) => {
    const cursor = await lockCursor(tx, CURSOR);
    // Looked up row by row: right after a large import the planner would read entire ledgers for a few clicks.
    await tx.query('SET LOCAL enable_hashjoin = off');
    await tx.query('SET LOCAL enable_mergejoin = off');
    await tx.query('SET LOCAL jit = off');
    const read = await one<{ count: number; transaction_id: string | null; id: string | null }>(
      tx,
      sql`WITH batch AS MATERIALIZED (
            SELECT transaction_id, id, workspace_id, source_id, delivery_id, kind, link_position, actor, occurred_at
            FROM engagements
            WHERE (transaction_id, id) > (${cursor.transactionId}::xid8, ${cursor.id}::uuid)
              AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
            ORDER BY transaction_id, id LIMIT ${limit}),
          acts AS MATERIALIZED (
            SELECT b.workspace_id, d.contact_id, b.kind, b.occurred_at, coalesce(r.campaign_id, ${NIL}::uuid) AS campaign_id,
              CASE WHEN l.url IS NULL THEN ${NIL}::uuid ELSE md5(l.url)::uuid END AS url_md5
            FROM batch b
            JOIN deliveries d ON d.source_id = b.source_id AND d.id = b.delivery_id AND d.workspace_id = b.workspace_id
            JOIN contacts c ON c.workspace_id = d.workspace_id AND c.id = d.contact_id
            LEFT JOIN contacts s ON s.workspace_id = c.workspace_id AND s.id = c.merged_into
            LEFT JOIN campaign_runs r ON d.source_type = 'CAMPAIGN' AND r.workspace_id = d.workspace_id AND r.id = d.source_id
            LEFT JOIN links l ON l.workspace_id = d.workspace_id AND l.message_id = d.message_id AND l.position = b.link_position
            WHERE b.kind IN ('OPEN', 'CLICK') AND b.actor <> 'machine'
              AND CASE WHEN c.merged_into IS NULL THEN c.erased_at IS NULL ELSE s.erased_at IS NULL END),
          overall AS (
            INSERT INTO contact_engagements AS k (workspace_id, contact_id, kind, first_at, last_at, count)
            SELECT workspace_id, contact_id, kind, min(occurred_at), max(occurred_at), count(*) FROM acts
            GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
            ON CONFLICT (workspace_id, contact_id, kind) DO UPDATE SET first_at = least(k.first_at, excluded.first_at),
              last_at = greatest(k.last_at, excluded.last_at), count = k.count + excluded.count),
          detailed AS (
            INSERT INTO contact_engagement_details AS k (workspace_id, contact_id, kind, campaign_id, url_md5, first_at, last_at, count)
            SELECT workspace_id, contact_id, kind, campaign_id, url_md5, min(occurred_at), max(occurred_at), count(*) FROM acts
            GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
            ON CONFLICT (workspace_id, contact_id, kind, campaign_id, url_md5) DO UPDATE SET
              first_at = least(k.first_at, excluded.first_at), last_at = greatest(k.last_at, excluded.last_at),
              count = k.count + excluded.count),
          last AS (SELECT transaction_id, id FROM batch ORDER BY transaction_id DESC, id DESC LIMIT 1)
          SELECT (SELECT count(*) FROM batch) AS count, last.transaction_id::text, last.id
          FROM (SELECT) AS always LEFT JOIN last ON true`,
    );
    if (!read?.transaction_id || !read.id) return 0;
    await moveCursor(tx, cursor, { transactionId: read.transaction_id, id: read.id }, read.count);
    return read.count;
  });
}
