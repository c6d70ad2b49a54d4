import type { SendWindow } from '../../domain/campaigns/send-window';
import type { CampaignState } from '../../domain/campaigns/transitions';
import { SOURCES } from '../../domain/delivery';
import { changed, one, type Queryable, sql } from '../../platform/postgres';
import { ensureLane } from '../delivery';

export type RunStatus = Exclude<CampaignState, 'DRAFT'>;

/** A run of a campaign. */
export interface RunRow {
  workspace_id: string;
  id: string;
  campaign_id: string;
  message_id: string;
  sha256: string;
  stream_id: string;
  lane_id: string;
  status: RunStatus;
  phase: 'PENDING' | 'MATERIALISING' | 'MATERIALISED';
  scheduled_at: Date;
  started_at: Date | null;
  completed_at: Date | null;
  stop_reason: string | null;
  audience_size: number | null;
  /** Milliseconds until `scheduled_at` by the database's clock; 0 when it is due. */
  wait_ms: number;
}

const COLUMNS = sql`r.workspace_id, r.id, r.campaign_id, r.message_id, r.sha256, r.stream_id, s.lane_id, r.status, r.phase,
  r.scheduled_at, r.started_at, r.completed_at, r.stop_reason, r.audience_size,
  greatest(0, ceil(extract(epoch FROM r.scheduled_at - sally_now()) * 1000))::bigint AS wait_ms`;

export function findRun(db: Queryable, workspaceId: string, runId: string): Promise<RunRow | null> {
  return one<RunRow>(
    db,
    sql`SELECT ${COLUMNS} FROM campaign_runs r JOIN streams s ON s.id = r.stream_id
        WHERE r.workspace_id = ${workspaceId} AND r.id = ${runId}`,
  );
}

/** A new run waits with its stream until its time. Null `at` = due at once. */
export async function insertRun(
  tx: Queryable,
  run: {
    workspaceId: string;
    campaignId: string;
    messageId: string;
    sha256: string;
    /** The pool whose lane it takes; null or absent = the lane of mail without one. */
    poolId?: string | null;
    at: Date | null;
    sendWindow: SendWindow | null;
    expiresAt: Date | null;
    createdBy: string;
  },
): Promise<{ id: string; laneId: string }> {
  const laneId = await ensureLane(tx, run.workspaceId, 'pool', run.poolId ?? undefined);
  const row = await one<{ id: string }>(
    tx,
    sql`WITH stream AS (
          INSERT INTO streams (workspace_id, lane_id, source_type, state, priority, send_window, expires_at)
          VALUES (${run.workspaceId}, ${laneId}, 'CAMPAIGN', 'WAITING', ${SOURCES.CAMPAIGN.priority},
            ${run.sendWindow === null ? null : JSON.stringify(run.sendWindow)}, ${run.expiresAt})
          RETURNING id)
        INSERT INTO campaign_runs (workspace_id, campaign_id, message_id, sha256, stream_id, status, scheduled_at, created_by)
        SELECT ${run.workspaceId}, ${run.campaignId}, ${run.messageId}, ${run.sha256}, stream.id, 'SCHEDULED',
          coalesce(${run.at}::timestamptz, sally_now()), ${run.createdBy}
        FROM stream RETURNING id`,
  );
  if (!row) throw new Error('a run could not be made');
  return { id: row.id, laneId };
}

/** A change of state of a run and its stream, guarded by the states it may come from. */
export interface RunTransition {
  from: readonly RunStatus[];
  to: RunStatus;
  stream: 'WAITING' | 'ACTIVE' | 'PAUSED' | 'CANCELLED';
  /** Whether it must have begun, must not have, or either (null). */
  begun: boolean | null;
  stopReason: string | null;
}

/**
 * Moves a run and its stream in one guarded statement. False: the run is in no state that this leads from. Claims look
 * at the stream, so from the commit on no message is begun that should not be.
 */
export async function moveRun(
  tx: Queryable,
  workspaceId: string,
  runId: string,
  transition: RunTransition,
): Promise<boolean> {
  const count = await changed(
    tx,
    sql`WITH run AS (
          UPDATE campaign_runs SET status = ${transition.to}, stop_reason = ${transition.stopReason},
            version = version + 1, updated_at = sally_now()
          WHERE workspace_id = ${workspaceId} AND id = ${runId} AND status = ANY (${transition.from}::text[])
            AND (${transition.begun}::boolean IS NULL OR (started_at IS NOT NULL) = ${transition.begun})
          RETURNING stream_id)
        UPDATE streams SET state = ${transition.stream} FROM run WHERE streams.id = run.stream_id`,
  );
  return count === 1;
}

/** Makes a run that has not begun due at once. */
export async function bringForward(tx: Queryable, workspaceId: string, runId: string): Promise<boolean> {
  const count = await changed(
    tx,
    sql`UPDATE campaign_runs SET scheduled_at = least(scheduled_at, sally_now()), version = version + 1,
          updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${runId} AND status = 'SCHEDULED'`,
  );
  return count === 1;
}

/** Window and expiry of a run that is still to send: what waits follows the stream at once. */
export async function updateStreamOfRun(
  tx: Queryable,
  streamId: string,
  change: { sendWindow: SendWindow | null; expiresAt: Date | null },
): Promise<void> {
  await tx.query(sql`
    UPDATE streams SET send_window = ${change.sendWindow === null ? null : JSON.stringify(change.sendWindow)},
      expires_at = ${change.expiresAt}
    WHERE id = ${streamId}`);
}

/** A run that has not begun sends the message that was approved last. */
export async function rearmWaitingRun(
  tx: Queryable,
  workspaceId: string,
  campaignId: string,
  message: { id: string; sha256: string },
): Promise<void> {
  await tx.query(sql`
    UPDATE campaign_runs SET message_id = ${message.id}, sha256 = ${message.sha256}, version = version + 1,
      updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND campaign_id = ${campaignId} AND status IN ('SCHEDULED', 'PAUSED')
      AND started_at IS NULL`);
}

/**
 * Whether a message of the campaign's runs was begun, even if its outcome is unknown: sending such a campaign again
 * could reach somebody twice.
 */
export async function hasBegunMessages(db: Queryable, workspaceId: string, campaignId: string): Promise<boolean> {
  const row = await one<{ begun: boolean }>(
    db,
    sql`SELECT EXISTS (
          SELECT 1 FROM campaign_runs r
          WHERE r.workspace_id = ${workspaceId} AND r.campaign_id = ${campaignId} AND EXISTS (
            SELECT 1 FROM deliveries d
            WHERE d.source_id = r.id AND d.status IN ('SENDING', 'SENT', 'UNCONFIRMED'))) AS begun`,
  );
  return row?.begun ?? false;
}

/** Whether a moment lies before now, by the clock of all rules. */
export async function isPast(db: Queryable, at: Date): Promise<boolean> {
  const row = await one<{ past: boolean }>(db, sql`SELECT ${at}::timestamptz < sally_now() AS past`);
  return row?.past ?? false;
}
