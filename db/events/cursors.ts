import { one, type Queryable, sql } from '../../platform/postgres';

/** A cursor ahead of this cluster's transactions: the database was moved to another cluster. */
export class ForeignCursorError extends Error {
  constructor(consumer: string) {
    super(`the cursor of "${consumer}" lies ahead of this cluster's transactions: it was restored from another one`);
  }
}

/** How far a reader has come: the transaction, and the row's id within it. */
export interface Place {
  transactionId: string;
  id: string;
}

/** A reader's place, held until the end of the transaction: two processes that read at once take turns. */
export interface Cursor extends Place {
  consumer: string;
  shard: number;
}

/**
 * The cursor of a consumer or a roll-up; made at its first use.
 * @throws ForeignCursorError after a restore into another cluster, where transaction ids mean nothing
 */
export async function lockCursor(tx: Queryable, consumer: string, shard = 0): Promise<Cursor> {
  const locked = () =>
    one<{ transaction_id: string; event_id: string; is_ahead: boolean }>(
      tx,
      sql`SELECT transaction_id::text, event_id, transaction_id > pg_snapshot_xmax(pg_current_snapshot()) AS is_ahead
          FROM event_cursors WHERE consumer = ${consumer} AND shard = ${shard} FOR UPDATE`,
    );
  let row = await locked();
  if (!row) {
    await tx.query(sql`
      INSERT INTO event_cursors (consumer, shard) VALUES (${consumer}, ${shard}) ON CONFLICT DO NOTHING`);
    row = await locked();
  }
  if (!row) throw new Error('a cursor could not be made');
  if (row.is_ahead) throw new ForeignCursorError(consumer);
  return { consumer, shard, transactionId: row.transaction_id, id: row.event_id };
}

/** Everything up to `place`, so many rows, has taken effect in this transaction. */
export async function moveCursor(tx: Queryable, cursor: Cursor, place: Place, rows: number): Promise<void> {
  await tx.query(sql`
    UPDATE event_cursors SET transaction_id = ${place.transactionId}::xid8, event_id = ${place.id},
      consumed = consumed + ${rows}, updated_at = sally_now()
    WHERE consumer = ${cursor.consumer} AND shard = ${cursor.shard}`);
}
