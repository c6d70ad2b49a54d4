import { changed, many, type Queryable, sql } from '../../platform/postgres';
import type { MergePair } from './merge-consent';

/** The run counters of what no delivery process did. */
const NO_PROCESS = '00000000-0000-0000-0000-000000000000';

/** The survivor joins the other's lists; member_count stays exact. */
export async function mergeMemberships(tx: Queryable, pair: MergePair): Promise<void> {
  const { workspaceId, survivorId, otherId } = pair;
  await tx.query(sql`
    WITH held AS MATERIALIZED (
      SELECT a.id FROM audiences a JOIN audience_members m ON m.workspace_id = a.workspace_id AND m.audience_id = a.id
      WHERE a.workspace_id = ${workspaceId} AND m.contact_id = ${otherId} ORDER BY a.id FOR UPDATE OF a),
    joined AS (
      INSERT INTO audience_members (workspace_id, audience_id, contact_id)
      SELECT ${workspaceId}, id, ${survivorId} FROM held ON CONFLICT DO NOTHING RETURNING audience_id),
    told AS (
      SELECT count(sally_append_event(${workspaceId}, 'segment_membership_changed', ${survivorId}, NULL,
        jsonb_build_object('audience_id', audience_id, 'change', 'added'))) AS events FROM joined)
    UPDATE audiences a SET member_count = a.member_count - 1, updated_at = sally_now() FROM held, told
    WHERE a.workspace_id = ${workspaceId} AND a.id = held.id AND NOT EXISTS (SELECT 1 FROM joined j WHERE j.audience_id = a.id)`);
  await tx.query(sql`
    DELETE FROM audience_members WHERE workspace_id = ${workspaceId} AND contact_id = ${otherId}`);
}

/** The survivor goes on with the other's sequences, except those that it has been through, or is in, itself. */
export async function mergeEnrolments(tx: Queryable, pair: MergePair): Promise<void> {
  const { workspaceId, survivorId, otherId } = pair;
  const stopped = await many<{ id: string }>(
    tx,
    sql`UPDATE sequence_enrolments e SET status = 'STOPPED', stop_reason = 'MERGED', ended_at = sally_now()
        WHERE e.workspace_id = ${workspaceId} AND e.contact_id = ${otherId} AND e.status = 'ACTIVE' AND EXISTS (
          SELECT 1 FROM sequence_enrolments s WHERE s.workspace_id = e.workspace_id AND s.sequence_id = e.sequence_id
            AND s.contact_id = ${survivorId})
        RETURNING e.id`,
  );
  if (stopped.length > 0) {
    await cancel(tx, workspaceId, sql`d.source_id = ANY(${stopped.map(({ id }) => id)}::uuid[])`);
  }
  await tx.query(sql`
    UPDATE sequence_enrolments e SET contact_id = ${survivorId}
    WHERE e.workspace_id = ${workspaceId} AND e.contact_id = ${otherId} AND NOT EXISTS (
      SELECT 1 FROM sequence_enrolments s WHERE s.workspace_id = e.workspace_id AND s.sequence_id = e.sequence_id
        AND s.contact_id = ${survivorId})`);
}

/**
 * The ledger after a merge: nobody gets the same message by both contacts. A waiting message of the other one is
 * cancelled where the survivor has one of the same source and step; a waiting bulk or journey message of the survivor is
 * cancelled where the other one's may have gone out already. The rest becomes the survivor's, and with it every link that
 * was mailed: tokens name deliveries.
 */
export async function mergeDeliveries(
  tx: Queryable,
  pair: MergePair,
  survivorAddress: string,
): Promise<{ cancelledDeliveries: number; movedDeliveries: number }> {
  const { workspaceId, survivorId, otherId } = pair;
  const same = sql`t.workspace_id = d.workspace_id AND t.source_id = d.source_id AND t.source_type = d.source_type
    AND t.step_key = d.step_key`;
  const others = await cancel(
    tx,
    workspaceId,
    sql`d.contact_id = ${otherId} AND (d.source_type = 'OPT_IN' OR EXISTS (
      SELECT 1 FROM deliveries t WHERE ${same} AND t.contact_id = ${survivorId} AND t.status <> 'CANCELLED'))`,
  );
  const survivors = await cancel(
    tx,
    workspaceId,
    sql`d.contact_id = ${survivorId} AND d.class IN ('bulk', 'journey') AND EXISTS (
      SELECT 1 FROM deliveries t WHERE ${same} AND t.contact_id = ${otherId}
        AND t.status IN ('SENDING', 'SENT', 'UNCONFIRMED'))`,
  );
  const movedDeliveries = await changed(
    tx,
    sql`UPDATE deliveries d SET contact_id = ${survivorId},
          recipient_key = CASE WHEN d.recipient_key = ${otherId} AND NOT EXISTS (
            SELECT 1 FROM deliveries t WHERE ${same} AND t.recipient_key = ${survivorId}) THEN ${survivorId} ELSE d.recipient_key END,
          mx_group = CASE WHEN d.status = 'QUEUED' THEN coalesce(
            (SELECT g.mx_group FROM mail_domains g WHERE g.domain = split_part(${survivorAddress}, '@', -1)), 'other')
            ELSE d.mx_group END
        WHERE d.workspace_id = ${workspaceId} AND d.contact_id = ${otherId}`,
  );
  return { cancelledDeliveries: others + survivors, movedDeliveries };
}

async function cancel(tx: Queryable, workspaceId: string, condition: ReturnType<typeof sql>): Promise<number> {
  const streams = await many<{ stream_id: string; n: number }>(
    tx,
    sql`WITH cancelled AS (
          UPDATE deliveries d SET status = 'CANCELLED', reason = 'MERGED'
          WHERE d.workspace_id = ${workspaceId} AND d.status = 'QUEUED' AND ${condition} RETURNING d.stream_id)
        SELECT stream_id, count(*)::integer AS n FROM cancelled GROUP BY stream_id ORDER BY stream_id`,
  );
  for (const { stream_id, n } of streams) {
    await tx.query(sql`
      INSERT INTO run_counters (workspace_id, stream_id, process_id, queued, cancelled)
      VALUES (${workspaceId}, ${stream_id}, ${NO_PROCESS}, ${-n}, ${n})
      ON CONFLICT (stream_id, process_id, slot) DO UPDATE
      SET queued = run_counters.queued + excluded.queued, cancelled = run_counters.cancelled + excluded.cancelled`);
  }
  return streams.reduce((sum, { n }) => sum + n, 0);
}
