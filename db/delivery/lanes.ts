import type { LaneKind } from '../../domain/delivery';
import { many, one, type Queryable, sql } from '../../platform/postgres';

export interface LaneRow {
  workspaceId: string;
  kind: LaneKind;
}

export async function findLane(db: Queryable, laneId: string): Promise<LaneRow | null> {
  const row = await one<{ workspace_id: string; kind: LaneRow['kind'] }>(
    db,
    sql`SELECT workspace_id, kind FROM lanes WHERE id = ${laneId}`,
  );
  return row && { workspaceId: row.workspace_id, kind: row.kind };
}

/** A drain is at work, or has just ended: watchdog leaves the lane alone. */
export async function touchLane(db: Queryable, laneId: string): Promise<void> {
  await db.query(
    sql`UPDATE lanes SET drained_at = sally_now() WHERE id = ${laneId} AND drained_at < sally_now() - interval '2 seconds'`,
  );
}

/** The end of a drain: from here on a producer turns the lane on again, and signals. */
export async function putLaneToSleep(db: Queryable, laneId: string): Promise<void> {
  await db.query(sql`UPDATE lanes SET awake = false, drained_at = sally_now() WHERE id = ${laneId}`);
}

/** Lanes with due rows of active streams that nobody has drained for a while: their workflow is absent or stuck. */
export async function neglectedLanes(
  db: Queryable,
  seconds: number,
): Promise<{ workspaceId: string; laneId: string; urgent: boolean }[]> {
  const rows = await many<{ workspace_id: string; id: string; urgent: boolean }>(
    db,
    sql`SELECT l.workspace_id, l.id, l.kind IN ('opt-in', 'transactional') AS urgent FROM lanes l
        WHERE l.drained_at < sally_now() - ${seconds} * interval '1 second'
          AND EXISTS (
            SELECT 1 FROM streams s CROSS JOIN LATERAL (
              SELECT 1 FROM deliveries d WHERE d.lane_id = l.id AND d.stream_id = s.id AND d.status = 'QUEUED'
                AND d.not_before <= sally_now() LIMIT 1) AS due
            WHERE s.lane_id = l.id AND s.state = 'ACTIVE' AND NOT s.idle)
        LIMIT 500`,
  );
  return rows.map((row) => ({ workspaceId: row.workspace_id, laneId: row.id, urgent: row.urgent }));
}

/** Materialised, and nothing of it is QUEUED or SENDING any more: its workflow is told, so that the run closes at once. */
const IS_FINISHED = sql`s.state = 'ACTIVE' AND NOT s.idle AND r.status = 'SENDING' AND r.phase = 'MATERIALISED'
  AND (SELECT coalesce(sum(c.queued + c.sending), 0) FROM run_counters c WHERE c.stream_id = s.id) = 0`;

/** The finished campaign runs of a lane. */
export async function finishedRuns(db: Queryable, laneId: string): Promise<string[]> {
  const rows = await many<{ id: string }>(
    db,
    sql`SELECT r.id FROM streams s JOIN campaign_runs r ON r.stream_id = s.id WHERE s.lane_id = ${laneId} AND ${IS_FINISHED}`,
  );
  return rows.map((row) => row.id);
}

/** The campaign run of a stream, if it is finished. */
export async function finishedRunOf(db: Queryable, streamId: string): Promise<string | null> {
  const row = await one<{ id: string }>(
    db,
    sql`SELECT r.id FROM streams s JOIN campaign_runs r ON r.stream_id = s.id WHERE s.id = ${streamId} AND ${IS_FINISHED}`,
  );
  return row?.id ?? null;
}
