import { many, type Queryable, sql } from '../../platform/postgres';

/**
 * Turns on the lanes of a workspace that have something queued, after its senders changed for the better. Returns
 * them, and those that were on: their drain may have looked before this change, and would let the lane sleep until what
 * it saw ends. After the commit, start or wake their workflows.
 */
export async function wakeLanesWithWork(tx: Queryable, workspaceId: string): Promise<string[]> {
  const rows = await many<{ id: string }>(
    tx,
    sql`UPDATE lanes SET awake = true
        WHERE workspace_id = ${workspaceId}
          AND (awake OR EXISTS (SELECT 1 FROM deliveries d WHERE d.lane_id = lanes.id AND d.status = 'QUEUED'))
        RETURNING id`,
  );
  return rows.map((row) => row.id);
}
