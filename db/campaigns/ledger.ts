import type { DeliveryStatus } from '../../domain/delivery';
import { one, type Queryable, sql } from '../../platform/postgres';

/** Independent counts of one run, from one snapshot. */
export interface LedgerCounts {
  audience_size: number | null;
  rows: number;
  by_status: Partial<Record<DeliveryStatus, number>>;
  /** Rows that have a reason, by status and reason. */
  reasons: { status: DeliveryStatus; reason: string; count: number }[];
  /** As the channel counted them, in groups. */
  accepted_in_groups: number;
  /** Acceptances that became known after their group was closed, and were applied to their row. */
  accepted_late: number;
  counters: Record<'materialised' | 'queued' | 'sending' | 'sent' | 'failed' | 'unconfirmed' | 'cancelled', number>;
}

/** Counts a run's ledger in one statement: claims and settles that commit meanwhile are in all counts or in none. */
export async function countLedger(
  db: Queryable,
  run: { workspaceId: string; runId: string; streamId: string },
): Promise<LedgerCounts> {
  const row = await one<LedgerCounts & Record<string, unknown>>(
    db,
    sql`WITH grouped AS (
          SELECT status, reason, count(*) AS n FROM deliveries
          WHERE workspace_id = ${run.workspaceId} AND source_id = ${run.runId} GROUP BY status, reason),
        by_status AS (SELECT status, sum(n)::bigint AS n FROM grouped GROUP BY status)
        SELECT
          (SELECT audience_size FROM campaign_runs WHERE workspace_id = ${run.workspaceId} AND id = ${run.runId}) AS audience_size,
          (SELECT coalesce(sum(n), 0)::bigint FROM by_status) AS rows,
          (SELECT coalesce(jsonb_object_agg(status, n), '{}') FROM by_status) AS by_status,
          (SELECT coalesce(jsonb_agg(jsonb_build_object('status', status, 'reason', reason, 'count', n)
             ORDER BY status, n DESC, reason), '[]') FROM grouped WHERE reason IS NOT NULL) AS reasons,
          (SELECT coalesce(sum(accepted), 0)::bigint FROM delivery_groups
           WHERE workspace_id = ${run.workspaceId} AND stream_id = ${run.streamId}) AS accepted_in_groups,
          (SELECT count(*) FROM late_settlements
           WHERE workspace_id = ${run.workspaceId} AND stream_id = ${run.streamId} AND outcome = 'SENT' AND applied) AS accepted_late,
          (SELECT jsonb_build_object('materialised', coalesce(sum(materialised), 0), 'queued', coalesce(sum(queued), 0),
             'sending', coalesce(sum(sending), 0), 'sent', coalesce(sum(sent), 0), 'failed', coalesce(sum(failed), 0),
             'unconfirmed', coalesce(sum(unconfirmed), 0), 'cancelled', coalesce(sum(cancelled), 0))
           FROM run_counters WHERE workspace_id = ${run.workspaceId} AND stream_id = ${run.streamId}) AS counters`,
  );
  if (!row) throw new Error('a count gave no row');
  return row;
}
