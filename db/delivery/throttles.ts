import type { Throttle } from '../../domain/delivery';
import { many, type Queryable, sql } from '../../platform/postgres';

/** Throttles of a workspace, by `${routeId} ${mxGroup}`. */
export async function loadThrottles(db: Queryable, workspaceId: string): Promise<Map<string, Throttle>> {
  const rows = await many<{ route_id: string; mx_group: string; rate: number; blocked_until: Date }>(
    db,
    sql`SELECT route_id, mx_group, rate, blocked_until FROM throttles WHERE workspace_id = ${workspaceId}`,
  );
  return new Map(
    rows.map((row) => [`${row.route_id} ${row.mx_group}`, { rate: row.rate, blockedUntil: row.blocked_until }]),
  );
}

/** Stores a throttle, or removes it when null. */
export async function storeThrottle(
  db: Queryable,
  key: { workspaceId: string; routeId: string; mxGroup: string },
  throttle: Throttle | null,
): Promise<void> {
  if (throttle === null) {
    await db.query(sql`DELETE FROM throttles WHERE route_id = ${key.routeId} AND mx_group = ${key.mxGroup}`);
    return;
  }
  await db.query(sql`
    INSERT INTO throttles (workspace_id, route_id, mx_group, rate, blocked_until)
    VALUES (${key.workspaceId}, ${key.routeId}, ${key.mxGroup}, ${throttle.rate}, ${throttle.blockedUntil})
    ON CONFLICT (route_id, mx_group) DO UPDATE SET rate = excluded.rate,
      blocked_until = greatest(throttles.blocked_until, excluded.blocked_until), updated_at = sally_now()`);
}
