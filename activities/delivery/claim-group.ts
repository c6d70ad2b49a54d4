import { takeCapacity, takeRateSlots } from '../../db/delivery/capacity';
import {
  type ClaimedRow,
  type LockedRow,
  lockGroup,
  type RefusedRow,
  wasWritten,
  writeClaim,
} from '../../db/delivery/claim';
import { toFacts, toFrequency } from '../../db/delivery/facts';
import { type FrequencyMail, lockFrequencies, takeFrequencyUnits } from '../../db/delivery/frequency';
import { takeOptInUnits } from '../../db/delivery/opt-in-limit';
import {
  type CapacityLimit,
  type CapacityUnit,
  type DatabaseClock,
  judge,
  judgeFrequency,
} from '../../domain/delivery';
import type { Logger } from '../../platform/log';
import type { Database } from '../../platform/postgres';
import type { Candidate } from './candidate';
import { type Pace, paceOf } from './pace';
import type { ChosenRoute } from './sender-directory';

/** What a claim needs to know besides its candidates. */
export interface ClaimRequest {
  claimId: string;
  workspaceId: string;
  laneId: string;
  streamId: string;
  processId: string;
  counterSlot: number;
  route: Pick<ChosenRoute, 'routeId' | 'reason' | 'rateLimit' | 'caps'>;
  candidates: Candidate[];
  databaseClock: DatabaseClock;
  /** The workspace's local date: key of daily capacity. */
  today: (now: Date) => string;
}

/** A row that is SENDING now, with what its settle needs. */
export interface Claimed {
  candidate: Candidate;
  row: LockedRow;
}

export interface Claim {
  claimId: string;
  claimedAt: Date;
  /** What each claimed row holds. */
  units: CapacityUnit[];
  claimed: Claimed[];
  /** Rows whose verdict was not OK. */
  refused: number;
  /** When the first may begin, and the distance between two; null = at once. */
  pace: Pace | null;
  /** A limit of the route that has nothing left. */
  exhausted: CapacityLimit | null;
  /** When the claim began, in milliseconds since 1970. */
  begunAt: number;
  /** True when the COMMIT's answer was lost: the rows are SENDING, and nothing of them may be written any more. */
  uncertain: boolean;
}

/**
 * Claims a group: locks, gathers facts, judges, takes capacity last, writes SENDING (design, section 4 "Claim").
 * Null: nothing of it was left to claim.
 */
export async function claimGroup(db: Database, log: Logger, request: ClaimRequest): Promise<Claim | null> {
  const { claimId } = request;
  const begunAt = Date.now();
  let written: Claim | null = null;
  try {
    return await db.transactionWithLast<Claim | null>(async (tx) => {
      const keys = keysOf(request.candidates);
      const { rows, now } = await lockGroup(tx, keys);
      if (now === null) return { result: null, last: [] };
      const byId = new Map(request.candidates.map((candidate) => [candidate.due.id, candidate]));
      const passed: Claimed[] = [];
      const refused: RefusedRow[] = [];
      for (const row of rows) {
        const candidate = byId.get(row.id);
        if (!candidate) continue;
        const verdict = judge(toFacts(row), now);
        if (verdict.kind !== 'OK') refused.push({ sourceId: row.source_id, id: row.id, verdict });
        else if (candidate.failure)
          refused.push({ sourceId: row.source_id, id: row.id, verdict: { kind: 'FAIL', reason: candidate.failure } });
        // What was rendered belongs to another version of the contact: leave the row, the next look renders it again.
        else if (row.contact_version === candidate.due.contact_version) passed.push({ candidate, row });
      }
      const limited = await withinOptInLimit(tx, request.workspaceId, passed, refused, now);
      const wanted = await withinFrequency(tx, request.workspaceId, limited, refused, now);
      const capacity = await withinCapacity(tx, request, wanted, now);
      const counted = capacity.claimed.flatMap(frequencyMailOf);
      if (counted.length > 0) await takeFrequencyUnits(tx, request.workspaceId, counted, now);
      const claim: Claim = {
        claimId,
        claimedAt: now,
        units: capacity.units,
        claimed: capacity.claimed,
        refused: refused.length,
        pace: capacity.pace,
        exhausted: capacity.exhausted,
        begunAt,
        uncertain: false,
      };
      const last = await writeClaim(tx, {
        workspaceId: request.workspaceId,
        laneId: request.laneId,
        streamId: request.streamId,
        routeId: request.route.routeId,
        routeReason: request.route.reason,
        processId: request.processId,
        counterSlot: request.counterSlot,
        claimId,
        claimedAt: now,
        capDate: capacity.units.length > 0 ? capacity.localDate : null,
        units: capacity.units,
        claimed: capacity.claimed.map(toClaimedRow),
        refused,
      });
      written = claim;
      return { result: claim, last: last ? [last.sent] : [] };
    });
  } catch (error) {
    if (written === null) throw error;
    return resolveUnknownCommit(db, log, written, error);
  }
}

/** After an unknown COMMIT the group is re-read before anything else; its rows are handed back unsent. */
async function resolveUnknownCommit(db: Database, log: Logger, claim: Claim, error: unknown): Promise<Claim | null> {
  log.warn({ err: error, claimId: claim.claimId }, 'the outcome of a claim is not known; reading it again');
  for (;;) {
    try {
      const [first] = claim.claimed;
      if (!first) return null;
      const key = { sourceId: first.row.source_id, deliveryId: first.row.id };
      return (await wasWritten(db, claim.claimId, key)) ? { ...claim, uncertain: true } : null;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}

function keysOf(candidates: Candidate[]): { sourceIds: string[]; deliveryIds: string[] } {
  const sources = new Set(candidates.map((candidate) => candidate.due.source_id));
  return {
    sourceIds: sources.size === 1 ? [...sources] : candidates.map((candidate) => candidate.due.source_id),
    deliveryIds: candidates.map((candidate) => candidate.due.id),
  };
}

function toClaimedRow({ candidate, row }: Claimed): ClaimedRow {
  return {
    sourceId: row.source_id,
    id: row.id,
    address: candidate.address,
    recipientName: candidate.recipientName,
    addressHash: row.email_hash,
  };
}

type Transaction = Parameters<Parameters<Database['transaction']>[0]>[0];

async function withinOptInLimit(
  tx: Transaction,
  workspaceId: string,
  passed: Claimed[],
  refused: RefusedRow[],
  now: Date,
): Promise<Claimed[]> {
  const mails = passed.flatMap(({ row }) =>
    row.message_class === 'opt-in' && row.email_hash
      ? [{ sourceId: row.source_id, deliveryId: row.id, addressHash: row.email_hash }]
      : [],
  );
  if (mails.length === 0) return passed;
  const granted = await takeOptInUnits(tx, workspaceId, mails);
  return passed.filter(({ row }) => {
    if (row.message_class !== 'opt-in' || granted.has(row.id)) return true;
    // Another process took the last unit between the facts and the lock: look again in an hour.
    const until = new Date(now.getTime() + 3_600_000);
    refused.push({ sourceId: row.source_id, id: row.id, verdict: { kind: 'DEFER', reason: 'OPT_IN_LIMIT', until } });
    return false;
  });
}

function frequencyMailOf({ row }: Claimed): FrequencyMail[] {
  if (row.frequency === null || row.contact_id === null) return [];
  const { source_id: sourceId, id: deliveryId, contact_id: contactId, frequency } = row;
  return [{ sourceId, deliveryId, contactId, categoryId: frequency.category_id }];
}

/**
 * Looks again under a lock at contacts who want few messages of a category: between the facts and the lock another claim
 * may have taken the period. Only those cost statements.
 */
async function withinFrequency(
  tx: Transaction,
  workspaceId: string,
  passed: Claimed[],
  refused: RefusedRow[],
  now: Date,
): Promise<Claimed[]> {
  const mails = passed.flatMap(frequencyMailOf);
  if (mails.length === 0) return passed;
  const lastAt = await lockFrequencies(tx, workspaceId, mails);
  const taken = new Set<string>();
  return passed.filter((claimed) => {
    const { row } = claimed;
    const [mail] = frequencyMailOf(claimed);
    if (!mail || row.frequency === null) return true;
    const period = `${mail.contactId} ${mail.categoryId}`;
    const last = taken.has(period) ? now : (lastAt.get(row.id) ?? null);
    const verdict = judgeFrequency(row.message_class, { ...toFrequency(row.frequency), lastAt: last }, now);
    if (verdict.kind === 'OK') taken.add(period);
    else refused.push({ sourceId: row.source_id, id: row.id, verdict });
    return verdict.kind === 'OK';
  });
}

/** Takes units last in the transaction, so that nobody waits for them long. */
async function withinCapacity(
  tx: Transaction,
  request: ClaimRequest,
  passed: Claimed[],
  now: Date,
): Promise<{
  claimed: Claimed[];
  localDate: string | null;
  units: CapacityUnit[];
  pace: Pace | null;
  exhausted: CapacityLimit | null;
}> {
  const { caps, rateLimit } = request.route;
  let claimed = passed;
  let units: CapacityUnit[] = [];
  let exhausted: CapacityLimit | null = null;
  const limited = caps.length > 0 && passed.length > 0;
  const localDate = limited ? request.today(now) : null;
  if (localDate !== null) {
    const wanted = passed.length;
    const taken = await takeCapacity(tx, { workspaceId: request.workspaceId, limits: caps, now, localDate, wanted });
    claimed = passed.slice(0, taken.count);
    units = claimed.length > 0 ? taken.units : [];
    exhausted = taken.exhausted;
  }
  if (rateLimit === null || claimed.length === 0) return { claimed, localDate, units, pace: null, exhausted };
  const slots = await takeRateSlots(tx, rateLimit, claimed.length);
  request.databaseClock.observe(slots.nowMs, performance.now());
  const firstAt = request.databaseClock.local(slots.firstAtMs);
  return { claimed, localDate, units, pace: paceOf(firstAt, rateLimit.perSecond), exhausted };
}
