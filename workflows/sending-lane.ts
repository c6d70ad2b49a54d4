import {
  ActivityCancellationType,
  condition,
  continueAsNew,
  defineSignal,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { DeliveryActivities } from '../activities/delivery';
import type { DeliveryControlActivities } from '../activities/delivery/control';
import { type DrainLaneResult, LANE_WAKE_SIGNAL, type SendingLaneInput } from '../domain/delivery/contract';
import {
  DELIVERY_TASK_QUEUE,
  deliveryProcessTaskQueue,
  URGENT_DELIVERY_TASK_QUEUE,
} from '../domain/shared/task-queues';

export const laneWake = defineSignal(LANE_WAKE_SIGNAL);

/** A drain: a slice of up to 30 s, heartbeating every second; tried again for ever, since the ledger makes it harmless. */
const drainOptions = {
  startToCloseTimeout: '5 minutes',
  heartbeatTimeout: '6 seconds',
  cancellationType: ActivityCancellationType.TRY_CANCEL,
  retry: { initialInterval: '500 milliseconds', backoffCoefficient: 2, maximumInterval: '10 seconds' },
} as const;

/** The same, waiting for the next slots of mailboxes by itself: a timer and a drain for every slot would cost more than the mail. */
const lingeringOptions = { ...drainOptions, startToCloseTimeout: '13 hours' } as const;

const { liveDeliveryProcesses } = proxyActivities<DeliveryControlActivities>({
  startToCloseTimeout: '10 seconds',
  retry: { initialInterval: '1 second', maximumInterval: '30 seconds' },
  summary: 'which delivery processes are there',
});

/**
 * Sends what is due on one lane, until no row of it waits. The rows are in Postgres; this workflow only says when to
 * look: it clears its flag before each drain, tests it after, and sleeps until something is due or it is woken.
 */
export async function sendingLane(input: SendingLaneInput): Promise<void> {
  let woken = false;
  setHandler(laneWake, () => {
    woken = true;
  });
  let parts = false;
  let lingers = false;
  for (;;) {
    woken = false;
    setCurrentDetails(detailsOf(parts, lingers));
    const result: DrainLaneResult = parts ? await drainInParts(input.laneId) : await drain(input, lingers);
    parts = result.kind === 'more' && result.parts;
    lingers = result.kind === 'sleep' && result.lingers === true;
    if (result.kind === 'empty' && !woken) return;
    if (result.kind === 'sleep' && !woken && !lingers) {
      setCurrentDetails(`Waiting up to ${Math.ceil(result.ms / 1000)} s for the next due message, or to be woken`);
      await condition(() => woken, result.ms, { summary: 'until the next message is due' });
    }
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof sendingLane>(input);
  }
}

function detailsOf(parts: boolean, lingers: boolean): string {
  if (lingers) return 'Draining, and waiting for the next slots of its mailboxes';
  return parts ? 'Draining, a share per delivery process' : 'Draining';
}

function drain({ laneId, urgent }: Omit<SendingLaneInput, 'workspaceId'>, lingers = false): Promise<DrainLaneResult> {
  const { drainLane } = proxyActivities<DeliveryActivities>({
    ...(lingers ? lingeringOptions : drainOptions),
    taskQueue: urgent ? URGENT_DELIVERY_TASK_QUEUE : DELIVERY_TASK_QUEUE,
    summary: lingers ? 'drain, and wait for the next slots' : 'drain',
  });
  return drainLane(lingers ? { laneId, mayLinger: true } : { laneId });
}

/** One drain per live delivery process, each of the rows whose id hashes to its part. */
async function drainInParts(laneId: string): Promise<DrainLaneResult> {
  const { processIds } = await liveDeliveryProcesses();
  if (processIds.length < 2) return drain({ laneId });
  const results = await Promise.all(
    processIds.map((processId, part) => {
      const { drainLane } = proxyActivities<DeliveryActivities>({
        ...drainOptions,
        // A process may be gone: its queue then has no poller, and its part is drained by the next round.
        scheduleToStartTimeout: '5 seconds',
        retry: { ...drainOptions.retry, maximumAttempts: 2 },
        taskQueue: deliveryProcessTaskQueue(processId),
        summary: `drain part ${part + 1} of ${processIds.length}`,
      });
      return drainLane({ laneId, share: { part, of: processIds.length } }).catch(
        (): DrainLaneResult => ({ kind: 'more', parts: false }),
      );
    }),
  );
  const busy = results.find((result) => result.kind === 'more');
  if (busy) return { kind: 'more', parts: results.every((result) => result.kind === 'more' && result.parts) };
  const sleeps = results.flatMap((result) => (result.kind === 'sleep' ? [result.ms] : []));
  return sleeps.length > 0 ? { kind: 'sleep', ms: Math.min(...sleeps) } : { kind: 'empty' };
}
