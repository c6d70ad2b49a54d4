import { Context } from '@temporalio/activity';
import { findLane, finishedRuns, putLaneToSleep, touchLane } from '../../db/delivery/lanes';
import { laneOutlook } from '../../db/delivery/read-ahead';
import { CAMPAIGN_RUN_CHANGED_SIGNAL, campaignRunWorkflowId } from '../../domain/campaigns/contract';
import type { DrainLaneInput, DrainLaneResult } from '../../domain/delivery';
import { hintWorkflow } from '../../platform/temporal';
import type { ActivityDependencies } from '../dependencies';
import { LaneDrain } from './drain';
import type { SendingProcess } from './sending-process';

export { SendingProcess } from './sending-process';

/** Shortest sleep of a lane. */
const LEAST_SLEEP_MS = 250;
/** A lane whose rows all belong to paused streams waits for a signal; it looks this often all the same. */
const LONGEST_SLEEP_MS = 3_600_000;
const HEARTBEAT_MS = 1_000;
/** Slice of a drain when others wait for slots. */
const SHORT_SLICE_MS = 5_000;

/** Activities of the delivery queue; the only callers of a connector's send. */
export function createDeliveryActivities(deps: ActivityDependencies, process: SendingProcess, slots: number) {
  let drains = 0;

  /** Drains a lane for one slice and says when to come back. */
  async function drainLane(input: DrainLaneInput): Promise<DrainLaneResult> {
    const { db } = deps;
    const lane = await findLane(db, input.laneId);
    if (!lane) return { kind: 'empty' };
    const context = Context.current();
    const heartbeat = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
    drains += 1;
    try {
      await touchLane(db, input.laneId);
      const sliceMs = drains >= slots ? SHORT_SLICE_MS : deps.config.DRAIN_SLICE_SECONDS * 1000;
      const drain = new LaneDrain(
        process,
        {
          workspaceId: lane.workspaceId,
          laneId: input.laneId,
          urgent: lane.kind === 'opt-in' || lane.kind === 'transactional',
          share: input.share ?? { part: 0, of: 1 },
        },
        context.cancellationSignal,
      );
      let touched = performance.now();
      const report = await drain.run(sliceMs, () => {
        if (performance.now() - touched < 5_000) return;
        touched = performance.now();
        touchLane(db, input.laneId).catch((error: unknown) => deps.log.warn({ err: error }, 'lane not touched'));
      });
      await putLaneToSleep(db, input.laneId);
      await tellFinishedRuns(input.laneId);
      // Rows that were committed before the lane was put to sleep belong to this drain; later ones come with a signal.
      const outlook = await laneOutlook(db, input.laneId);
      if (!outlook.queued) return { kind: 'empty' };
      if (outlook.nextDueInMs === 0 && report.blockedForMs === null && process.accepting) {
        return { kind: 'more', parts: outlook.dueRows > 2000 && lane.kind === 'pool' };
      }
      const due = outlook.nextDueInMs === 0 ? (report.blockedForMs ?? LEAST_SLEEP_MS) : outlook.nextDueInMs;
      const sleepMs = Math.min(due ?? LONGEST_SLEEP_MS, report.blockedForMs ?? LONGEST_SLEEP_MS);
      return { kind: 'sleep', ms: Math.ceil(Math.max(LEAST_SLEEP_MS, Math.min(LONGEST_SLEEP_MS, sleepMs))) };
    } finally {
      drains -= 1;
      clearInterval(heartbeat);
    }
  }

  async function tellFinishedRuns(laneId: string): Promise<void> {
    for (const runId of await finishedRuns(deps.db, laneId)) {
      // A hint: campaignRun looks by itself, too.
      await hintWorkflow(deps.temporal, campaignRunWorkflowId(runId), CAMPAIGN_RUN_CHANGED_SIGNAL).catch(
        (error: unknown) => deps.log.warn({ err: error, runId }, 'a finished run could not be told'),
      );
    }
  }

  return { drainLane };
}

export type DeliveryActivities = ReturnType<typeof createDeliveryActivities>;
