import type { CapacityUnit, OutcomeReason, Settlement } from '../../domain/delivery';
import type { Database } from '../../platform/postgres';
import { returnUnits } from './capacity';
import { countStream, SETTLE_SLOT } from './claim';
import { returnFrequencyUnits } from './frequency';

/** One row's outcome, ready to be written. */
export interface RowSettlement {
  workspaceId: string;
  streamId: string;
  sourceId: string;
  id: string;
  claimId: string;
  claimedAt: Date;
  routeId: string;
  settlement: Settlement;
  providerMessageId: string | null;
  /** The Message-ID header finally used, with angle brackets; absent or null = ours stands. */
  rfcMessageId?: string | null;
  /** For delivery_attempts: what the server said, with addresses struck out. */
  attempt: { number: number; smtpCode: number | null; enhancedCode: string | null; diagnostic: string } | null;
  /** Units to give back when the row returns to the queue. */
  units: readonly CapacityUnit[];
  /** It has taken its contact's day, week or month, which returns with it, too. */
  hasFrequencyUnit: boolean;
}

/** A group's counts as the channel counted them, independent of the rows. */
interface GroupCount {
  claimId: string;
  claimedAt: Date;
  accepted: number;
  failed: number;
  returned: number;
  unconfirmed: number;
}

export interface SettleResult {
  /** Rows that no longer were SENDING with this claim: their truth is late (settleLate). */
  late: RowSettlement[];
}

/**
 * Writes a batch of outcomes in one short transaction, idempotent by (delivery, claim): rows, group counts, run
 * counters, attempts, returned capacity. A row whose source was cancelled meanwhile becomes CANCELLED instead of
 * QUEUED; the stream is locked FOR SHARE for that, so that a cancellation either sees the returned row or is seen.
 */
export async function settleRows(db: Database, processId: string, rows: RowSettlement[]): Promise<SettleResult> {
  if (rows.every((row) => row.settlement.status === 'SENT' && row.attempt === null)) {
    return settleAccepted(db, processId, rows);
  }
  return db.transaction(async (tx) => {
    const returning = rows.filter((row) => row.settlement.status === 'QUEUED');
    const cancelled = new Set<string>();
    if (returning.length > 0) {
      const streams = [...new Set(returning.map((row) => row.streamId))].sort();
      const { rows: states } = await tx.query<{ id: string; state: string }>(
        'SELECT id, state FROM streams WHERE id = ANY ($1::uuid[]) ORDER BY id FOR SHARE',
        [streams],
      );
      for (const stream of states) if (stream.state === 'CANCELLED') cancelled.add(stream.id);
    }
    const status = (row: RowSettlement): string =>
      row.settlement.status === 'QUEUED' && cancelled.has(row.streamId) ? 'CANCELLED' : row.settlement.status;
    const reason = (row: RowSettlement): OutcomeReason | 'SOURCE_CANCELLED' | null =>
      status(row) === 'CANCELLED' ? 'SOURCE_CANCELLED' : row.settlement.reason;

    const { rows: settled } = await tx.query<{ id: string }>({
      name: 'settle-rows',
      text: `
        UPDATE deliveries d SET status = v.status, reason = v.reason, attempts = d.attempts + v.burnt, data_drops = v.data_drops,
          not_before = CASE WHEN v.status = 'QUEUED' THEN sally_now() + v.delay_ms * interval '1 millisecond' ELSE d.not_before END,
          sent_at = CASE WHEN v.status = 'SENT' THEN sally_now() END,
          provider_message_id = coalesce(v.provider_message_id, d.provider_message_id),
          rfc_message_id = coalesce(v.rfc_message_id, d.rfc_message_id),
          cap_date = CASE WHEN v.status IN ('QUEUED', 'CANCELLED') THEN NULL ELSE d.cap_date END
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::smallint[], $7::smallint[], $8::float8[], $9::text[],
          $10::text[])
          AS v (source_id, id, claim_id, status, reason, burnt, data_drops, delay_ms, provider_message_id, rfc_message_id)
        WHERE d.source_id = v.source_id AND d.id = v.id AND d.claim_id = v.claim_id AND d.status = 'SENDING'
        RETURNING d.id`,
      values: [
        rows.map((row) => row.sourceId),
        rows.map((row) => row.id),
        rows.map((row) => row.claimId),
        rows.map(status),
        rows.map(reason),
        rows.map((row) => row.settlement.burnt),
        rows.map((row) => row.settlement.dataDrops),
        rows.map((row) => row.settlement.delayMs),
        rows.map((row) => row.providerMessageId),
        rows.map((row) => row.rfcMessageId ?? null),
      ],
    });
    const done = new Set(settled.map((row) => row.id));
    const applied = rows.filter((row) => done.has(row.id));

    await writeGroupCounts(tx, applied);
    for (const [streamId, ofStream] of groupBy(applied, (row) => row.streamId)) {
      const [first] = ofStream;
      if (!first) continue;
      const count = (wanted: string) => ofStream.filter((row) => status(row) === wanted).length;
      await countStream(tx, {
        workspaceId: first.workspaceId,
        streamId,
        processId,
        slot: SETTLE_SLOT,
        sending: -ofStream.length,
        queued: count('QUEUED'),
        sent: count('SENT'),
        failed: count('FAILED'),
        unconfirmed: count('UNCONFIRMED'),
        cancelled: count('CANCELLED'),
      });
    }
    await writeAttempts(tx, applied);
    const returned = applied.filter((row) => ['QUEUED', 'CANCELLED'].includes(status(row)));
    for (const [workspaceId, ofWorkspace] of groupBy(returned, (row) => row.workspaceId)) {
      const counted = ofWorkspace.filter((row) => row.hasFrequencyUnit);
      await returnFrequencyUnits(
        tx,
        workspaceId,
        counted.map((row) => row.id),
      );
    }
    await returnUnits(tx, returned);
    return { late: rows.filter((row) => !done.has(row.id)) };
  });
}

/**
 * The same for a batch of acceptances, which is what nearly every batch is: rows, groups and counters in one statement
 * and one commit. The clock is read once: sally_now() cannot be inlined, and a call for each row costs a fifth of the row.
 */
async function settleAccepted(db: Database, processId: string, rows: RowSettlement[]): Promise<SettleResult> {
  const { rows: settled } = await db.query<{ id: string }>({
    name: 'settle-accepted',
    text: `
      WITH sent AS (
        UPDATE deliveries d SET status = 'SENT', reason = NULL, data_drops = 0, sent_at = (SELECT sally_now()),
          provider_message_id = coalesce(v.provider_message_id, d.provider_message_id),
          rfc_message_id = coalesce(v.rfc_message_id, d.rfc_message_id)
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $7::text[])
          AS v (source_id, id, claim_id, provider_message_id, claimed_at, rfc_message_id)
        WHERE d.source_id = v.source_id AND d.id = v.id AND d.claim_id = v.claim_id AND d.status = 'SENDING'
        RETURNING d.id, d.workspace_id, d.stream_id, d.claim_id, v.claimed_at),
      grouped AS (
        UPDATE delivery_groups g SET accepted = g.accepted + n.accepted,
          settled_at = CASE WHEN g.accepted + g.failed + g.returned + g.unconfirmed + n.accepted >= cardinality(g.delivery_ids)
            THEN sally_now() ELSE g.settled_at END
        FROM (SELECT claimed_at, claim_id, count(*)::int AS accepted FROM sent GROUP BY 1, 2) AS n
        WHERE g.claimed_at = n.claimed_at AND g.claim_id = n.claim_id),
      counted AS (
        INSERT INTO run_counters AS r (workspace_id, stream_id, process_id, slot, sending, sent)
        SELECT workspace_id, stream_id, $6, ${SETTLE_SLOT}, -count(*), count(*) FROM sent GROUP BY 1, 2 ORDER BY 2
        ON CONFLICT (stream_id, process_id, slot)
        DO UPDATE SET sending = r.sending + excluded.sending, sent = r.sent + excluded.sent)
      SELECT id FROM sent`,
    values: [
      rows.map((row) => row.sourceId),
      rows.map((row) => row.id),
      rows.map((row) => row.claimId),
      rows.map((row) => row.providerMessageId),
      rows.map((row) => row.claimedAt),
      processId,
      rows.map((row) => row.rfcMessageId ?? null),
    ],
  });
  const done = new Set(settled.map((row) => row.id));
  return { late: rows.filter((row) => !done.has(row.id)) };
}

type Transaction = Parameters<Parameters<Database['transaction']>[0]>[0];

async function writeGroupCounts(tx: Transaction, rows: RowSettlement[]): Promise<void> {
  const counts = new Map<string, GroupCount>();
  for (const row of rows) {
    const group = counts.get(row.claimId) ?? {
      claimId: row.claimId,
      claimedAt: row.claimedAt,
      accepted: 0,
      failed: 0,
      returned: 0,
      unconfirmed: 0,
    };
    counts.set(row.claimId, group);
    switch (row.settlement.status) {
      case 'SENT':
        group.accepted += 1;
        break;
      case 'FAILED':
        group.failed += 1;
        break;
      case 'QUEUED':
        group.returned += 1;
        break;
      case 'UNCONFIRMED':
        group.unconfirmed += 1;
        break;
    }
  }
  if (counts.size === 0) return;
  const groups = [...counts.values()];
  await tx.query({
    name: 'settle-groups',
    text: `
      UPDATE delivery_groups g SET accepted = g.accepted + v.accepted, failed = g.failed + v.failed, returned = g.returned + v.returned,
        unconfirmed = g.unconfirmed + v.unconfirmed,
        settled_at = CASE WHEN g.accepted + g.failed + g.returned + g.unconfirmed + v.accepted + v.failed + v.returned + v.unconfirmed
          >= cardinality(g.delivery_ids) THEN sally_now() ELSE g.settled_at END
      FROM unnest($1::timestamptz[], $2::uuid[], $3::int[], $4::int[], $5::int[], $6::int[])
        AS v (claimed_at, claim_id, accepted, failed, returned, unconfirmed)
      WHERE g.claimed_at = v.claimed_at AND g.claim_id = v.claim_id`,
    values: [
      groups.map((group) => group.claimedAt),
      groups.map((group) => group.claimId),
      groups.map((group) => group.accepted),
      groups.map((group) => group.failed),
      groups.map((group) => group.returned),
      groups.map((group) => group.unconfirmed),
    ],
  });
}

async function writeAttempts(tx: Transaction, rows: RowSettlement[]): Promise<void> {
  const recorded = rows.filter((row) => row.attempt !== null);
  if (recorded.length === 0) return;
  await tx.query({
    name: 'write-attempts',
    text: `
      INSERT INTO delivery_attempts (workspace_id, source_id, delivery_id, claim_id, attempt, outcome, smtp_code, enhanced_code, diagnostic, route_id)
      SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::smallint[], $6::text[], $7::smallint[], $8::text[], $9::text[], $10::uuid[])
      ON CONFLICT DO NOTHING`,
    values: [
      recorded.map((row) => row.workspaceId),
      recorded.map((row) => row.sourceId),
      recorded.map((row) => row.id),
      recorded.map((row) => row.claimId),
      recorded.map((row) => row.attempt?.number ?? 0),
      recorded.map((row) => row.settlement.reason ?? row.settlement.status),
      recorded.map((row) => row.attempt?.smtpCode ?? null),
      recorded.map((row) => row.attempt?.enhancedCode ?? null),
      recorded.map((row) => row.attempt?.diagnostic ?? null),
      recorded.map((row) => row.routeId),
    ],
  });
}

function groupBy<Item>(items: Item[], key: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const list = groups.get(key(item));
    if (list) list.push(item);
    else groups.set(key(item), [item]);
  }
  return groups;
}
