import type { SendOutcome } from './outcome';

/** A breaker that is shared by all processes through its row; OPEN lets nothing pass until `probeAt`. */
export type BreakerState = 'CLOSED' | 'OPEN' | 'HALF_OPEN';

export type BreakerReason = 'AUTHENTICATION' | 'TLS' | 'CONNECT' | 'PROTOCOL' | 'PERMANENT_FAILURES';

/** Size of the sample of outcomes that is watched for permanent refusals, and the share that trips the breaker. */
export const SAMPLE_SIZE = 20;
const SAMPLE_LIMIT = 0.2;

/** Failed connections in a row before the breaker opens; a refused log-in or certificate opens it at once. */
const CONNECT_FAILURES = 3;

/** Seconds until the first probe, doubling up to the last. */
const PROBE_SECONDS: Record<BreakerReason, { first: number; last: number }> = {
  CONNECT: { first: 2, last: 60 },
  PROTOCOL: { first: 15, last: 300 },
  AUTHENTICATION: { first: 30, last: 900 },
  TLS: { first: 30, last: 900 },
  PERMANENT_FAILURES: { first: 300, last: 3600 },
};

/** Milliseconds until the next probe after the breaker opened `openings` times in a row. */
export function probeDelayMs(reason: BreakerReason, openings: number): number {
  const { first, last } = PROBE_SECONDS[reason];
  return Math.min(last, first * 2 ** Math.max(0, openings - 1)) * 1000;
}

/** One outcome in a sample: which delivery, and whether it was refused for good. */
interface Sampled {
  deliveryId: string;
  permanent: boolean;
}

/** What a watch found: open the breaker, and (for a suspect sample) whose suppressions are to be held. */
export interface Trip {
  reason: BreakerReason;
  sample: string[];
}

/** What a dedicated IP has of its own, in the place of its provider's: a server, a log-in there, or a pool or stream. */
export type IpDifference = 'server' | 'login' | 'pool';

/** Reasons that say nothing about the provider where they were met through an IP that differs. */
const OF_THE_IP: Record<IpDifference, readonly BreakerReason[]> = {
  server: ['AUTHENTICATION', 'TLS', 'CONNECT', 'PROTOCOL'],
  login: ['AUTHENTICATION'],
  // An API answers a wrong name so. A key that it refuses is the provider's.
  pool: ['PROTOCOL'],
};

/** What breakers tell apart among the ways through one provider. */
export interface BreakerWay {
  fromEmail: string;
  ip: { id: string; differsIn: IpDifference | null } | null;
}

/**
 * Whose breaker a reason opens that was met on a way, and whose binds that way: a refusal for good is one of the From
 * address; what an IP has of its own, its alone; all else is true of everybody at the provider.
 */
export function breakerScope(reason: BreakerReason, ip: BreakerWay['ip']): 'provider' | 'sender' | 'ip' {
  if (reason === 'PERMANENT_FAILURES') return 'sender';
  return ip?.differsIn && OF_THE_IP[ip.differsIn].includes(reason) ? 'ip' : 'provider';
}

/** Reasons for which the provider's own breaker binds a way. */
export function providerReasons(ip: BreakerWay['ip']): BreakerReason[] {
  const all: readonly BreakerReason[] = OF_THE_IP.server;
  return all.filter((reason) => breakerScope(reason, ip) === 'provider');
}

/** A breaker that is not closed: of one From address, of one dedicated IP or, with neither, of the whole provider. */
export interface OpenBreaker {
  fromEmail: string | null;
  ipId: string | null;
  reason: BreakerReason | null;
}

/** Whether an open breaker of a way's provider holds that way back. */
export function breakerBinds({ fromEmail, ipId, reason }: OpenBreaker, way: BreakerWay): boolean {
  if (fromEmail !== null) return fromEmail === way.fromEmail;
  if (ipId !== null) return ipId === way.ip?.id;
  return reason === null || breakerScope(reason, way.ip) === 'provider';
}

/** Watches the outcomes of one provider in one process. Pure but for its own memory. */
export class BreakerWatch {
  /** Last answers by sender (From address). */
  private readonly samples = new Map<string, Sampled[]>();
  /** Failed connections in a row, by whose they are. */
  private readonly connectFailures = new Map<string, number>();
  private readonly tripped = new Map<string, OpenBreaker>();

  /**
   * From a trip until the breaker is stored: nothing may begin meanwhile, since each message that does is one more
   * recipient burnt on a sender that is known to be ill.
   */
  holdsBack(way: BreakerWay): boolean {
    for (const breaker of this.tripped.values()) if (breakerBinds(breaker, way)) return true;
    return false;
  }

  /** The trip is stored, and seen by everyone through the breaker's row. */
  stored(trip: Trip, way: BreakerWay): void {
    this.tripped.delete(`${trip.reason} ${breakerKey(trip.reason, way)}`);
  }

  /** Looks at one outcome; returns why the breaker has to open, or null. */
  observe(deliveryId: string, outcome: SendOutcome, way: BreakerWay): Trip | null {
    const trip = this.judge(deliveryId, outcome, way);
    if (trip) this.tripped.set(`${trip.reason} ${breakerKey(trip.reason, way)}`, breakerOf(trip.reason, way));
    return trip;
  }

  private judge(deliveryId: string, outcome: SendOutcome, way: BreakerWay): Trip | null {
    switch (outcome.kind) {
      case 'unavailable':
        return this.observeUnavailable(outcome.cause, way);
      case 'accepted':
      case 'transient':
      case 'permanent':
        this.connectFailures.delete(breakerKey('CONNECT', way));
        this.connectFailures.delete(breakerKey('PROTOCOL', way));
        return this.observeAnswer(deliveryId, outcome.kind === 'permanent', way.fromEmail);
      case 'throttled':
      case 'not-sent':
      case 'unknown':
        return null;
    }
  }

  private observeUnavailable(
    cause: Extract<SendOutcome, { kind: 'unavailable' }>['cause'],
    way: BreakerWay,
  ): Trip | null {
    switch (cause) {
      case 'authentication':
        return { reason: 'AUTHENTICATION', sample: [] };
      case 'tls':
        return { reason: 'TLS', sample: [] };
      case 'protocol':
      case 'connect': {
        const reason = cause === 'connect' ? 'CONNECT' : 'PROTOCOL';
        const key = breakerKey(reason, way);
        const failures = (this.connectFailures.get(key) ?? 0) + 1;
        this.connectFailures.set(key, failures % CONNECT_FAILURES);
        return failures < CONNECT_FAILURES ? null : { reason, sample: [] };
      }
    }
  }

  /** Over 20 % of a sample of 20 refused for good: it is more likely our sender than the recipients. */
  private observeAnswer(deliveryId: string, permanent: boolean, sender: string): Trip | null {
    const sample = this.samples.get(sender) ?? [];
    this.samples.set(sender, sample);
    sample.push({ deliveryId, permanent });
    if (sample.length > SAMPLE_SIZE) sample.shift();
    const refused = sample.filter((entry) => entry.permanent);
    if (sample.length < SAMPLE_SIZE || refused.length <= SAMPLE_SIZE * SAMPLE_LIMIT) return null;
    this.samples.delete(sender);
    return { reason: 'PERMANENT_FAILURES', sample: refused.map((entry) => entry.deliveryId) };
  }
}

/** The breaker that a reason opens on a way. */
function breakerOf(reason: BreakerReason, way: BreakerWay): OpenBreaker {
  const scope = breakerScope(reason, way.ip);
  return {
    fromEmail: scope === 'sender' ? way.fromEmail : null,
    ipId: scope === 'ip' ? (way.ip?.id ?? null) : null,
    reason,
  };
}

function breakerKey(reason: BreakerReason, way: BreakerWay): string {
  const { fromEmail, ipId } = breakerOf(reason, way);
  return fromEmail ?? ipId ?? '';
}
