import type { AddressHasher } from '../../platform/crypto';
import { one, type Queryable, sql } from '../../platform/postgres';

export interface RateLimitAnswer {
  allowed: boolean;
  /** Seconds until the window ends; for Retry-After. */
  retryAfter: number;
}

/** Counters older than this are removed; no window is longer than a day. */
const KEPT = '2 days';

/**
 * Name of a counter: what is limited ("sign-in") and for whom, as a keyed hash, so that the table holds neither
 * addresses nor networks.
 */
export function rateLimitBucket(hasher: AddressHasher, what: string, forWhom: string): string {
  return `${what}:${hasher.hash(`rate-limit/${what}/${forWhom}`).toString('base64url')}`;
}

/**
 * Counts one use and says whether it is within `limit` uses per `windowSeconds` (at most a day). One atomic
 * statement, so the limit holds over all API processes. Windows are fixed: around a window's end up to twice the
 * limit can pass. Call it on the pool, never in a transaction that may be rolled back: the count would be lost.
 */
export async function takeRateLimit(
  db: Queryable,
  bucket: string,
  limit: number,
  windowSeconds: number,
): Promise<RateLimitAnswer> {
  const row = await one<{ hits: number; retry_after: number }>(
    db,
    sql`INSERT INTO rate_limit_counters (bucket, window_start, hits)
        VALUES (${bucket}, to_timestamp(floor(extract(epoch FROM sally_now()) / ${windowSeconds}::int) * ${windowSeconds}::int), 1)
        ON CONFLICT (bucket, window_start) DO UPDATE SET hits = rate_limit_counters.hits + 1
        RETURNING hits, ceil(extract(epoch FROM window_start) + ${windowSeconds}::int - extract(epoch FROM sally_now()))::int AS retry_after`,
  );
  if (!row) throw new Error('a rate limit could not be counted');
  // Whoever opens a window clears a few that have long ended: the table stays as small as the last two days.
  if (row.hits === 1) await removeOldCounters(db);
  return { allowed: row.hits <= limit, retryAfter: Math.max(1, row.retry_after) };
}

async function removeOldCounters(db: Queryable): Promise<void> {
  await db.query(sql`
    DELETE FROM rate_limit_counters WHERE (bucket, window_start) IN (
      SELECT bucket, window_start FROM rate_limit_counters WHERE window_start < sally_now() - ${KEPT}::interval
      ORDER BY window_start LIMIT 50 FOR UPDATE SKIP LOCKED)`);
}
