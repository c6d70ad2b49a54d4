import type { PoolClient } from 'pg';
import { many, type Statement, sql } from '../../platform/postgres';
import { returnUnits, unitsOfClaims } from './capacity';
import { countStream, OTHER_SLOT } from './claim';
import { returnFrequencyUnits } from './frequency';
import { OPERATOR_PROCESS } from './operator';
import { tellOfClaims } from './receipts';

/** Which FAILED rows are meant. A campaign, a sequence or a contact is named, since the ledger has an index of each. */
export interface RequeueFilter {
  workspaceId: string;
  campaignId: string | null;
  sequenceId: string | null;
  contactId: string | null;
  /** Why they failed; at least one. */
  reasons: readonly string[];
  /** Last begun, or made where never begun, at or after this moment. */
  since: Date | null;
}

/** What a requeue would do, or has done. */
export interface RequeueCount {
  /** FAILED rows that the filter names, by reason. */
  byReason: Record<string, number>;
  /** Rows of cancelled sources, and of enrolments that went another way since: they stay FAILED. */
  cancelled: number;
}

function matching(filter: RequeueFilter): Statement {
  const { workspaceId, campaignId, sequenceId, contactId, reasons, since } = filter;
  const sources =
    campaignId === null
      ? sql`SELECT id FROM sequence_enrolments WHERE workspace_id = ${workspaceId} AND sequence_id = ${sequenceId}`
      : sql`SELECT id FROM campaign_runs WHERE workspace_id = ${workspaceId} AND campaign_id = ${campaignId}`;
  const isOfContact = campaignId === null && sequenceId === null;
  const source = isOfContact ? sql`d.contact_id = ${contactId}` : sql`d.source_id IN (${sources})`;
  return sql`d.workspace_id = ${workspaceId} AND ${source} AND d.status = 'FAILED'
    AND (${contactId}::uuid IS NULL OR d.contact_id = ${contactId}) AND d.reason = ANY (${[...reasons]}::text[])
    AND (${since}::timestamptz IS NULL OR coalesce(d.last_attempt_at, d.created_at) >= ${since})`;
}

/**
 * Whether a row's source still wants it. A sequence's mail that failed has ended its enrolment, or will with the next
 * plan: it may go again while nothing else has, neither a stop by somebody nor another enrolment of the same person.
 */
const IS_WANTED = sql`s.state <> 'CANCELLED' AND (d.source_type <> 'SEQUENCE' OR EXISTS (
  SELECT 1 FROM sequence_enrolments e
  WHERE e.workspace_id = d.workspace_id AND e.id = d.source_id AND d.step_key = 'step-' || e.step_number
    AND (e.status = 'ACTIVE' OR (e.stop_reason = d.reason AND NOT EXISTS (
      SELECT 1 FROM sequence_enrolments x WHERE x.workspace_id = e.workspace_id AND x.sequence_id = e.sequence_id
        AND x.contact_id = e.contact_id AND x.status = 'ACTIVE')))))`;

/** Counts what the filter names; nothing is changed. */
export async function countRequeue(tx: PoolClient, filter: RequeueFilter): Promise<RequeueCount> {
  const rows = await many<{ reason: string; cancelled: boolean; n: number }>(
    tx,
    sql`SELECT d.reason, NOT (${IS_WANTED}) AS cancelled, count(*) AS n
        FROM deliveries d JOIN streams s ON s.id = d.stream_id WHERE ${matching(filter)} GROUP BY 1, 2`,
  );
  const open = rows.filter((row) => !row.cancelled);
  return {
    byReason: Object.fromEntries(open.map((row) => [row.reason, row.n])),
    cancelled: rows.filter((row) => row.cancelled).reduce((sum, row) => sum + row.n, 0),
  };
}

interface Requeued {
  stream_id: string;
  lane_id: string;
  source_type: string;
  source_id: string;
  id: string;
  claim_id: string | null;
  held: boolean;
}

/**
 * Queues up to `limit` FAILED rows again in the caller's transaction: the same rows under the same identity and
 * Message-ID, with all their attempts, and every check is asked again by their claim. What they held of limits returns.
 * A row that somebody else is changing is left for the next call. Mail of sequences waits for its next plan, which gives
 * it another slot of its mailbox; enrolments that it had ended go on.
 */
export async function requeue(
  tx: PoolClient,
  filter: RequeueFilter,
  limit: number,
): Promise<{ requeued: number; laneIds: string[]; ofSequences: number }> {
  // Streams first: a run that is just closing, or a cancellation, comes before or after this as a whole.
  await tx.query(sql`
    SELECT 1 FROM streams WHERE id IN (SELECT DISTINCT d.stream_id FROM deliveries d WHERE ${matching(filter)})
    ORDER BY id FOR NO KEY UPDATE`);
  const rows = await many<Requeued & Record<string, unknown>>(
    tx,
    sql`WITH wanted AS MATERIALIZED (
          SELECT d.source_id, d.id, d.cap_date IS NOT NULL AS held FROM deliveries d
          WHERE ${matching(filter)} AND EXISTS (SELECT 1 FROM streams s WHERE s.id = d.stream_id AND ${IS_WANTED})
          ORDER BY d.source_id, d.id LIMIT ${limit} FOR UPDATE OF d SKIP LOCKED)
        UPDATE deliveries d SET status = 'QUEUED', reason = 'REQUEUED', attempts = 0, data_drops = 0, not_before = sally_now(),
          cap_date = NULL, mailbox_date = NULL, slot_until = CASE WHEN d.mailbox_id IS NOT NULL THEN sally_now() END
        FROM wanted w WHERE d.source_id = w.source_id AND d.id = w.id
        RETURNING d.stream_id, d.lane_id, d.source_type, d.source_id, d.id, d.claim_id, w.held`,
  );
  await tellOfClaims(
    tx,
    rows.flatMap(({ claim_id }) => claim_id ?? []),
  );
  const enrolments = rows.filter((row) => row.source_type === 'SEQUENCE').map((row) => row.source_id);
  await reopenEnrolments(tx, filter.workspaceId, enrolments);
  const streams = new Map<string, number>();
  for (const row of rows) streams.set(row.stream_id, (streams.get(row.stream_id) ?? 0) + 1);
  const { workspaceId } = filter;
  for (const [streamId, count] of [...streams].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const processId = OPERATOR_PROCESS;
    await tx.query(sql`UPDATE streams SET idle = false WHERE id = ${streamId} AND idle`);
    await countStream(tx, { workspaceId, streamId, processId, slot: OTHER_SLOT, failed: -count, queued: count });
  }
  await returnFrequencyUnits(
    tx,
    workspaceId,
    rows.map((row) => row.id),
  );
  const claims = new Map<string, number>();
  for (const row of rows) if (row.held && row.claim_id) claims.set(row.claim_id, (claims.get(row.claim_id) ?? 0) + 1);
  const held = [...claims].map(([claimId, count]) => ({ workspaceId, claimId, rows: count }));
  await returnUnits(tx, await unitsOfClaims(tx, held));
  const laneIds = [...new Set(rows.map((row) => row.lane_id))].sort();
  return { requeued: rows.length, laneIds, ofSequences: enrolments.length };
}

async function reopenEnrolments(tx: PoolClient, workspaceId: string, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await tx.query(sql`
    UPDATE sequence_enrolments SET status = 'ACTIVE', stop_reason = NULL, pending = true, ended_at = NULL
    WHERE workspace_id = ${workspaceId} AND id = ANY (${[...ids]}::uuid[])`);
}
