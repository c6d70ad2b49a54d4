import { randomBytes } from 'node:crypto';
import { one, type Queryable, sql } from '../../platform/postgres';

/** Steps per millisecond of the 12 bits behind the time (RFC 9562, section 6.2, method 3). */
const STEPS = 4096;

/**
 * Mints UUIDv7s like sally_uuid_v7() of Postgres does, from Postgres' own clock, each greater than the one before. The
 * order of a contact's submissions is the order of their ids, whoever mints them; so a worker must not use its clock.
 *
 * @param micros clock_timestamp() of Postgres in microseconds since 1970
 */
export function orderedIds(micros: number): () => string {
  let step = Math.floor(micros / 1000) * STEPS + Math.floor((micros % 1000) * 4.096);
  let pool = Buffer.alloc(0);
  let position = 0;
  return () => {
    if (position === pool.length) {
      pool = randomBytes(8 * 512);
      position = 0;
    }
    const random = pool.toString('hex', position, position + 8);
    position += 8;
    const time = Math.floor(step / STEPS)
      .toString(16)
      .padStart(12, '0');
    const low = (step % STEPS).toString(16).padStart(3, '0');
    step++;
    // The variant's two bits are 10: one of 8, 9, a, b.
    const variant = '89ab'[Number.parseInt(random.charAt(0), 16) & 3];
    return `${time.slice(0, 8)}-${time.slice(8)}-7${low}-${variant}${random.slice(1, 4)}-${random.slice(4)}`;
  };
}

/** Postgres's clock for the rows of a batch. */
export interface BatchClock {
  /** sally_now(), as text, so that no microsecond is lost. */
  now: string;
  /** Ids in order, greater than all that were minted before. */
  mintId: () => string;
}

export async function readClock(tx: Queryable): Promise<BatchClock> {
  const clock = await one<{ now: string; micros: number }>(
    tx,
    sql`SELECT sally_now()::text AS now, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS micros`,
  );
  if (!clock) throw new Error('the clock did not answer');
  return { now: clock.now, mintId: orderedIds(clock.micros) };
}
