import { type Statement, sql } from '../../platform/postgres';

/**
 * A lateral query of one row: units taken of a daily limit on the workspace's current local day, `daily_sent`, and when
 * that day ends, `daily_reset_at`. Midnight is computed from the wall clock: where it does not exist, Postgres takes the
 * first moment after it.
 * @param workspaceId the column of the row around it, as `resourceId`
 */
export function usedToday(
  kind: 'provider-day' | 'domain-day' | 'ip-day',
  workspaceId: Statement,
  resourceId: Statement,
): Statement {
  return sql`SELECT coalesce(c.used, 0)::integer AS daily_sent,
      (day.today + 1)::timestamp AT TIME ZONE w.time_zone AS daily_reset_at
    FROM workspaces w
    CROSS JOIN LATERAL (SELECT (sally_now() AT TIME ZONE w.time_zone)::date AS today) day
    LEFT JOIN capacity c ON c.workspace_id = w.id AND c.kind = ${kind} AND c.resource_id = ${resourceId}
      AND c.window_key = day.today::text
    WHERE w.id = ${workspaceId}`;
}
