import { type Database, many, type Queryable, sql } from '../../platform/postgres';
import { lockCursor, moveCursor } from './cursors';

export interface StoredEvent {
  event_id: string;
  workspace_id: string;
  event_type: string;
  contact_id: string | null;
  campaign_id: string | null;
  payload: Record<string, unknown>;
  created_at: Date;
}

/** Who reads all events of all workspaces, each once. */
export interface EventConsumer {
  /** Names its cursor; another name begins at the first event. */
  name: string;
  /** Events of one contact always go to the same shard. */
  shards: number;
  /** Works in the transaction that moves the cursor. What it does beyond that transaction may happen twice. */
  handle(tx: Queryable, events: readonly StoredEvent[]): Promise<void>;
}

/**
 * Hands the next events to a consumer and moves its cursor, in one transaction: whatever happens in between, each event
 * takes effect once. Two processes that consume at once take turns.
 *
 * Events are read in the order of their transactions, and only of those below which no transaction is open any more
 * (pg_snapshot_xmin): one that is slow to commit holds back what came after it, and is not skipped.
 *
 * @returns how many events were handed over; less than `limit`: there are no more at the moment
 * @throws ForeignCursorError after a restore into another cluster, where transaction ids mean nothing
 */
export function consumeBatch(db: Database, consumer: EventConsumer, shard: number, limit: number): Promise<number> {
  return db.transaction(async (tx) => {
    const cursor = await lockCursor(tx, consumer.name, shard);
    const events = await many<StoredEvent & { transaction_id: string }>(
      tx,
      sql`SELECT event_id, workspace_id, event_type, contact_id, campaign_id, payload, created_at, transaction_id::text
          FROM marketing_events
          WHERE (transaction_id, event_id) > (${cursor.transactionId}::xid8, ${cursor.id}::uuid)
            AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
            AND (${consumer.shards}::integer = 1 OR
              abs(hashtextextended(coalesce(contact_id, event_id)::text, 0) % ${consumer.shards}::integer) = ${shard}::integer)
          ORDER BY transaction_id, event_id LIMIT ${limit}`,
    );
    const last = events.at(-1);
    if (!last) return 0;
    await consumer.handle(tx, events);
    await moveCursor(tx, cursor, { transactionId: last.transaction_id, id: last.event_id }, events.length);
    return events.length;
  });
}
