import type { Blocked, RouteCandidate, Way, Ways } from '../../senders';
import { localDate, nextLocalMidnight } from '../../shared/zones';
import { breakerBinds } from '../breaker';
import { type CapacityLimit, ROLLING_BUCKETS, windowOf } from '../capacity';
import { speedUp, type Throttle } from '../throttle';
import type { ForecastBreaker, ForecastInput } from './types';

const HOUR = 3_600_000;
/** Less than this of a unit is what dividing by a sample leaves over. */
const NOTHING = 1e-6;

/** Names a counter of capacity. */
export function capacityKey(kind: string, resourceId: string, window: string): string {
  return `${kind} ${resourceId} ${window}`;
}

/** Names a route: provider, From address and dedicated IP. */
export function routeKey(providerId: string, fromEmail: string, ipId: string | null): string {
  return `${providerId} ${fromEmail} ${ipId ?? ''}`;
}

export function keyOfWay({ sender, fromEmail, ip }: Way): string {
  return routeKey(sender.providerId, fromEmail, ip?.id ?? null);
}

/** Breakers, limits and throttles as they change in the course of a forecast, by the rules that claims go by. */
export class RouteStates {
  /** Changes whenever a way is closed or open that was not before: choices made for another version are over. */
  version = 0;
  private readonly used: Map<string, number>;
  /** Limits that are used up, until when. */
  private readonly closed = new Map<string, number>();
  private breakers: readonly ForecastBreaker[];
  private readonly throttles: Map<string, Throttle>;
  private readonly candidatesOf = new Map<Ways, { version: number; candidates: readonly RouteCandidate[] }>();
  private readonly zone: string;
  private today = { from: 0, to: 0, date: '' };

  constructor(input: Pick<ForecastInput, 'used' | 'breakers' | 'throttles' | 'zone'>) {
    this.used = new Map(input.used);
    this.breakers = input.breakers;
    this.throttles = new Map(input.throttles);
    this.zone = input.zone;
  }

  /** The candidates of a request with what blocks them now. */
  candidates(ways: Ways, at: number): readonly RouteCandidate[] {
    const known = this.candidatesOf.get(ways);
    if (known?.version === this.version) return known.candidates;
    const candidates = ways.ways.map((way) => ({ ...way.candidate, blocked: this.blocked(way, at), probe: false }));
    this.candidatesOf.set(ways, { version: this.version, candidates });
    return candidates;
  }

  /** Opens what opens until now. An open breaker is taken to close with its next probe. */
  advance(at: number): void {
    const before = this.closed.size + this.breakers.length;
    for (const [key, until] of this.closed) if (until <= at) this.closed.delete(key);
    this.breakers = this.breakers.filter(({ until }) => until > at);
    if (this.closed.size + this.breakers.length < before) this.version += 1;
  }

  /** When the next way opens. */
  nextChange(): number {
    return Math.min(...this.closed.values(), ...this.breakers.map(({ until }) => until), Number.POSITIVE_INFINITY);
  }

  /** Takes as many units of all limits of a way as are left, at most `wanted`; closes what is used up. */
  take(way: Way, wanted: number, at: number): number {
    let count = wanted;
    for (const cap of way.caps) count = Math.min(count, this.left(cap, at));
    if (count < NOTHING) count = 0;
    for (const cap of way.caps) {
      const key = capacityKey(cap.kind, cap.resourceId, this.windowOf(cap, at));
      this.used.set(key, (this.used.get(key) ?? 0) + count);
      if (this.left(cap, at) < NOTHING) this.close(cap, at);
    }
    return count;
  }

  /** Most messages of a mailbox-provider group that may leave by a route now; 0 while it is throttled. */
  throttled(way: Way, mxGroup: string, at: number): { most: number; until: number } {
    const throttle = this.throttles.size === 0 ? undefined : this.throttles.get(`${keyOfWay(way)} ${mxGroup}`);
    if (!throttle) return { most: Number.POSITIVE_INFINITY, until: at };
    if (throttle.blockedUntil > at) return { most: 0, until: throttle.blockedUntil };
    return { most: Math.max(1, Math.floor(throttle.rate / 4)), until: at };
  }

  /** After messages of a throttled pair: the next ones at its rate, which rises with each that is accepted. */
  accepted(way: Way, mxGroup: string, count: number, at: number): void {
    if (this.throttles.size === 0) return;
    const key = `${keyOfWay(way)} ${mxGroup}`;
    const throttle = this.throttles.get(key);
    if (!throttle) return;
    const raised = speedUp(throttle, count);
    if (raised === null) this.throttles.delete(key);
    else this.throttles.set(key, { ...raised, blockedUntil: at + (count * 1000) / throttle.rate });
  }

  private left(cap: CapacityLimit, at: number): number {
    return Math.max(0, cap.limit - this.usedOf(cap, at));
  }

  /** Units of a limit that are taken in its window. */
  usedOf(cap: CapacityLimit, at: number): number {
    const { kind, resourceId } = cap;
    if (kind !== 'provider-hour') return this.used.get(capacityKey(kind, resourceId, this.windowOf(cap, at))) ?? 0;
    let sum = 0;
    for (let ago = 0; ago < ROLLING_BUCKETS; ago += 1) {
      sum += this.used.get(capacityKey(kind, resourceId, this.windowOf(cap, at - ago * HOUR))) ?? 0;
    }
    return sum;
  }

  private windowOf({ kind }: CapacityLimit, at: number): string {
    return windowOf(kind, new Date(at), kind === 'provider-hour' ? '' : this.dayOf(at).date);
  }

  private dayOf(at: number): { from: number; to: number; date: string } {
    if (at < this.today.from || at >= this.today.to) {
      const moment = new Date(at);
      const to = nextLocalMidnight(this.zone, moment).getTime();
      this.today = { from: at, to, date: localDate(this.zone, moment) };
    }
    return this.today;
  }

  private close(cap: CapacityLimit, at: number): void {
    const until = cap.kind === 'provider-hour' ? (Math.floor(at / HOUR) + 1) * HOUR : this.dayOf(at).to;
    const key = `${cap.kind} ${cap.resourceId} ${cap.limit}`;
    if (this.closed.get(key) === until) return;
    this.closed.set(key, until);
    this.version += 1;
  }

  /** Until when breakers hold a way back; null = none does. */
  breakerUntil(way: Way, at: number): number | null {
    const { providerId } = way.sender;
    const open = this.breakers.filter((breaker) => breaker.providerId === providerId && breakerBinds(breaker, way));
    const until = Math.max(0, ...open.map((breaker) => breaker.until));
    return until > at ? until : null;
  }

  private blocked(way: Way, at: number): { cause: Blocked; until: number } | null {
    const usedUp = Math.max(
      0,
      ...way.caps.map(({ kind, resourceId, limit }) => this.closed.get(`${kind} ${resourceId} ${limit}`) ?? 0),
    );
    if (usedUp > at) return { cause: 'CAPACITY', until: usedUp };
    const until = this.breakerUntil(way, at);
    return until === null ? null : { cause: 'BREAKER_OPEN', until };
  }
}
