import { registerProcess, renewLease } from '../../db/delivery/process';
import { uuidv7 } from '../../platform/ids';
import type { Logger } from '../../platform/log';
import type { Database } from '../../platform/postgres';

/** Share of the lease after the last renewal was sent in which bytes may be written. */
const WRITE_SHARE = 2 / 3;
/** Renewals per lease. */
const RENEWALS = 15;

/**
 * The lease of this delivery process and the fence made of it (design, section 4 "Fences"). The database decides who
 * owns a row; the fence only has to stop writing early enough, so it trusts the more pessimistic of two clocks: the
 * monotonic one misses a suspended machine, the wall clock a set-back.
 */
export class Lease {
  /** Changes when a lease was lost: rows of the old identity are never touched again under the new one. */
  processId = uuidv7();
  private sentMonotonic = Number.NEGATIVE_INFINITY;
  private sentWall = Number.NEGATIVE_INFINITY;
  private timer: NodeJS.Timeout | null = null;
  private renewing = false;
  private stopped = false;

  constructor(
    private readonly db: Database,
    private readonly log: Logger,
    readonly seconds: number,
    /** Called when the lease was lost, before the process goes on under a new identity. */
    private readonly onLost: (lostProcessId: string) => void,
    /** Called after every successful renewal. */
    private readonly onRenewed: () => Promise<void>,
  ) {}

  /** Registers the process; rejects while Postgres is away. */
  async start(): Promise<void> {
    await this.register();
    this.timer = setInterval(() => void this.renew(), (this.seconds * 1000) / RENEWALS);
  }

  /** Whether a byte may be written to a socket now. */
  holds(): boolean {
    const share = this.seconds * 1000 * WRITE_SHARE;
    return performance.now() - this.sentMonotonic < share && Date.now() - this.sentWall < share;
  }

  stop(): void {
    this.stopped = true;
    if (this.timer) clearInterval(this.timer);
  }

  private async register(): Promise<void> {
    const [monotonic, wall] = [performance.now(), Date.now()];
    await registerProcess(this.db, this.processId, this.seconds);
    this.sentMonotonic = monotonic;
    this.sentWall = wall;
  }

  private async renew(): Promise<void> {
    if (this.renewing || this.stopped) return;
    this.renewing = true;
    try {
      const [monotonic, wall] = [performance.now(), Date.now()];
      if (await renewLease(this.db, this.processId)) {
        this.sentMonotonic = monotonic;
        this.sentWall = wall;
        await this.onRenewed();
      } else if (!this.stopped) {
        this.lose();
        await this.register();
      }
    } catch (error) {
      // The fence closes by itself when this goes on.
      this.log.warn({ err: error }, 'the lease could not be renewed');
    } finally {
      this.renewing = false;
    }
  }

  private lose(): void {
    const lost = this.processId;
    this.log.error({ processId: lost }, 'the lease was lost; its messages are left to the watchdog');
    this.sentMonotonic = Number.NEGATIVE_INFINITY;
    this.sentWall = Number.NEGATIVE_INFINITY;
    this.processId = uuidv7();
    this.onLost(lost);
  }
}
