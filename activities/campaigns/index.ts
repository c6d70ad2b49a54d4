import { Context } from '@temporalio/activity';
import { materialiseBatch, sweepBatch } from '../../db/campaigns';
import type { CampaignRunInput } from '../../domain/campaigns/contract';
import { laneWorkflow } from '../../domain/delivery/contract';
import { ensureWorkflow } from '../../platform/temporal';
import type { ActivityDependencies } from '../dependencies';
import { advanceRun, type CampaignRunProgress } from './advance';
import { nextBatchSize } from './batch-size';

export type { CampaignRunProgress } from './advance';

/** Longest one call works before it returns to the workflow, which looks at the row and calls again. */
const SLICE_MS = 5 * 60_000;
const FIRST_BATCH = 4_000;
const SWEEP_BATCH = 5_000;

/** Activities of campaign runs. Each is idempotent: what was done is in the run's row, in the same transaction. */
export function createCampaignActivities(deps: ActivityDependencies) {
  const wake = async (workspaceId: string, laneId: string): Promise<void> => {
    // The rows are committed and the lane is on: what is lost here, the watchdog finds.
    await ensureWorkflow(deps.temporal, laneWorkflow({ workspaceId, laneId })).catch((error: unknown) =>
      deps.log.warn({ err: error, laneId }, 'a lane could not be woken'),
    );
  };

  return {
    /** Makes the move that is due (begin, stop, finish) and says what comes next. */
    advanceCampaignRun(input: CampaignRunInput): Promise<CampaignRunProgress> {
      return advanceRun(deps, input);
    },

    /** Inserts rows until the audience's end, a pause or a cancel. Returns how many it inserted. */
    async materialiseCampaignRun(input: CampaignRunInput): Promise<number> {
      const context = Context.current();
      const until = performance.now() + SLICE_MS;
      let size = FIRST_BATCH;
      let inserted = 0;
      while (performance.now() < until && !context.cancellationSignal.aborted) {
        const begun = performance.now();
        const batch = await materialiseBatch(deps.db, input, size);
        if (batch.kind === 'stopped') break;
        inserted += batch.inserted;
        if (batch.wake) await wake(input.workspaceId, batch.laneId);
        context.heartbeat(inserted);
        if (batch.finished) break;
        size = nextBatchSize(size, performance.now() - begun);
      }
      return inserted;
    },

    /** Cancels rows of a cancelled run that still wait. Returns how many. */
    async sweepCampaignRun(input: CampaignRunInput): Promise<number> {
      const context = Context.current();
      const until = performance.now() + SLICE_MS;
      let swept = 0;
      while (performance.now() < until && !context.cancellationSignal.aborted) {
        const batch = await sweepBatch(deps.db, input, SWEEP_BATCH);
        if (batch === 0) break;
        swept += batch;
        context.heartbeat(swept);
      }
      return swept;
    },
  };
}
