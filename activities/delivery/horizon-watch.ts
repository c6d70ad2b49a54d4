import type { HorizonSample } from '../../db/delivery/gauges';

/**
 * For how long one transaction has held back the readers of events, as far as the looks at it tell: since the first look
 * that found it the oldest. Whoever holds it and in whichever database of the server does not matter.
 */
export class HorizonWatch {
  private held: { oldest: string; since: number } | null = null;

  /** @param now milliseconds of a clock that never goes back */
  lagSeconds({ oldest, next }: HorizonSample, now: number): number {
    if (oldest === next) this.held = null;
    else if (this.held?.oldest !== oldest) this.held = { oldest, since: now };
    return this.held === null ? 0 : (now - this.held.since) / 1_000;
  }
}
