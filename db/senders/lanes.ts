import { many, type Queryable, sql } from '../../platform/postgres';

/**
 * Turns on the lanes of a workspace that have something queued, after its senders changed for the better. Returns
 * those that this transaction turned on; after its commit, start or wake their workflows.
 */
export async function wakeLanesWithWork(tx: Queryable, workspaceId: string): Promise<string[]> {
  const rows = await many<{ id: string }>(
    tx,
    sql`UPDATE lanes SET awake = true
        WHERE workspace_id = ${workspaceId} AND NOT awake
          AND EXISTS (SELECT 1 FROM deliveries d WHERE d.lane_id = lanes.id AND d.status = 'QUEUED')
        RETURNING id`,
  );
  return rows.map((row) => row.id);
}
