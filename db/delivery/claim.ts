import type { PoolClient } from 'pg';
import type { CapacityUnit, Verdict } from '../../domain/delivery';
import type { Database } from '../../platform/postgres';
import { FACTS_COLUMNS, FACTS_JOINS, type FactsRow } from './facts';

/** A row of the group that was locked, with its facts. */
export interface LockedRow extends FactsRow {
  source_id: string;
  id: string;
  contact_id: string | null;
  attempts: number;
  max_attempts: number;
  data_drops: number;
}

/** Primary keys of a group's rows: `sourceIds` has one element when all rows are of one source. */
export interface GroupKeys {
  sourceIds: string[];
  deliveryIds: string[];
}

const LOCK_COLUMNS = `d.workspace_id, d.source_type, d.source_id, d.id, d.contact_id, d.address, d.recipient_name,
  d.address_hash, d.message_id, d.stream_id, d.channel, d.class, d.expires_at, d.slot_until,
  d.attempts, d.max_attempts, d.data_drops`;

// SKIP LOCKED inside a materialised CTE: the planner must not re-evaluate it, and joins must not lock more. One
// look-up by primary key per id: with "id = ANY" the planner may walk the whole run's part of another index instead.
// The clock is read once: sally_now() cannot be inlined, and a call for each row costs a tenth of the row.
function lockText(keys: 'one-source' | 'many-sources'): string {
  const wanted =
    keys === 'one-source' ? 'unnest($2::uuid[]) AS w (id)' : 'unnest($1::uuid[], $2::uuid[]) AS w (source_id, id)';
  const source = keys === 'one-source' ? '$1' : 'w.source_id';
  return `
    WITH row AS MATERIALIZED (
      SELECT d.* FROM ${wanted} CROSS JOIN LATERAL (
        SELECT ${LOCK_COLUMNS} FROM deliveries d
        WHERE d.source_id = ${source} AND d.id = w.id AND d.status = 'QUEUED' FOR UPDATE SKIP LOCKED) AS d)
    SELECT row.source_id, row.id, row.contact_id, row.attempts, row.max_attempts, row.data_drops, ${FACTS_COLUMNS}, (SELECT sally_now()) AS now
    FROM row ${FACTS_JOINS}`;
}

/** Locks a group by primary key (rows still QUEUED, none waited for) and gathers each row's facts. */
export async function lockGroup(tx: PoolClient, keys: GroupKeys): Promise<{ rows: LockedRow[]; now: Date | null }> {
  const [first] = keys.sourceIds;
  const single = keys.sourceIds.length === 1;
  const { rows } = await tx.query<LockedRow & { now: Date }>(
    single
      ? { name: 'lock-group-one', text: lockText('one-source'), values: [first, keys.deliveryIds] }
      : { name: 'lock-group-many', text: lockText('many-sources'), values: [keys.sourceIds, keys.deliveryIds] },
  );
  return { rows, now: rows[0]?.now ?? null };
}

/** A row that becomes SENDING: the address is written as it will be sent. */
export interface ClaimedRow {
  sourceId: string;
  id: string;
  address: string;
  recipientName: string;
  addressHash: Buffer | null;
}

/** A row that a verdict keeps from being sent. */
export interface RefusedRow {
  sourceId: string;
  id: string;
  verdict: Exclude<Verdict, { kind: 'OK' }>;
}

export interface ClaimWrite {
  workspaceId: string;
  laneId: string;
  streamId: string;
  routeId: string;
  routeReason: string;
  processId: string;
  /** Slot of the run counters that no claim under way counts in, see `claimSlot`. */
  counterSlot: number;
  claimId: string;
  claimedAt: Date;
  /** The local date of the claim where its rows hold units; null where they hold none. */
  capDate: string | null;
  /** What each claimed row holds. */
  units: readonly CapacityUnit[];
  claimed: ClaimedRow[];
  refused: RefusedRow[];
}

/**
 * Writes the claim: rows to SENDING with the claim's id, the group's row and the run counters in one statement, refused
 * rows to their end or wait in another. Bytes may be written to a socket only after the transaction's COMMIT is
 * acknowledged. Resolves when the statement is sent, with its answer to come, so that the COMMIT can follow at once;
 * null when nothing is claimed.
 */
export async function writeClaim(tx: PoolClient, claim: ClaimWrite): Promise<{ sent: Promise<unknown> } | null> {
  if (claim.refused.length > 0) {
    await writeRefusals(tx, claim.refused);
    const failed = claim.refused.filter((row) => row.verdict.kind === 'FAIL').length;
    const cancelled = claim.refused.filter((row) => row.verdict.kind === 'CANCEL').length;
    const { workspaceId, streamId, processId } = claim;
    await countStream(tx, {
      workspaceId,
      streamId,
      processId,
      slot: claim.counterSlot,
      queued: -(failed + cancelled),
      failed,
      cancelled,
    });
  }
  if (claim.claimed.length === 0) return null;
  const sources = [...new Set(claim.claimed.map((row) => row.sourceId))];
  const sent = tx.query({
    name: 'write-claim',
    text: `
      WITH claimed AS (
        UPDATE deliveries d SET status = 'SENDING', claim_id = $1, process_id = $2, route_id = $3, route_reason = $4, cap_date = $5,
          last_attempt_at = $6, reason = NULL, address = v.address, recipient_name = v.name, address_hash = coalesce(v.hash, d.address_hash)
        FROM unnest($7::uuid[], $8::uuid[], $9::text[], $10::text[], $11::bytea[]) AS v (source_id, id, address, name, hash)
        WHERE d.source_id = v.source_id AND d.id = v.id),
      counted AS (
        INSERT INTO run_counters AS r (workspace_id, stream_id, process_id, slot, queued, sending)
        VALUES ($12, $14, $2, $17, -$16::bigint, $16::bigint)
        ON CONFLICT (stream_id, process_id, slot) DO UPDATE SET queued = r.queued - $16, sending = r.sending + $16)
      INSERT INTO delivery_groups (workspace_id, claim_id, process_id, lane_id, stream_id, route_id, source_ids, delivery_ids, claimed_at, units)
      VALUES ($12, $1, $2, $13, $14, $3, $15, $8, $6, $18::jsonb)`,
    values: [
      claim.claimId,
      claim.processId,
      claim.routeId,
      claim.routeReason,
      claim.capDate,
      claim.claimedAt,
      claim.claimed.map((row) => row.sourceId),
      claim.claimed.map((row) => row.id),
      claim.claimed.map((row) => row.address),
      claim.claimed.map((row) => row.recipientName),
      claim.claimed.map((row) => row.addressHash),
      claim.workspaceId,
      claim.laneId,
      claim.streamId,
      sources.length === 1 ? sources : claim.claimed.map((row) => row.sourceId),
      claim.claimed.length,
      claim.counterSlot,
      claim.units.length === 0 ? null : JSON.stringify(claim.units),
    ],
  });
  // Whoever commits waits for it; until then its failure must not count as unhandled.
  sent.catch(() => undefined);
  return { sent };
}

async function writeRefusals(tx: PoolClient, refused: RefusedRow[]): Promise<void> {
  await tx.query({
    name: 'write-refusals',
    text: `
      UPDATE deliveries d SET status = v.status, reason = v.reason,
        not_before = coalesce(v.not_before, d.not_before)
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[]) AS v (source_id, id, status, reason, not_before)
      WHERE d.source_id = v.source_id AND d.id = v.id`,
    values: [
      refused.map((row) => row.sourceId),
      refused.map((row) => row.id),
      refused.map((row) => ({ FAIL: 'FAILED', CANCEL: 'CANCELLED', DEFER: 'QUEUED' })[row.verdict.kind]),
      refused.map((row) => row.verdict.reason),
      refused.map((row) => (row.verdict.kind === 'DEFER' ? row.verdict.until : null)),
    ],
  });
}

/**
 * A process counts in several rows of `run_counters`, one for each kind of transaction that may be under way, so that
 * none waits for another's commit.
 */
export const SETTLE_SLOT = 1;
export const OTHER_SLOT = 2;

/** The slot of the `n`th (from 0) of a drain's claims under way. */
export function claimSlot(n: number): number {
  return 10 + n;
}

export interface StreamChange {
  workspaceId: string;
  streamId: string;
  processId: string;
  slot: number;
  materialised?: number;
  queued?: number;
  sending?: number;
  sent?: number;
  failed?: number;
  unconfirmed?: number;
  cancelled?: number;
}

/** Adds signed changes to a stream's counters; nothing is written when nothing changed. */
export async function countStream(tx: Pick<PoolClient, 'query'>, change: StreamChange): Promise<void> {
  const counts = [
    change.materialised,
    change.queued,
    change.sending,
    change.sent,
    change.failed,
    change.unconfirmed,
    change.cancelled,
  ].map((count) => count ?? 0);
  if (counts.every((count) => count === 0)) return;
  await tx.query({
    name: 'count-stream',
    text: `
      INSERT INTO run_counters AS r (workspace_id, stream_id, process_id, slot, materialised, queued, sending, sent, failed, unconfirmed, cancelled)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
      ON CONFLICT (stream_id, process_id, slot) DO UPDATE SET materialised = r.materialised + $5, queued = r.queued + $6,
        sending = r.sending + $7, sent = r.sent + $8, failed = r.failed + $9, unconfirmed = r.unconfirmed + $10, cancelled = r.cancelled + $11`,
    values: [change.workspaceId, change.streamId, change.processId, change.slot, ...counts],
  });
}

/**
 * After an unknown COMMIT: whether the group was written. The connection is gone, but Postgres may have the COMMIT still
 * before it; the transaction holds its rows until its end, so one of them is waited for before the group is looked at.
 */
export function wasWritten(
  db: Database,
  claimId: string,
  row: { sourceId: string; deliveryId: string },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    await tx.query('SELECT 1 FROM deliveries WHERE source_id = $1 AND id = $2 FOR UPDATE', [
      row.sourceId,
      row.deliveryId,
    ]);
    const { rowCount } = await tx.query('SELECT 1 FROM delivery_groups WHERE claim_id = $1', [claimId]);
    return (rowCount ?? 0) > 0;
  });
}
