import type { PoolClient } from 'pg';
import { one, type Queryable, sql } from '../../platform/postgres';

/**
 * Takes up to `wanted` units of a provider's day in the claim's transaction; returns how many it got. The row is
 * locked until the commit, so no number of workers exceeds the limit. `limit` null = counted, not limited.
 */
export async function takeProviderDay(
  tx: PoolClient,
  take: { workspaceId: string; providerId: string; date: string; limit: number | null; wanted: number },
): Promise<number> {
  await tx.query(sql`
    INSERT INTO capacity (workspace_id, kind, resource_id, window_key, limit_units, used)
    VALUES (${take.workspaceId}, 'provider-day', ${take.providerId}, ${take.date}, ${take.limit}, 0) ON CONFLICT DO NOTHING`);
  const row = await one<{ used: number }>(
    tx,
    sql`SELECT used FROM capacity WHERE workspace_id = ${take.workspaceId} AND kind = 'provider-day'
          AND resource_id = ${take.providerId} AND window_key = ${take.date} FOR UPDATE`,
  );
  const free = take.limit === null ? take.wanted : Math.max(0, take.limit - (row?.used ?? 0));
  const taken = Math.min(take.wanted, free);
  if (taken > 0) {
    await tx.query(sql`
      UPDATE capacity SET used = used + ${taken}, limit_units = ${take.limit}
      WHERE workspace_id = ${take.workspaceId} AND kind = 'provider-day' AND resource_id = ${take.providerId} AND window_key = ${take.date}`);
  }
  return taken;
}

/** A resource whose messages are paced evenly by the database's clock (GCRA). */
export interface RateLimit {
  workspaceId: string;
  kind: 'provider-second' | 'fallback-minute';
  resourceId: string;
  perSecond: number;
}

/**
 * Reserves `count` slots, one every 1/perSecond: returns milliseconds from now to the first. The row's own lock
 * makes it exact over all processes; no slot is given twice and none earlier than now.
 */
export async function takeRateSlots(tx: PoolClient, limit: RateLimit, count: number): Promise<number> {
  const seconds = count / limit.perSecond;
  const row = await one<{ first_in_ms: number }>(
    tx,
    sql`INSERT INTO rate_slots AS r (workspace_id, kind, resource_id, next_slot_at)
        VALUES (${limit.workspaceId}, ${limit.kind}, ${limit.resourceId}, sally_now() + ${seconds} * interval '1 second')
        ON CONFLICT (workspace_id, kind, resource_id)
        DO UPDATE SET next_slot_at = greatest(r.next_slot_at, sally_now()) + ${seconds} * interval '1 second'
        RETURNING greatest(0, extract(epoch FROM next_slot_at - sally_now()) * 1000 - ${seconds * 1000})::float8 AS first_in_ms`,
  );
  return row?.first_in_ms ?? 0;
}

/** Milliseconds until the next free slot, without taking it. */
export async function nextRateSlotInMs(db: Queryable, limit: RateLimit): Promise<number> {
  const row = await one<{ in_ms: number }>(
    db,
    sql`SELECT greatest(0, extract(epoch FROM next_slot_at - sally_now()) * 1000)::float8 AS in_ms FROM rate_slots
        WHERE workspace_id = ${limit.workspaceId} AND kind = ${limit.kind} AND resource_id = ${limit.resourceId}`,
  );
  return row?.in_ms ?? 0;
}
