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

/**
 * Whose breaker a reason opens: that the provider cannot be used is true of every sender, that it refuses recipients for
 * good only of the From address it refused them for.
 */
export function breakerScope(reason: BreakerReason): 'provider' | 'sender' {
  return reason === 'PERMANENT_FAILURES' ? 'sender' : 'provider';
}

/** Watches the outcomes of one provider in one process. Pure but for its own memory. */
export class BreakerWatch {
  /** Last answers by sender (From address). */
  private readonly samples = new Map<string, Sampled[]>();
  private connectFailures = 0;
  private providerTripped = false;
  private readonly trippedSenders = new Set<string>();

  /**
   * From a trip until the breaker is stored: nothing may begin meanwhile, since each message that does is one more
   * recipient burnt on a sender that is known to be ill.
   */
  holdsBack(sender: string): boolean {
    return this.providerTripped || this.trippedSenders.has(sender);
  }

  /** The trip is stored, and seen by everyone through the breaker's row. */
  stored(trip: Trip, sender: string): void {
    if (breakerScope(trip.reason) === 'provider') this.providerTripped = false;
    else this.trippedSenders.delete(sender);
  }

  /** Looks at one outcome; returns why the breaker has to open, or null. */
  observe(deliveryId: string, outcome: SendOutcome, sender: string): Trip | null {
    const trip = this.judge(deliveryId, outcome, sender);
    if (trip && breakerScope(trip.reason) === 'provider') this.providerTripped = true;
    else if (trip) this.trippedSenders.add(sender);
    return trip;
  }

  private judge(deliveryId: string, outcome: SendOutcome, sender: string): Trip | null {
    switch (outcome.kind) {
      case 'unavailable':
        return this.observeUnavailable(outcome.cause);
      case 'accepted':
      case 'transient':
      case 'permanent':
        this.connectFailures = 0;
        return this.observeAnswer(deliveryId, outcome.kind === 'permanent', sender);
      case 'throttled':
      case 'not-sent':
      case 'unknown':
        return null;
    }
  }

  private observeUnavailable(cause: Extract<SendOutcome, { kind: 'unavailable' }>['cause']): Trip | null {
    switch (cause) {
      case 'authentication':
        return { reason: 'AUTHENTICATION', sample: [] };
      case 'tls':
        return { reason: 'TLS', sample: [] };
      case 'protocol':
      case 'connect':
        this.connectFailures += 1;
        if (this.connectFailures < CONNECT_FAILURES) return null;
        this.connectFailures = 0;
        return { reason: cause === 'connect' ? 'CONNECT' : 'PROTOCOL', sample: [] };
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
