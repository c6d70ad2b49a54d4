import type { Logger } from '../../platform/log';
import { type Database, many, sql } from '../../platform/postgres';

/** How often the states of the streams being sent are read; a pause must stop messages within a second. */
const POLL_MS = 250;

/**
 * The streams of open messages that have been paused or cancelled. Read every 250 ms while anything is being sent,
 * and asked right before a message's first byte.
 */
export class StoppedStreams {
  private readonly inUse = new Map<string, number>();
  private stopped = new Set<string>();
  private timer: NodeJS.Timeout | null = null;
  private freshAt = performance.now();

  constructor(
    private readonly db: Database,
    private readonly log: Logger,
  ) {}

  /** A message of this stream is open; the claim has just seen the stream ACTIVE. */
  hold(streamId: string): void {
    this.inUse.set(streamId, (this.inUse.get(streamId) ?? 0) + 1);
    if (!this.timer) {
      this.freshAt = performance.now();
      this.timer = setInterval(() => void this.poll(), POLL_MS);
    }
  }

  release(streamId: string): void {
    const left = (this.inUse.get(streamId) ?? 1) - 1;
    if (left > 0) {
      this.inUse.set(streamId, left);
      return;
    }
    this.inUse.delete(streamId);
    if (this.inUse.size === 0) this.close();
  }

  /** False when the stream is stopped, or when its state has not been readable for longer than the promise allows. */
  mayBegin(streamId: string): boolean {
    return !this.stopped.has(streamId) && performance.now() - this.freshAt < 1000 - POLL_MS;
  }

  close(): void {
    if (this.timer) clearInterval(this.timer);
    this.timer = null;
    this.stopped = new Set();
  }

  private async poll(): Promise<void> {
    const asked = performance.now();
    try {
      const rows = await many<{ id: string }>(
        this.db,
        sql`SELECT id FROM streams WHERE id = ANY (${[...this.inUse.keys()]}::uuid[]) AND state <> 'ACTIVE'`,
      );
      this.stopped = new Set(rows.map((row) => row.id));
      this.freshAt = Math.max(this.freshAt, asked);
    } catch (error) {
      this.log.warn({ err: error }, 'stream states could not be read');
    }
  }
}
