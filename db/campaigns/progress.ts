import type { CampaignRunCounts } from '../../domain/campaigns/contract';
import { changed, many, one, type Queryable, sql } from '../../platform/postgres';
import { appendEvent } from '../events';

/** A run's counts, summed over all processes. */
export async function countRun(db: Queryable, streamId: string): Promise<CampaignRunCounts> {
  const row = await one<CampaignRunCounts & Record<string, unknown>>(
    db,
    sql`SELECT coalesce(sum(materialised), 0)::bigint AS materialised, coalesce(sum(queued), 0)::bigint AS queued,
          coalesce(sum(sending), 0)::bigint AS sending, coalesce(sum(sent), 0)::bigint AS sent,
          coalesce(sum(failed), 0)::bigint AS failed, coalesce(sum(unconfirmed), 0)::bigint AS unconfirmed,
          coalesce(sum(cancelled), 0)::bigint AS cancelled
        FROM run_counters WHERE stream_id = ${streamId}`,
  );
  if (!row) throw new Error('a sum gave no row');
  return row;
}

/** Begins a run whose time has come and whose message is what was approved. False: its state or message changed. */
export async function beginRun(tx: Queryable, workspaceId: string, runId: string): Promise<boolean> {
  // An edit that voids the approval holds these locks in the same order: one of both comes first, and is seen.
  await tx.query(sql`
    SELECT 1 FROM campaign_runs WHERE workspace_id = ${workspaceId} AND id = ${runId} FOR NO KEY UPDATE`);
  await tx.query(sql`
    SELECT 1 FROM messages WHERE workspace_id = ${workspaceId} AND id = (
      SELECT message_id FROM campaign_runs WHERE workspace_id = ${workspaceId} AND id = ${runId}) FOR SHARE`);
  const count = await changed(
    tx,
    sql`WITH run AS (
          UPDATE campaign_runs r SET status = 'SENDING', phase = 'MATERIALISING', started_at = sally_now(),
            stop_reason = NULL, version = r.version + 1, updated_at = sally_now()
          FROM messages m
          WHERE r.workspace_id = ${workspaceId} AND r.id = ${runId} AND r.status = 'SCHEDULED'
            AND r.scheduled_at <= sally_now() AND m.workspace_id = r.workspace_id AND m.id = r.message_id
            AND m.approval = 'APPROVED' AND m.sha256 = r.sha256
          RETURNING r.stream_id)
        UPDATE streams SET state = 'ACTIVE' FROM run WHERE streams.id = run.stream_id`,
  );
  return count === 1;
}

/**
 * Closes a run: everybody has a row, and no row is queued or being sent. Rows whose outcome is unknown do not hold it
 * open. Looked up in the ledger's own partial indexes, not in the counters. Seconds it took, or null: not yet.
 */
export async function finishRun(tx: Queryable, workspaceId: string, runId: string): Promise<number | null> {
  // Run and stream are locked first: a row that an operator queues again is either seen here, or clears `idle` after.
  await tx.query(sql`
    SELECT 1 FROM campaign_runs WHERE workspace_id = ${workspaceId} AND id = ${runId} FOR NO KEY UPDATE`);
  await tx.query(sql`
    SELECT 1 FROM streams WHERE id = (
      SELECT stream_id FROM campaign_runs WHERE workspace_id = ${workspaceId} AND id = ${runId}) FOR NO KEY UPDATE`);
  const row = await one<{ seconds: number }>(
    tx,
    sql`WITH finished AS (
        UPDATE campaign_runs r SET status = 'SENT', completed_at = sally_now(), version = r.version + 1,
          updated_at = sally_now()
        FROM streams s
        WHERE r.workspace_id = ${workspaceId} AND r.id = ${runId} AND r.status = 'SENDING'
          AND r.phase = 'MATERIALISED' AND s.id = r.stream_id
          AND NOT EXISTS (SELECT 1 FROM deliveries d
            WHERE d.lane_id = s.lane_id AND d.stream_id = s.id AND d.status = 'QUEUED')
          AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.stream_id = s.id AND d.status = 'SENDING')
        RETURNING r.stream_id, extract(epoch FROM r.completed_at - r.started_at)::float8 AS seconds)
      UPDATE streams SET idle = true FROM finished WHERE streams.id = finished.stream_id RETURNING finished.seconds`,
  );
  return row?.seconds ?? null;
}

/** Runs in a state that only their workflow can leave, oldest first. */
export interface DueRun {
  workspaceId: string;
  runId: string;
}

/** How far ahead of its time a run's workflow must exist; before that, the one that scheduling started suffices. */
const HORIZON = '1 hour';

/**
 * Open runs whose workflow must exist: due within the hour, sending, or cancelled with rows that still wait. For the
 * watchdog, which starts what is missing.
 */
export async function dueRuns(db: Queryable, limit = 500): Promise<DueRun[]> {
  const rows = await many<{ workspace_id: string; id: string }>(
    db,
    sql`SELECT r.workspace_id, r.id FROM campaign_runs r JOIN streams s ON s.id = r.stream_id
        WHERE r.status = 'SENDING'
           OR (r.status = 'SCHEDULED' AND r.scheduled_at < sally_now() + ${HORIZON}::interval)
           OR (r.status = 'CANCELLED' AND r.updated_at > sally_now() - interval '30 days' AND EXISTS (
                SELECT 1 FROM deliveries d
                WHERE d.lane_id = s.lane_id AND d.stream_id = s.id AND d.status = 'QUEUED'))
        ORDER BY r.scheduled_at LIMIT ${limit}`,
  );
  return rows.map((row) => ({ workspaceId: row.workspace_id, runId: row.id }));
}

/** Whether rows of a cancelled run still wait to be cancelled. */
export async function hasWaitingRows(db: Queryable, run: { stream_id: string; lane_id: string }): Promise<boolean> {
  const row = await one<{ waiting: boolean }>(
    db,
    sql`SELECT EXISTS (SELECT 1 FROM deliveries
          WHERE lane_id = ${run.lane_id} AND stream_id = ${run.stream_id} AND status = 'QUEUED') AS waiting`,
  );
  return row?.waiting ?? false;
}

/** Appends an event about a campaign's run, in the transaction of the change it tells of. */
export async function appendRunEvent(
  tx: Queryable,
  type: string,
  run: { workspace_id: string; campaign_id: string; id: string },
  data: Record<string, unknown> = {},
): Promise<void> {
  await appendEvent(tx, {
    workspaceId: run.workspace_id,
    type,
    campaignId: run.campaign_id,
    payload: { run_id: run.id, ...data },
  });
}

/** Tells the operators that a run stopped because what was approved is not what would be sent. */
export async function raiseApprovalAlert(
  tx: Queryable,
  run: { workspace_id: string; campaign_id: string; id: string },
): Promise<void> {
  const message =
    'A campaign was due, but its approval is void: it is paused. Have its message approved, then resume it.';
  await tx.query(sql`
    SELECT sally_raise_alert(${run.workspace_id}, 'campaign-approval-void', ${run.id}, 'critical', ${message},
      ${JSON.stringify({ campaign_id: run.campaign_id, run_id: run.id })}::jsonb)`);
}

const AUDIENCE_ALERTS = {
  AUDIENCE_CHANGED:
    'A campaign was due, but an audience of it is defined otherwise than when it was approved: it is paused. Submit it again and have it approved, then resume it.',
  AUDIENCE_UNAVAILABLE:
    'A campaign is paused: its conditions refer to something that has gone, or a dynamic audience of it cannot be calculated. Correct that, then resume it.',
} as const;

/** Tells the operators that a campaign is paused because of its audience. */
export async function raiseAudienceAlert(
  tx: Queryable,
  run: { workspace_id: string; campaign_id: string; id: string },
  reason: keyof typeof AUDIENCE_ALERTS,
): Promise<void> {
  await tx.query(sql`
    SELECT sally_raise_alert(${run.workspace_id}, 'campaign-audience', ${run.id}, 'critical', ${AUDIENCE_ALERTS[reason]},
      ${JSON.stringify({ campaign_id: run.campaign_id, run_id: run.id, reason })}::jsonb)`);
}

/**
 * Runs that were changed and should have gone on since, but have not for `graceSeconds`: the hint to their workflow
 * was lost. For the watchdog, which repeats it. Half a day at most, since a workflow takes only so many signals.
 */
export async function neglectedRuns(db: Queryable, graceSeconds: number): Promise<DueRun[]> {
  const rows = await many<{ workspace_id: string; id: string }>(
    db,
    sql`SELECT workspace_id, id FROM campaign_runs
        WHERE (status = 'SENDING' AND phase <> 'MATERIALISED' OR status = 'SCHEDULED' AND scheduled_at < sally_now())
          AND updated_at < sally_now() - ${graceSeconds}::float8 * interval '1 second'
          AND updated_at > sally_now() - interval '12 hours'
        ORDER BY updated_at LIMIT 100`,
  );
  return rows.map((row) => ({ workspaceId: row.workspace_id, runId: row.id }));
}
