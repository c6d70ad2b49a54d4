import type { RowSettlement } from '../../db/delivery/settle';
import { settleRows } from '../../db/delivery/settle';
import { settleLate } from '../../db/delivery/settle-late';
import type { Logger } from '../../platform/log';
import type { Database } from '../../platform/postgres';

/** An outcome waits this long for others to share its transaction. */
const GATHER_MS = 2;
const BATCH = 256;
const RETRY_MS = 250;

interface Pending {
  row: RowSettlement;
  processId: string;
  done: () => void;
}

/**
 * Writes outcomes in batches. What cannot be written is kept and tried again until it is: a known outcome is never
 * thrown away, even when the lease has ended (then it is a late truth).
 */
export class Settler {
  private pending: Pending[] = [];
  private running: Promise<void> | null = null;
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly db: Database,
    private readonly log: Logger,
  ) {}

  /** Queues an outcome; `done` runs when it is durable. */
  add(row: RowSettlement, processId: string, done: () => void): void {
    this.pending.push({ row, processId, done });
    if (this.running) return;
    if (this.pending.length >= BATCH) this.begin();
    else if (!this.timer) this.timer = setTimeout(() => this.begin(), GATHER_MS);
  }

  get waiting(): number {
    return this.pending.length;
  }

  /** Resolves when everything queued so far is written. */
  async flush(): Promise<void> {
    while (this.pending.length > 0 || this.running) {
      if (!this.running) this.begin();
      await this.running;
    }
  }

  private begin(): void {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    if (this.running || this.pending.length === 0) return;
    this.running = this.writeAll().finally(() => {
      this.running = null;
      if (this.pending.length > 0 && !this.timer) this.timer = setTimeout(() => this.begin(), GATHER_MS);
    });
  }

  private async writeAll(): Promise<void> {
    while (this.pending.length > 0) {
      const [first] = this.pending;
      if (!first) return;
      // A batch is of one process identity: its counters are one row.
      const batch = this.pending.filter((entry) => entry.processId === first.processId).slice(0, BATCH);
      const inBatch = new Set(batch);
      this.pending = this.pending.filter((entry) => !inBatch.has(entry));
      await this.writeUntilDone(batch, first.processId);
      for (const entry of batch) entry.done();
      if (this.pending.length < BATCH) return;
    }
  }

  private async writeUntilDone(batch: Pending[], processId: string): Promise<void> {
    const rows = batch.map((entry) => entry.row);
    const { late } = await this.untilWritten(rows.length, () => settleRows(this.db, processId, rows));
    // Each by itself: a failure must not repeat those before it, else many late rows on a shaky line never end.
    for (const row of late) await this.untilWritten(1, () => this.settleLate(row, processId));
  }

  private async untilWritten<T>(rows: number, write: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await write();
      } catch (error) {
        this.log.warn({ err: error, rows }, 'outcomes could not be written; trying again');
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  /** A row that was not SENDING under this claim: settled before (an unknown COMMIT repeated), or taken by a reaper. */
  private async settleLate(row: RowSettlement, processId: string): Promise<void> {
    const outcome = row.settlement.status;
    if (outcome === 'UNCONFIRMED') return;
    await this.db.transaction((tx) =>
      settleLate(tx, {
        workspaceId: row.workspaceId,
        sourceId: row.sourceId,
        deliveryId: row.id,
        claimId: row.claimId,
        origin: 'REPLY',
        outcome,
        reason: row.settlement.reason,
        actorId: null,
        processId,
        providerMessageId: row.providerMessageId,
        rfcMessageId: row.rfcMessageId,
      }),
    );
  }
}
