import { type Database, many, one, type Queryable, sql } from '../../platform/postgres';

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

/** A cursor ahead of this cluster's transactions: the database was moved to another cluster. */
export class ForeignCursorError extends Error {
  constructor(consumer: string) {
    super(`the cursor of "${consumer}" lies ahead of this cluster's transactions: it was restored from another one`);
  }
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
    if (cursor.is_ahead) throw new ForeignCursorError(consumer.name);
    const events = await many<StoredEvent & { transaction_id: string }>(
      tx,
      sql`SELECT event_id, workspace_id, event_type, contact_id, campaign_id, payload, created_at, transaction_id::text
          FROM marketing_events
          WHERE (transaction_id, event_id) > (${cursor.transaction_id}::xid8, ${cursor.event_id}::uuid)
            AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
            AND (${consumer.shards}::integer = 1 OR
              abs(hashtextextended(coalesce(contact_id, event_id)::text, 0) % ${consumer.shards}::integer) = ${shard}::integer)
          ORDER BY transaction_id, event_id LIMIT ${limit}`,
    );
    const last = events.at(-1);
    if (!last) return 0;
    await consumer.handle(tx, events);
    await tx.query(sql`
      UPDATE event_cursors SET transaction_id = ${last.transaction_id}::xid8, event_id = ${last.event_id},
        consumed = consumed + ${events.length}, updated_at = sally_now()
      WHERE consumer = ${consumer.name} AND shard = ${shard}`);
    return events.length;
  });
}

interface Cursor extends Record<string, unknown> {
  transaction_id: string;
  event_id: string;
  is_ahead: boolean;
}

async function lockCursor(tx: Queryable, consumer: string, shard: number): Promise<Cursor> {
  const locked = () =>
    one<Cursor>(
      tx,
      sql`SELECT transaction_id::text, event_id, transaction_id > pg_snapshot_xmax(pg_current_snapshot()) AS is_ahead
          FROM event_cursors WHERE consumer = ${consumer} AND shard = ${shard} FOR UPDATE`,
    );
  const known = await locked();
  if (known) return known;
  await tx.query(sql`
    INSERT INTO event_cursors (consumer, shard) VALUES (${consumer}, ${shard}) ON CONFLICT DO NOTHING`);
  const made = await locked();
  if (!made) throw new Error('a cursor could not be made');
  return made;
}
