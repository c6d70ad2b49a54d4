import { touchLane } from '../../db/delivery/lanes';
import { laneOutlook } from '../../db/delivery/read-ahead';
import type { LaneKind } from '../../domain/delivery';
import type { Database } from '../../platform/postgres';
import type { SendingProcess } from './sending-process';

/** How often a lane whose drain waits is looked at: new rows may be due before the one that is waited for. */
const LOOK_MS = 1_000;
/** Before a due row the watchdog is told that somebody looks after the lane. */
const TOUCH_MS = 3_000;

/** What is known of a lane at the end of a drain. */
interface Outlook {
  queued: boolean;
  nextDueInMs: number | null;
}

/**
 * Drains of mailboxes' lanes that wait for the next slot instead of giving their place back. Never more than half of the
 * process's places, and none while all are in use: others come first, and a timer wakes the lane as well.
 */
export class Lingering {
  private waiting = 0;

  /**
   * @param mostMs longest wait of one drain, milliseconds; 0 = none waits
   * @param slots drains that the process runs at once
   */
  constructor(
    private readonly db: Database,
    private readonly process: SendingProcess,
    private readonly slots: number,
    private readonly mostMs: number,
  ) {}

  /** Drains that hold a place and wait. */
  get count(): number {
    return this.waiting;
  }

  /** Whether a drain of this lane should wait for the next due row; `working`: drains that do not wait. */
  suits(kind: LaneKind, { queued, nextDueInMs }: Outlook, working: number): boolean {
    if (kind !== 'mailboxes' || !queued || nextDueInMs === null || nextDueInMs === 0) return false;
    // Else the drain would come back at once, again and again, until the process has a lease again.
    if (!this.process.accepting) return false;
    return nextDueInMs <= this.mostMs && this.waiting < Math.floor(this.slots / 2) && this.hasRoom(working);
  }

  /**
   * Waits until a row of the lane is due. False: the place is needed, the process closes, the time is over, or nothing is
   * left to wait for; whoever drains the lane next decides anew.
   */
  async untilDue(
    laneId: string,
    first: Outlook,
    drain: { end: number; signal: AbortSignal; working: () => number },
  ): Promise<boolean> {
    this.waiting += 1;
    try {
      for (let outlook = first; ; outlook = await laneOutlook(this.db, laneId)) {
        const dueInMs = outlook.nextDueInMs;
        if (!outlook.queued || dueInMs === null || performance.now() + dueInMs > drain.end) return false;
        if (drain.signal.aborted || !this.process.accepting || !this.hasRoom(drain.working())) return false;
        if (dueInMs < TOUCH_MS) await touchLane(this.db, laneId);
        if (dueInMs === 0) return true;
        await new Promise((resolve) => setTimeout(resolve, Math.min(LOOK_MS, Math.ceil(dueInMs))));
      }
    } finally {
      this.waiting -= 1;
    }
  }

  private hasRoom(working: number): boolean {
    return working + this.waiting < this.slots;
  }
}
