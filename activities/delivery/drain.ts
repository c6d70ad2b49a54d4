import { takeProbe } from '../../db/delivery/breakers';
import { nextRateSlotInMs } from '../../db/delivery/capacity';
import {
  type ActiveStream,
  activeStreams,
  type DueRow,
  type ReadAheadPair,
  readAhead,
} from '../../db/delivery/read-ahead';
import { nextOpening } from '../../domain/campaigns';
import { MAILBOX_PROVIDER_GROUPS } from '../../domain/contacts';
import { type DrainShare, goesAlone, throttledGroupSize } from '../../domain/delivery';
import { uuidv7 } from '../../platform/ids';
import type { Candidate } from './candidate';
import { type Claim, claimGroup } from './claim-group';
import { CLAIM_SECONDS, groupSizeAt } from './pace';
import type { ChosenRoute } from './sender-directory';
import type { SendingProcess } from './sending-process';
import { signerOf } from './signer';

/** How often a lane that has run dry is looked at while its drain lives. */
const LOOK_MS = 200;
/** How soon a connector without a free place is asked again. */
const PLACE_MS = 3;
/** A drain that found nothing for this long gives its slot back. */
const LINGER_MS = 2_000;
/** Rows read ahead per drain, shared among the pairs of stream and mailbox-provider group. */
const READ_AHEAD = 1_024;
/** Rows read ahead and not yet claimed below which the next look begins, while claims go on. */
const LOW_WATER = 64;
const LEAST_PER_PAIR = 32;
/** Claims of one drain whose COMMIT may be under way at once. */
const CLAIMS_AT_ONCE = 2;

export interface LaneToDrain {
  workspaceId: string;
  laneId: string;
  urgent: boolean;
  share: DrainShare;
}

/** What a drain did, and when blocked rows are worth another look. */
export interface DrainReport {
  claimed: number;
  refused: number;
  /** Milliseconds until something that blocked due rows ends; null = nothing blocked any. */
  blockedForMs: number | null;
}

interface Batch {
  stream: ActiveStream;
  fromEmail: string;
  rows: DueRow[];
}

/** One drain of one lane: reads ahead, renders, claims in groups and hands them to the process, until its slice ends. */
export class LaneDrain {
  private readonly buffer = new Map<string, Batch>();
  private readonly held = new Set<string>();
  /** Rendered, but not claimed yet: the window had no place for it. */
  private readonly rendered = new Map<string, Candidate>();
  private readonly cursors = new Map<string, Date>();
  private readonly claims = new Set<Promise<void>>();
  private claimed = 0;
  private refused = 0;
  private refilling: Promise<void> | null = null;
  private blockedUntil = Number.POSITIVE_INFINITY;

  constructor(
    private readonly process: SendingProcess,
    private readonly lane: LaneToDrain,
    private readonly signal: AbortSignal,
  ) {}

  /** Drains until `sliceMs` have passed, nothing came for a while, or everything due is blocked. */
  async run(sliceMs: number, onTurn: () => void): Promise<DrainReport> {
    const end = performance.now() + sliceMs;
    let idleSince: number | null = null;
    while (!this.signal.aborted && this.process.accepting && performance.now() < end) {
      onTurn();
      const worked = await this.turn();
      if (worked) {
        idleSince = null;
        continue;
      }
      idleSince ??= performance.now();
      if (performance.now() - idleSince >= LINGER_MS || this.isBlockedForLong()) break;
      await pause(LOOK_MS);
    }
    await this.refilling;
    await Promise.all(this.claims);
    const blockedForMs = Number.isFinite(this.blockedUntil) ? Math.max(0, this.blockedUntil - performance.now()) : null;
    return { claimed: this.claimed, refused: this.refused, blockedForMs };
  }

  /** One look and one claim; false when nothing could be done. */
  private async turn(): Promise<boolean> {
    if (this.held.size < LOW_WATER) this.refilling ??= this.refill().finally(() => (this.refilling = null));
    if (this.buffer.size === 0) await this.refilling;
    const next = this.buffer.entries().next();
    if (next.done) return false;
    const [key, batch] = next.value;
    // The next turn begins with another stream: a fair share of each.
    this.buffer.delete(key);
    const worked = await this.claimFrom(batch);
    if (batch.rows.length > 0) this.keep(key, batch);
    return worked;
  }

  /** Puts a batch back; a look that ended meanwhile may have begun another under its key. */
  private keep(key: string, batch: Batch): void {
    const newer = this.buffer.get(key);
    if (newer) newer.rows.unshift(...batch.rows);
    else this.buffer.set(key, batch);
  }

  private async refill(): Promise<void> {
    const streams = await activeStreams(this.process.deps.db, this.lane.laneId);
    const open = streams.filter((stream) => this.isOpen(stream));
    const groups: readonly string[] = MAILBOX_PROVIDER_GROUPS;
    if (open.length === 0) return;
    const perPair = Math.max(LEAST_PER_PAIR, Math.ceil(READ_AHEAD / (open.length * groups.length)));
    const pairs = open.flatMap((stream): ReadAheadPair[] =>
      groups.map((mxGroup) => ({
        streamId: stream.id,
        runId: stream.run_id,
        mxGroup,
        limit: perPair + this.heldOf(stream.id, mxGroup),
        from: this.cursors.get(`${stream.id} ${mxGroup}`) ?? null,
      })),
    );
    const found = await readAhead(this.process.deps.db, this.lane.laneId, pairs, this.lane.share);
    this.moveCursors(pairs, found);
    const byId = new Map(open.map((stream) => [stream.id, stream]));
    for (const row of found) {
      const stream = byId.get(row.stream_id);
      if (!stream || this.held.has(row.id)) continue;
      const content = await this.process.contents.load(row.workspace_id, row.message_id);
      this.hold(stream, content.message.fromEmail, row);
    }
  }

  private hold(stream: ActiveStream, fromEmail: string, row: DueRow): void {
    const key = `${stream.id} ${fromEmail}`;
    const batch = this.buffer.get(key) ?? { stream, fromEmail, rows: [] };
    batch.rows.push(row);
    this.buffer.set(key, batch);
    this.held.add(row.id);
  }

  private heldOf(streamId: string, mxGroup: string): number {
    let count = 0;
    for (const batch of this.buffer.values()) {
      if (batch.stream.id === streamId) for (const row of batch.rows) if (row.mx_group === mxGroup) count += 1;
    }
    return count;
  }

  /** A full page moves the pair's cursor behind rows that have left the queue; an incomplete one starts over. */
  private moveCursors(pairs: ReadAheadPair[], found: DueRow[]): void {
    const counts = new Map<string, { rows: number; first: Date }>();
    for (const row of found) {
      const key = `${row.stream_id} ${row.mx_group}`;
      const seen = counts.get(key);
      if (!seen) counts.set(key, { rows: 1, first: row.not_before });
      else {
        seen.rows += 1;
        if (row.not_before < seen.first) seen.first = row.not_before;
      }
    }
    for (const pair of pairs) {
      const key = `${pair.streamId} ${pair.mxGroup}`;
      const seen = counts.get(key);
      if (seen && seen.rows >= pair.limit) this.cursors.set(key, seen.first);
      else this.cursors.delete(key);
    }
  }

  private isOpen(stream: ActiveStream): boolean {
    if (stream.send_window === null || this.lane.urgent) return true;
    const opening = nextOpening(stream.send_window, stream.now);
    if (opening.open) return true;
    this.block(opening.opensAt.getTime() - stream.now.getTime());
    return false;
  }

  /** Claims one group out of a batch; false when its route cannot take any now. */
  private async claimFrom(batch: Batch): Promise<boolean> {
    const { process, lane } = this;
    const route = await process.directory.choose(lane.workspaceId, batch.fromEmail);
    if ('cause' in route) {
      this.drop(batch);
      this.block(route.retryInMs);
      return false;
    }
    const wanted = await this.groupSize(route);
    // It has waited for a place or a slot: look again at once.
    if (wanted === 0) return true;
    const rows = this.takeRows(batch, route, wanted);
    if (rows.length === 0) return false;
    if (route.probe && !(await takeProbe(process.deps.db, lane.workspaceId, route.sender.providerId))) {
      process.directory.forget(lane.workspaceId);
      this.putBack(batch, rows);
      this.drop(batch);
      this.block(1_000);
      return false;
    }
    const candidates = await this.prepare(rows, route);
    const ofProvider = (await route.window?.take(candidates.length, lane.urgent)) ?? candidates.length;
    const places = await process.window.take(ofProvider, lane.urgent);
    route.window?.give(ofProvider - places);
    if (places < candidates.length) this.putBack(batch, rows.slice(places));
    const claim = this.claim(batch, route, candidates.slice(0, places), places);
    this.claims.add(claim);
    void claim.finally(() => this.claims.delete(claim));
    while (this.claims.size >= CLAIMS_AT_ONCE) await Promise.race(this.claims);
    return true;
  }

  /** How many messages the route can begin in a quarter of a second; 0 after waiting a little. */
  private async groupSize(route: ChosenRoute): Promise<number> {
    const free = route.connector.freePlaces();
    if (free === 0) {
      await pause(PLACE_MS);
      return 0;
    }
    if (route.probe) return 1;
    const most = Math.min(this.process.deps.config.DELIVERY_GROUP_SIZE, free);
    if (route.rateLimit === null) return most;
    const slotInMs = await nextRateSlotInMs(this.process.deps.db, route.rateLimit);
    const early = slotInMs - CLAIM_SECONDS * 1000;
    if (early > 0) {
      // Slots are reserved at most a quarter of a second ahead, so that a pause loses no more than that.
      await pause(Math.min(early, 1_000));
      if (early > 1_000) this.block(early);
      return 0;
    }
    return groupSizeAt(route.rateLimit.perSecond, most);
  }

  /** Rows for one group: throttled mailbox providers give fewer, a row that makes servers drop goes alone. */
  private takeRows(batch: Batch, route: ChosenRoute, wanted: number): DueRow[] {
    const taken: DueRow[] = [];
    const left: DueRow[] = [];
    const allowed = new Map<string, number>();
    const now = new Date();
    for (const row of batch.rows) {
      const throttle = this.process.directory.throttle(this.lane.workspaceId, route.routeId, row.mx_group);
      const room = allowed.get(row.mx_group) ?? throttledGroupSize(throttle, now, wanted);
      if (room === 0 && throttle && throttle.blockedUntil > now)
        this.block(throttle.blockedUntil.getTime() - now.getTime());
      const alone = goesAlone(row.data_drops);
      if (taken.length >= wanted || room === 0 || (alone && taken.length > 0)) {
        left.push(row);
        continue;
      }
      taken.push(row);
      allowed.set(row.mx_group, room - 1);
      if (alone) wanted = 1;
    }
    batch.rows = left;
    if (taken.length === 0) this.drop(batch);
    return taken;
  }

  private prepare(rows: DueRow[], route: ChosenRoute): Promise<Candidate[]> {
    const form = {
      lane: this.lane.laneId,
      eightBitMime: route.connector.offers()?.eightBitMime ?? false,
      signer: signerOf(route.sender),
    };
    return Promise.all(
      rows.map(async (row) => {
        const ready = this.rendered.get(row.id);
        if (ready) return ready;
        const content = await this.process.contents.load(row.workspace_id, row.message_id);
        const candidate = await this.process.contents.prepare(row, content, form);
        this.rendered.set(row.id, candidate);
        return candidate;
      }),
    );
  }

  private async claim(batch: Batch, route: ChosenRoute, candidates: Candidate[], places: number): Promise<void> {
    const { process, lane } = this;
    const processId = process.lease.processId;
    const claimId = uuidv7();
    let claim: Claim | null = null;
    try {
      claim = await process.claiming(claimId, async () => {
        const made = await claimGroup(process.deps.db, process.deps.log, {
          claimId,
          workspaceId: lane.workspaceId,
          laneId: lane.laneId,
          streamId: batch.stream.id,
          processId,
          route,
          candidates,
          today: (now) => process.directory.localDate(lane.workspaceId, now),
        });
        if (made) process.begin({ workspaceId: lane.workspaceId, streamId: batch.stream.id, processId, route }, made);
        return made;
      });
      if (claim?.dayExhausted) process.directory.exhaust(route.sender, claim.claimedAt);
      this.claimed += claim?.claimed.length ?? 0;
      this.refused += claim?.refused ?? 0;
    } catch (error) {
      process.deps.log.warn({ err: error }, 'a claim failed');
      await pause(LOOK_MS);
    } finally {
      const unused = places - (claim?.claimed.length ?? 0);
      process.window.give(unused);
      route.window?.give(unused);
      for (const candidate of candidates) {
        this.held.delete(candidate.due.id);
        this.rendered.delete(candidate.due.id);
      }
    }
  }

  private putBack(batch: Batch, rows: DueRow[]): void {
    batch.rows.unshift(...rows);
  }

  /** Forgets what is read ahead of a batch; a later look finds it again. */
  private drop(batch: Batch): void {
    for (const row of batch.rows) {
      this.held.delete(row.id);
      this.rendered.delete(row.id);
    }
    batch.rows = [];
  }

  private block(ms: number): void {
    this.blockedUntil = Math.min(
      this.blockedUntil < performance.now() ? Number.POSITIVE_INFINITY : this.blockedUntil,
      performance.now() + ms,
    );
  }

  private isBlockedForLong(): boolean {
    return (
      Number.isFinite(this.blockedUntil) && this.blockedUntil - performance.now() > LINGER_MS && this.buffer.size === 0
    );
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
