/** Throttling by a mailbox provider, per (route, mailbox-provider group): additive rise and halving. */
export interface Throttle {
  /** Messages allowed per second. */
  rate: number;
  /** Milliseconds on the clock that callers pass as `now`; in a process its monotonic one, set by the database's. */
  blockedUntil: number;
}

const SLOWEST = 1 / 60;
/** Above this rate the throttle no longer matters and its row is removed. */
export const FREE_RATE = 200;
const FIRST_RATE = 20;
const SHORTEST_BLOCK_MS = 1_000;

/** After a throttling answer: half the rate, nothing until the server's time or the block's end. */
export function slowDown(current: Throttle | null, now: number, retryAfterMs: number | null): Throttle {
  const rate = Math.max(SLOWEST, (current?.rate ?? FIRST_RATE * 2) / 2);
  const blockMs = Math.max(SHORTEST_BLOCK_MS, retryAfterMs ?? 60_000);
  return { rate, blockedUntil: Math.max(now + blockMs, current?.blockedUntil ?? 0) };
}

/** After `accepted` messages went through: one message per second more for each ten of them. Null = free again. */
export function speedUp(current: Throttle, accepted: number): Throttle | null {
  const rate = current.rate + accepted / 10;
  return rate >= FREE_RATE ? null : { ...current, rate };
}

/** Most messages of one claim for a throttled pair; 0 while it is blocked. */
export function throttledGroupSize(throttle: Throttle | null, now: number, wanted: number): number {
  if (throttle === null) return wanted;
  if (throttle.blockedUntil > now) return 0;
  return Math.min(wanted, Math.max(1, Math.floor(throttle.rate / 4)));
}
