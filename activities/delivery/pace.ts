/** Share of a second that one claim of a rate-limited sender covers. */
export const CLAIM_SECONDS = 0.25;

/** When the messages of a claim may begin, on the process's monotonic clock. */
export interface Pace {
  firstAt: number;
  everyMs: number;
}

/** Slots are missed by less than this for no fault of ours: timers, the way to the server. */
const LEAST_GRACE_MS = 40;

/**
 * How late a paced message may begin. A slot older than twice its length is worth nothing: its message goes back to the
 * queue and takes another, so that what was held up does not begin in one burst (design, section 4 "Capacity").
 */
function slotGraceMs(everyMs: number): number {
  return Math.max(2 * everyMs, LEAST_GRACE_MS);
}

/** When one message may begin, on the process's monotonic clock. */
export interface Slot {
  from: number;
  until: number;
}

/** The slot of the message at this position of a claim. */
export function slotAt(pace: Pace, position: number): Slot {
  const from = pace.firstAt + position * pace.everyMs;
  return { from, until: from + slotGraceMs(pace.everyMs) };
}

/** A pace that begins at `firstAt` of the process's monotonic clock. */
export function paceOf(firstAt: number, perSecond: number): Pace {
  return { firstAt, everyMs: 1000 / perSecond };
}

/** Most messages of one claim at a rate: what can be begun in a quarter of a second, at least one. */
export function groupSizeAt(perSecond: number, wanted: number): number {
  return Math.max(1, Math.min(wanted, Math.floor(perSecond * CLAIM_SECONDS)));
}
