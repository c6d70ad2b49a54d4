import { wakeLanesWithWork } from '../../db/senders';
import type { CapacityUnit } from '../../domain/delivery';
import { laneWorkflow } from '../../domain/delivery/contract';
import { ensureWorkflow } from '../../platform/temporal';
import type { ActivityDependencies } from '../dependencies';
import type { UsedUpLimits } from './used-up-limits';

/** Units that come back within this time wake the lanes once. */
const GATHER_MS = 200;

/**
 * Lets mail go on when units of a limit come back that this process has found used up: its lanes sleep for a minute then,
 * and what the limit allows would be unused for so long. Whether there is room for one more is the claim's matter.
 */
export class FreedLimits {
  private readonly waking = new Map<string, NodeJS.Timeout>();

  constructor(
    private readonly deps: Pick<ActivityDependencies, 'db' | 'temporal' | 'log'>,
    private readonly usedUp: UsedUpLimits,
  ) {}

  /** A row has given its units back; that is durable. */
  returned(workspaceId: string, units: readonly CapacityUnit[]): void {
    if (!this.usedUp.reopen(units) || this.waking.has(workspaceId)) return;
    const timer = setTimeout(() => {
      this.waking.delete(workspaceId);
      void this.wake(workspaceId);
    }, GATHER_MS);
    this.waking.set(workspaceId, timer);
  }

  close(): void {
    for (const timer of this.waking.values()) clearTimeout(timer);
    this.waking.clear();
  }

  /** What fails here is made up for by the watchdog. */
  private async wake(workspaceId: string): Promise<void> {
    try {
      const lanes = await this.deps.db.transaction((tx) => wakeLanesWithWork(tx, workspaceId));
      for (const laneId of lanes) await ensureWorkflow(this.deps.temporal, laneWorkflow({ workspaceId, laneId }));
    } catch (error) {
      this.deps.log.warn({ err: error, workspaceId }, 'lanes were not told that a limit has units again');
    }
  }
}
