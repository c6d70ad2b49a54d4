/** Share of a second that one claim of a rate-limited sender covers. */
export const CLAIM_SECONDS = 0.25;

/** When the messages of a claim may begin, on the process's monotonic clock. */
export interface Pace {
  firstAt: number;
  everyMs: number;
}

/** A pace that begins `firstInMs` from now. */
export function paceOf(firstInMs: number, perSecond: number): Pace {
  return { firstAt: performance.now() + firstInMs, everyMs: 1000 / perSecond };
}

/** Most messages of one claim at a rate: what can be begun in a quarter of a second, at least one. */
export function groupSizeAt(perSecond: number, wanted: number): number {
  return Math.max(1, Math.min(wanted, Math.floor(perSecond * CLAIM_SECONDS)));
}
