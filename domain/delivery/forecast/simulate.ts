import type { Way } from '../../senders';
import { judge } from '../verdict';
import { Account } from './account';
import { byTurn, type Line, type StreamCourse } from './line';
import { linesOf } from './lines';
import { LEAST_PER_PAIR, Pages, READ_AHEAD } from './pages';
import { RouteStates } from './route-states';
import { Turns } from './turns';
import type { Forecast, ForecastInput, HoldReason } from './types';

/** Share of a second that one claim of a paced sender covers. */
const CLAIM_SECONDS = 0.25;
/** Longest that the messages of one step may take, where a sampled row stands for many; in long forecasts more. */
const STEP_SECONDS = 30;
const MOST_STEPS = 20_000;
/** Into how many groups all messages are taken apart at least, where claims would be smaller still. */
const FINEST = 10_000;
/** What a throttle holds for less than this is its pace. */
const PACE_MS = 5_000;

/** One provider: what paces it, and whose turn it is. */
interface Server {
  providerId: string;
  perSecond: number;
  nextAt: number;
  lanes: Turns<string>;
  streams: Turns<StreamCourse>;
  pages: Map<StreamCourse, Pages>;
}

/**
 * When messages will go, if nothing happens that is not known now: claims, limits, breakers and throttles are gone
 * through in order of time, by the checks and the routing that claims go by. Pure. Every message is taken to be accepted
 * at first try. In steps, between which whoever waits for it may do something else: a large one takes seconds.
 */
export function* forecastInSteps(input: ForecastInput): Generator<void, Forecast> {
  return yield* new Simulation(input).run();
}

/** The same at once. */
export function forecastDelivery(input: ForecastInput): Forecast {
  const steps = forecastInSteps(input);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

class Simulation {
  private readonly states: RouteStates;
  private readonly account: Account;
  private readonly streams = new Map<string, StreamCourse>();
  /** Those that have rows left. */
  private lines: Line[];
  private readonly servers = new Map<string, Server>();
  private readonly streamsOfLane = new Map<string, number>();
  private readonly stepSeconds: number;
  /** Messages of one step where a sampled row stands for more: as few as can be gone through in time. */
  private readonly fewest: number;

  constructor(private readonly input: ForecastInput) {
    this.states = new RouteStates(input);
    this.stepSeconds = Math.max(STEP_SECONDS, (input.until - input.now) / 1000 / MOST_STEPS);
    this.fewest = input.rows.reduce((sum, { weight }) => sum + weight, 0) / FINEST;
    this.account = new Account(input.zone, input.partBy);
    for (const stream of input.streams) {
      this.streams.set(stream.id, { ...stream, closedUntil: input.now, closedBy: null });
      this.streamsOfLane.set(stream.laneId, (this.streamsOfLane.get(stream.laneId) ?? 0) + 1);
    }
    this.lines = linesOf(input, this.streams);
    for (const { ways } of this.lines) {
      for (const { sender } of ways.ways) this.addServer(sender.providerId);
    }
  }

  *run(): Generator<void, Forecast> {
    const { now, until } = this.input;
    let at = now;
    for (;;) {
      this.states.advance(at);
      if (this.work(at)) continue;
      this.noteHolds(at);
      this.lines = this.lines.filter((line) => line.next !== null);
      if (!this.lines.some((line) => line.stream.isOwn)) break;
      const next = this.nextMoment(at);
      if (next >= until) break;
      at = next;
      yield;
    }
    this.noteWaiting(until);
    const others = this.input.rows.filter((row) => this.streams.get(row.streamId)?.isOwn === false);
    return this.account.close(others.reduce((sum, { weight }) => sum + weight, 0));
  }

  /** One claim of every provider that has a free slot; false when there was nothing to claim. */
  private work(at: number): boolean {
    let worked = false;
    for (const server of this.servers.values()) {
      if (server.nextAt > at) continue;
      const open = this.lines.filter((line) => this.mayGo(line, server, at));
      const lane = server.lanes.next(new Set(open.map((line) => line.stream.laneId)));
      if (lane === null) continue;
      const ofLane = open.filter((line) => line.stream.laneId === lane);
      const stream = server.streams.next(new Set(ofLane.map((line) => line.stream)));
      if (stream === null) continue;
      const count = this.claim(
        server,
        stream,
        ofLane.filter((line) => line.stream === stream),
        at,
      );
      server.lanes.took(lane, count);
      server.streams.took(stream, count);
      server.nextAt = Math.max(server.nextAt, at) + (count * 1000) / server.perSecond;
      worked = true;
    }
    return worked;
  }

  private mayGo(line: Line, server: Server, at: number): boolean {
    if (!line.isDue(at) || line.stream.closedUntil > at) return false;
    const way = line.route(this.states, at);
    if (typeof way === 'string' || way.sender.providerId !== server.providerId) return false;
    return this.states.throttled(way, line.mxGroup, at).most > 0;
  }

  /** Takes one group of a stream's rows; how many messages it came to. */
  private claim(server: Server, stream: StreamCourse, lines: Line[], at: number): number {
    const pages = server.pages.get(stream) ?? new Pages();
    server.pages.set(stream, pages);
    const { groups, groupSize } = this.input;
    const pairs = groups.length * (this.streamsOfLane.get(stream.laneId) ?? 1);
    const share = Math.max(LEAST_PER_PAIR, Math.ceil(READ_AHEAD / pairs));
    const size = Math.max(1, Math.min(groupSize, Math.floor(server.perSecond * CLAIM_SECONDS)));
    let taken = 0;
    while (taken < size) {
      const open = lines.filter((line) => this.mayGo(line, server, at));
      const group = pages.next(groups, new Set(open.map((line) => line.mxGroup)), share, at);
      // Of rows with different ways, those that were due first.
      const [line] = open.filter((candidate) => candidate.mxGroup === group).sort((a, b) => byTurn(a.next, b.next));
      if (!line) break;
      const count = this.takeFrom(line, server, size - taken, at + (taken * 1000) / server.perSecond, at);
      pages.took(count);
      taken += count;
    }
    return taken;
  }

  /** The next row of a line: judged, and as much of it taken as there is room for. */
  private takeFrom(line: Line, server: Server, wanted: number, from: number, at: number): number {
    const next = line.next;
    const way = line.route(this.states, at);
    if (!next || typeof way === 'string') return 0;
    const verdict = judge(next.row.facts, new Date(at));
    const { isOwn } = line.stream;
    switch (verdict.kind) {
      case 'FAIL':
      case 'CANCEL':
        if (isOwn) this.account.refuse(verdict.reason, next.left);
        line.drop();
        return 0;
      case 'DEFER':
        this.putOff(line, verdict.reason, verdict.until?.getTime() ?? Number.POSITIVE_INFINITY);
        return 0;
      case 'OK':
        break;
    }
    const room = Math.min(
      next.left,
      Math.max(wanted, Math.min(next.row.weight, this.fewest, server.perSecond * this.stepSeconds)),
      this.states.throttled(way, line.mxGroup, at).most,
    );
    const count = this.states.take(way, room, at);
    if (count === 0) return 0;
    this.states.accepted(way, line.mxGroup, count, at);
    next.left -= count;
    if (next.left < 1e-6) line.drop();
    const lastAt = from + ((count - 1) * 1000) / server.perSecond;
    if (isOwn) this.account.sent(line.mxGroup, way, count, from, Math.max(from, lastAt));
    return count;
  }

  private putOff(line: Line, reason: HoldReason, until: number): void {
    switch (reason) {
      // True of every row of the stream.
      case 'OUTSIDE_SEND_WINDOW':
      case 'SOURCE_PAUSED':
      case 'SOURCE_WAITING':
        line.stream.closedUntil = until;
        line.stream.closedBy = reason;
        return;
      default:
        line.putOff(until, reason);
    }
  }

  private nextMoment(at: number): number {
    let next = this.states.nextChange();
    const consider = (moment: number) => {
      if (moment > at && moment < next) next = moment;
    };
    for (const server of this.servers.values()) consider(server.nextAt);
    for (const stream of this.streams.values()) consider(stream.closedUntil);
    for (const line of this.lines) {
      if (line.next === null) continue;
      consider(line.next.notBefore);
      const way = line.route(this.states, at);
      if (typeof way !== 'string') consider(this.states.throttled(way, line.mxGroup, at).until);
    }
    return next;
  }

  private noteHolds(at: number): void {
    for (const line of this.lines) if (line.stream.isOwn) this.account.hold(line, this.heldBy(line, at), at);
  }

  /** What keeps a line's next row from going; null = its turn has not come. */
  private heldBy(line: Line, at: number): HoldReason | null {
    const { next, stream } = line;
    if (next === null) return null;
    if (next.notBefore > at) return next.reason;
    if (stream.closedUntil > at) return stream.closedBy;
    const way: Way | HoldReason = line.route(this.states, at);
    if (typeof way === 'string') return way;
    return this.states.throttled(way, line.mxGroup, at).until > at + PACE_MS ? 'THROTTLED' : null;
  }

  /** What is left at the end: what is refused whenever it goes, or has expired by then, is not sent; the rest waits. */
  private noteWaiting(until: number): void {
    for (const line of this.lines) {
      if (!line.stream.isOwn) continue;
      for (const { row, left, notBefore, reason } of line.waiting) {
        const anyTime = { ...row.facts, source: { ...row.facts.source, window: null } };
        const verdict = judge(anyTime, new Date(until));
        if (verdict.kind === 'FAIL' || verdict.kind === 'CANCEL') this.account.refuse(verdict.reason, left);
        else this.account.wait((notBefore > until ? reason : this.heldBy(line, until - 1)) ?? 'PACE', left);
      }
    }
  }

  private addServer(providerId: string): void {
    if (this.servers.has(providerId)) return;
    const { now, nextSlotAt, speedOf } = this.input;
    this.servers.set(providerId, {
      providerId,
      perSecond: speedOf(providerId),
      nextAt: Math.max(now, nextSlotAt.get(providerId) ?? now),
      lanes: new Turns(),
      streams: new Turns(),
      pages: new Map(),
    });
  }
}
