import type { SendOutcome } from '../connector';

type Unavailable = Extract<SendOutcome, { kind: 'unavailable' }>;

/** Longest that a provider's own wish to be left alone holds the whole connector up. */
const LONGEST_THROTTLE_MS = 60_000;

/** Whether a provider works, by the outcomes it gave, and when it may be asked again. Time is passed in. */
export class Health {
  private failures = 0;
  private until = 0;
  private throttledUntil = 0;
  private failure: Unavailable | null = null;

  constructor(
    private readonly firstMs: number,
    private readonly maximumMs: number,
  ) {}

  /** The last answer was a failure, or there was none: one message at a time until one goes through. */
  get ill(): boolean {
    return this.failures > 0;
  }

  /** @param now milliseconds of a monotonic clock */
  observe(outcome: SendOutcome, now: number): void {
    switch (outcome.kind) {
      case 'accepted':
      case 'transient':
      case 'permanent':
        this.failures = 0;
        this.until = 0;
        this.failure = null;
        return;
      case 'throttled':
        this.throttledUntil = now + Math.min(LONGEST_THROTTLE_MS, outcome.retryAfterMs ?? this.firstMs);
        return;
      case 'unavailable':
        this.failed(outcome, now, outcome.retryAfterMs);
        return;
      case 'unknown':
        this.failed({ kind: 'unavailable', cause: 'protocol', reply: outcome.cause, retryAfterMs: null }, now, null);
        return;
      case 'not-sent':
        return;
    }
  }

  /** Milliseconds until the provider may be asked again; 0 means now. */
  wait(now: number): number {
    return Math.max(0, Math.ceil(Math.max(this.until, this.throttledUntil) - now));
  }

  /** What to tell messages that wait: why the provider does not work, to come again, or (null) to stay. */
  refusal(now: number): Unavailable | 'wait' | null {
    const wait = this.wait(now);
    if (wait === 0) return null;
    return this.failure ? { ...this.failure, retryAfterMs: wait } : 'wait';
  }

  private failed(failure: Unavailable, now: number, retryAfterMs: number | null): void {
    // Several requests are under way at once and fail at once: that is one failure, not ten.
    if (now >= this.until) {
      this.failures += 1;
      const pause = Math.min(this.maximumMs, this.firstMs * 2 ** (this.failures - 1));
      this.until = now + Math.max(pause, Math.min(LONGEST_THROTTLE_MS, retryAfterMs ?? 0));
    }
    this.failure = failure;
  }
}
