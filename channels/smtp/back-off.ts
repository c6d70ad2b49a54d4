import type { SendOutcome } from '../connector';
import type { HandshakeError } from './handshake';

type Refusal = Extract<SendOutcome, { kind: 'unavailable' | 'throttled' }>;

/** Counts failed attempts to get a session and says when the next one may be made. Time is passed in. */
export class BackOff {
  private failures = 0;
  private until = 0;
  private refusal: Refusal | null = null;

  constructor(
    private readonly firstMs: number,
    private readonly maximumMs: number,
  ) {}

  /** @param now milliseconds of a monotonic clock */
  failed(error: HandshakeError, now: number): void {
    // Several connections are opened at once and fail at once: that is one failure, not ten.
    if (now >= this.until) {
      this.failures++;
      this.until = now + Math.min(this.maximumMs, this.firstMs * 2 ** (this.failures - 1));
    }
    this.refusal =
      error.reason === 'throttled'
        ? { kind: 'throttled', retryAfterMs: null, code: error.code, enhanced: null, reply: error.reply }
        : { kind: 'unavailable', cause: error.reason, reply: error.reply, retryAfterMs: null };
  }

  succeeded(): void {
    this.failures = 0;
    this.until = 0;
    this.refusal = null;
  }

  /** Milliseconds until a connection may be tried again; 0 means now. */
  wait(now: number): number {
    return Math.max(0, Math.ceil(this.until - now));
  }

  /** What to tell callers who wait while the server can't be reached; null when nothing failed. */
  outcome(now: number): Refusal | null {
    return this.refusal === null ? null : { ...this.refusal, retryAfterMs: this.wait(now) };
  }
}
