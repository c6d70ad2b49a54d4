import type { Throttle } from '../../domain/delivery';
import { many, type Queryable, sql } from '../../platform/postgres';

/**
 * Throttles of a workspace, by `${routeId} ${mxGroup}`. What is left of a block is measured by the database's clock and
 * told on the caller's: `now` in milliseconds.
 */
export async function loadThrottles(db: Queryable, workspaceId: string, now: number): Promise<Map<string, Throttle>> {
  const rows = await many<{ route_id: string; mx_group: string; rate: number; blocked_for_ms: number }>(
    db,
    sql`SELECT route_id, mx_group, rate,
          greatest(0, extract(epoch FROM blocked_until - sally_now()) * 1000)::float8 AS blocked_for_ms
        FROM throttles WHERE workspace_id = ${workspaceId}`,
  );
  return new Map(
    rows.map((row) => [`${row.route_id} ${row.mx_group}`, { rate: row.rate, blockedUntil: now + row.blocked_for_ms }]),
  );
}

/** Stores a throttle, or removes it when null. `now`: the moment on the clock of its block. */
export async function storeThrottle(
  db: Queryable,
  key: { workspaceId: string; routeId: string; mxGroup: string },
  throttle: Throttle | null,
  now: number,
): Promise<void> {
  if (throttle === null) {
    await db.query(sql`DELETE FROM throttles WHERE route_id = ${key.routeId} AND mx_group = ${key.mxGroup}`);
    return;
  }
  await db.query(sql`
    INSERT INTO throttles (workspace_id, route_id, mx_group, rate, blocked_until)
    VALUES (${key.workspaceId}, ${key.routeId}, ${key.mxGroup}, ${throttle.rate},
      sally_now() + ${Math.max(0, throttle.blockedUntil - now)} * interval '1 millisecond')
    ON CONFLICT (route_id, mx_group) DO UPDATE SET rate = excluded.rate,
      blocked_until = greatest(throttles.blocked_until, excluded.blocked_until), updated_at = sally_now()`);
}
