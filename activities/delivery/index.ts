import { Context } from '@temporalio/activity';
import { findLane, finishedRuns, type LaneRow, putLaneToSleep, touchLane } from '../../db/delivery/lanes';
import { liveProcesses } from '../../db/delivery/process';
import { laneOutlook } from '../../db/delivery/read-ahead';
import { CAMPAIGN_RUN_CHANGED_SIGNAL, campaignRunWorkflowId } from '../../domain/campaigns/contract';
import type { DrainLaneInput, DrainLaneResult } from '../../domain/delivery';
import { hintWorkflow } from '../../platform/temporal';
import type { ActivityDependencies } from '../dependencies';
import { type DrainReport, LaneDrain } from './drain';
import { Lingering } from './linger';
import type { SendingProcess } from './sending-process';

export { SendingProcess } from './sending-process';

/** Shortest sleep of a lane. */
const LEAST_SLEEP_MS = 250;
/** A lane whose rows all belong to paused streams waits for a signal; it looks this often all the same. */
const LONGEST_SLEEP_MS = 3_600_000;
const HEARTBEAT_MS = 1_000;
/** Slice of a drain when others wait for slots. */
const SHORT_SLICE_MS = 5_000;
/** A pool's lane with more due rows than this is dealt out to all delivery processes. */
const WORTH_SHARING = 2_000;
/** How often a drain of such a lane that has it for itself looks whether others could help. */
const SHARING_LOOK_MS = 1_000;

/** Activities of the delivery queue; the only callers of a connector's send. */
export function createDeliveryActivities(deps: ActivityDependencies, process: SendingProcess, slots: number) {
  let drains = 0;
  const lingering = new Lingering(deps.db, process, slots, deps.config.MAILBOX_LINGER_MINUTES * 60_000);

  /** Drains a lane for one slice and says when to come back. */
  async function drainLane(input: DrainLaneInput): Promise<DrainLaneResult> {
    const { db } = deps;
    const lane = await findLane(db, input.laneId);
    if (!lane) return { kind: 'empty' };
    const context = Context.current();
    const heartbeat = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
    drains += 1;
    try {
      const end = performance.now() + deps.config.MAILBOX_LINGER_MINUTES * 60_000;
      let report = await drainOnce(input, lane, context.cancellationSignal);
      while (input.mayLinger && report.blockedForMs === null) {
        const outlook = await laneOutlook(db, input.laneId);
        if (!lingering.suits(lane.kind, outlook, drains - 1)) break;
        drains -= 1;
        const waiting = { end, signal: context.cancellationSignal, working: () => drains };
        const isDue = await lingering.untilDue(input.laneId, outlook, waiting).finally(() => {
          drains += 1;
        });
        if (!isDue) break;
        report = await drainOnce(input, lane, context.cancellationSignal);
      }
      await putLaneToSleep(db, input.laneId);
      await tellFinishedRuns(input.laneId);
      // Rows that were committed before the lane was put to sleep belong to this drain; later ones come with a signal.
      const outlook = await laneOutlook(db, input.laneId);
      if (!outlook.queued) return { kind: 'empty' };
      if (outlook.nextDueInMs === 0 && report.blockedForMs === null && process.accepting) {
        return { kind: 'more', parts: outlook.dueRows > WORTH_SHARING && lane.kind === 'pool' };
      }
      const due = outlook.nextDueInMs === 0 ? (report.blockedForMs ?? LEAST_SLEEP_MS) : outlook.nextDueInMs;
      const sleepMs = Math.min(due ?? LONGEST_SLEEP_MS, report.blockedForMs ?? LONGEST_SLEEP_MS);
      const ms = Math.ceil(Math.max(LEAST_SLEEP_MS, Math.min(LONGEST_SLEEP_MS, sleepMs)));
      const lingers = report.blockedForMs === null && lingering.suits(lane.kind, outlook, drains - 1);
      return { kind: 'sleep', ms, ...(lingers && { lingers }) };
    } finally {
      drains -= 1;
      clearInterval(heartbeat);
    }
  }

  /** One slice. */
  async function drainOnce(input: DrainLaneInput, lane: LaneRow, signal: AbortSignal): Promise<DrainReport> {
    const { db } = deps;
    await touchLane(db, input.laneId);
    process.directory.lookAgain(lane.workspaceId);
    const isCrowded = drains + lingering.count >= slots;
    const sliceMs = isCrowded ? SHORT_SLICE_MS : deps.config.DRAIN_SLICE_SECONDS * 1000;
    const shared = new AbortController();
    const drain = new LaneDrain(
      process,
      {
        workspaceId: lane.workspaceId,
        laneId: input.laneId,
        urgent: lane.kind === 'opt-in' || lane.kind === 'transactional',
        share: input.share ?? { part: 0, of: 1 },
      },
      AbortSignal.any([signal, shared.signal]),
    );
    // What is blocked is blocked for the others, too.
    const look = async (): Promise<void> => {
      if (!drain.blocked && (await isWorthSharing(input.laneId))) shared.abort();
    };
    const looking =
      lane.kind === 'pool' && input.share === undefined
        ? setInterval(() => {
            look().catch((error: unknown) => deps.log.warn({ err: error }, 'whether others could help is not known'));
          }, SHARING_LOOK_MS)
        : undefined;
    let touched = performance.now();
    try {
      return await drain.run(sliceMs, () => {
        if (performance.now() - touched < 5_000) return;
        touched = performance.now();
        touchLane(db, input.laneId).catch((error: unknown) => deps.log.warn({ err: error }, 'lane not touched'));
      });
    } finally {
      clearInterval(looking);
    }
  }

  /** Whether a lane has work for several processes, and there are several. */
  async function isWorthSharing(laneId: string): Promise<boolean> {
    if ((await liveProcesses(deps.db)).length < 2) return false;
    return (await laneOutlook(deps.db, laneId)).dueRows > WORTH_SHARING;
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
