import { takeProbe } from '../../db/delivery/breakers';
import { nextRateSlotInMs } from '../../db/delivery/capacity';
import { claimSlot } from '../../db/delivery/claim';
import type { ActiveStream, DueRow } from '../../db/delivery/read-ahead';
import { nextOpening } from '../../domain/campaigns';
import { type DrainShare, goesAlone, throttledGroupSize } from '../../domain/delivery';
import type { RouteChoice } from '../../domain/senders';
import { uuidv7 } from '../../platform/ids';
import type { Candidate } from './candidate';
import { type Claim, claimGroup } from './claim-group';
import { CLAIM_SECONDS, groupSizeAt } from './pace';
import { type Batch, type BatchChoice, ReadAheadBuffer } from './read-ahead-buffer';
import type { RoutePlan } from './route-plan';
import type { ChosenRoute } from './sender-directory';
import type { SendingProcess } from './sending-process';
import { signerOf } from './signer';

/** How often a lane that has run dry is looked at while its drain lives. */
const LOOK_MS = 200;
/** How soon a connector without a free place is asked again. */
const PLACE_MS = 3;
/** A drain that found nothing for this long gives its slot back. */
const LINGER_MS = 2_000;
/** Claims of one drain whose COMMIT may be under way at once. */
const CLAIMS_AT_ONCE = 3;
/** Messages rendered before answers of Postgres and of mail servers have their turn: what waits for those is in the window. */
const RENDERED_AT_ONCE = 8;
/** How long rows whose way is closed are left alone at most while others of their stream go on. */
const ASIDE_MS = 2_000;

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

/** One drain of one lane: reads ahead, renders, claims in groups and hands them to the process, until its slice ends. */
export class LaneDrain {
  private readonly buffer: ReadAheadBuffer;
  private readonly claims = new Set<Promise<void>>();
  /** Slots of the run counters that no claim under way uses. */
  private readonly slots = Array.from({ length: CLAIMS_AT_ONCE }, (_, n) => claimSlot(n));
  private claimed = 0;
  private refused = 0;
  private blockedUntil = Number.POSITIVE_INFINITY;

  constructor(
    private readonly process: SendingProcess,
    private readonly lane: LaneToDrain,
    private readonly signal: AbortSignal,
  ) {
    this.buffer = new ReadAheadBuffer(process, lane, (stream) => this.isOpen(stream));
  }

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
    await this.buffer.settled();
    await Promise.all(this.claims);
    const blockedForMs = Number.isFinite(this.blockedUntil) ? Math.max(0, this.blockedUntil - performance.now()) : null;
    return { claimed: this.claimed, refused: this.refused, blockedForMs };
  }

  /** One look and one claim; false when nothing could be done. */
  private async turn(): Promise<boolean> {
    const batch = await this.buffer.next();
    if (batch === null) {
      // Rows that are being claimed hide those behind them from a look: it is worth another when they are done.
      if (this.claims.size === 0) return false;
      await Promise.race(this.claims);
      return true;
    }
    const worked = await this.claimFrom(batch);
    this.buffer.putBack(batch);
    return worked;
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
    const plan = await process.directory.plan(lane.workspaceId, batch.request);
    const choice = plan.isUniform ? this.chooseForAll(batch, plan) : this.chooseForEach(batch, plan);
    // Dealt out to batches whose turn comes, or nothing is open.
    if (choice === null) return batch.rows.length === 0 && !this.buffer.empty;
    const way = plan.ways.ways[choice.position];
    if (!way) return false;
    const route = await process.directory.open(way, choice.reason, choice.probe);
    const wanted = await this.groupSize(route);
    // It has waited for a place or a slot: look again at once.
    if (wanted === 0) return true;
    const rows = this.takeRows(batch, route, wanted);
    if (rows.length === 0) return false;
    if (
      route.probe &&
      !(await takeProbe(process.deps.db, {
        workspaceId: lane.workspaceId,
        providerId: route.sender.providerId,
        routeId: route.routeId,
        ip: route.ip,
      }))
    ) {
      process.directory.forget(lane.workspaceId);
      this.buffer.giveBack(batch, rows);
      this.buffer.drop(batch);
      this.block(1_000);
      return false;
    }
    const candidates = await this.prepare(rows, route);
    const ofProvider = (await route.window?.take(candidates.length, lane.urgent)) ?? candidates.length;
    const places = await process.window.take(ofProvider, lane.urgent);
    route.window?.give(ofProvider - places);
    if (places < candidates.length) this.buffer.giveBack(batch, rows.slice(places));
    const claim = this.claim(batch, route, candidates.slice(0, places), places);
    this.claims.add(claim);
    void claim.finally(() => this.claims.delete(claim));
    while (this.claims.size >= CLAIMS_AT_ONCE) await Promise.race(this.claims);
    return true;
  }

  /** The way of a batch whose rows all take the same; null when none is open. */
  private chooseForAll(batch: Batch, plan: RoutePlan): BatchChoice | null {
    const [row] = batch.rows;
    if (!row) return null;
    const choice = plan.choose({ deliveryId: row.id, mxGroup: row.mx_group }, performance.now());
    this.noteAlignment(batch, choice);
    if (choice.kind === 'route') return { plan, ...choice };
    this.buffer.drop(batch);
    this.block(choice.retryInMs);
    return null;
  }

  /** The way that was chosen for the rows of a batch, or null after dealing them out anew. */
  private chooseForEach(batch: Batch, plan: RoutePlan): BatchChoice | null {
    if (batch.choice?.plan === plan) return batch.choice;
    const now = performance.now();
    const parts = new Map<string, { choice: BatchChoice; rows: DueRow[] }>();
    const closed: DueRow[] = [];
    let retryInMs = ASIDE_MS;
    for (const row of batch.rows) {
      const choice = plan.choose(this.process.directory.recipientOf(plan, row), now);
      this.noteAlignment(batch, choice);
      if (choice.kind === 'none') {
        closed.push(row);
        retryInMs = Math.min(retryInMs, choice.retryInMs);
        this.block(choice.retryInMs);
        continue;
      }
      const key = `${batch.stream.id} ${row.message_id} ${plan.ways.ways[choice.position]?.candidate.id} ${choice.reason}`;
      const part = parts.get(key);
      if (part) part.rows.push(row);
      else parts.set(key, { choice: { plan, ...choice }, rows: [row] });
    }
    this.buffer.split(batch, parts);
    this.buffer.setAside(closed, retryInMs);
    return null;
  }

  private noteAlignment(batch: Batch, choice: RouteChoice): void {
    if (choice.kind === 'none' && choice.cause !== 'MISALIGNED') return;
    const { directory } = this.process;
    directory.noteAlignment(this.lane.workspaceId, batch.stream.id, batch.request, choice.kind === 'route');
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
    const now = performance.now();
    let looked = 0;
    for (const row of batch.rows) {
      if (taken.length >= wanted) break;
      looked += 1;
      const throttle = this.process.directory.throttle(this.lane.workspaceId, route.routeId, row.mx_group);
      const room = allowed.get(row.mx_group) ?? throttledGroupSize(throttle, now, wanted);
      if (room === 0 && throttle && throttle.blockedUntil > now) this.block(throttle.blockedUntil - now);
      const alone = goesAlone(row.data_drops);
      if (room === 0 || (alone && taken.length > 0)) {
        left.push(row);
        continue;
      }
      taken.push(row);
      allowed.set(row.mx_group, room - 1);
      if (alone) wanted = 1;
    }
    this.buffer.take(batch, taken, [...left, ...batch.rows.slice(looked)]);
    if (taken.length === 0) this.buffer.drop(batch);
    return taken;
  }

  private async prepare(rows: DueRow[], route: ChosenRoute): Promise<Candidate[]> {
    const form = {
      lane: this.lane.laneId,
      eightBitMime: route.connector.offers()?.eightBitMime ?? false,
      signer: signerOf(route.sender),
    };
    const signedBy =
      form.signer && route.sender.kind === 'provider' ? `${route.sender.providerId} ${route.sender.version}` : '';
    const formKey = `${route.from?.email ?? ''} ${form.eightBitMime} ${signedBy}`;
    const render = (row: DueRow): Promise<Candidate> =>
      this.buffer.candidate(row, formKey, async () => {
        const content = await this.process.contents.load(row.workspace_id, row.message_id, row.mailbox ?? route.from);
        return this.process.contents.prepare(row, content, form);
      });
    const candidates: Candidate[] = [];
    for (let from = 0; from < rows.length; from += RENDERED_AT_ONCE) {
      if (from > 0) await turn();
      candidates.push(...(await Promise.all(rows.slice(from, from + RENDERED_AT_ONCE).map(render))));
    }
    return candidates;
  }

  private async claim(batch: Batch, route: ChosenRoute, candidates: Candidate[], places: number): Promise<void> {
    const { process, lane } = this;
    const processId = process.lease.processId;
    const claimId = uuidv7();
    let claim: Claim | null = null;
    const counterSlot = this.slots.pop() ?? claimSlot(CLAIMS_AT_ONCE);
    try {
      claim = await process.claiming(claimId, async () => {
        const made = await claimGroup(process.deps.db, process.deps.log, {
          claimId,
          workspaceId: lane.workspaceId,
          laneId: lane.laneId,
          streamId: batch.stream.id,
          processId,
          counterSlot,
          route,
          candidates,
          databaseClock: process.databaseClock,
          today: (now) => process.directory.localDate(lane.workspaceId, now),
        });
        if (made) process.begin({ workspaceId: lane.workspaceId, streamId: batch.stream.id, processId, route }, made);
        return made;
      });
      if (claim?.exhausted) process.directory.exhaust(route, claim.exhausted, claim.claimedAt);
      this.claimed += claim?.claimed.length ?? 0;
      this.refused += claim?.refused ?? 0;
    } catch (error) {
      process.deps.log.warn({ err: error }, 'a claim failed');
      await pause(LOOK_MS);
    } finally {
      this.slots.push(counterSlot);
      const unused = places - (claim?.claimed.length ?? 0);
      process.window.give(unused);
      route.window?.give(unused);
      this.buffer.release(candidates.map((candidate) => candidate.due));
    }
  }

  private block(ms: number): void {
    this.blockedUntil = Math.min(
      this.blockedUntil < performance.now() ? Number.POSITIVE_INFINITY : this.blockedUntil,
      performance.now() + ms,
    );
  }

  /** Whether something that was due had to be left. */
  get blocked(): boolean {
    return Number.isFinite(this.blockedUntil) && this.blockedUntil > performance.now();
  }

  private isBlockedForLong(): boolean {
    return Number.isFinite(this.blockedUntil) && this.blockedUntil - performance.now() > LINGER_MS && this.buffer.empty;
  }
}

/** Lets everything else that is ready have its turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
