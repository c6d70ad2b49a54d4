import { defineSearchAttributeKey } from '@temporalio/common';
import {
  condition,
  continueAsNew,
  defineQuery,
  defineSignal,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { CampaignRunProgress, createCampaignActivities } from '../activities/campaigns';
import {
  CAMPAIGN_RUN_CHANGED_SIGNAL,
  CAMPAIGN_RUN_PROGRESS_QUERY,
  type CampaignRunInput,
} from '../domain/campaigns/contract';

const SallyStatus = defineSearchAttributeKey('SallyStatus', 'KEYWORD');
export const campaignRunChanged = defineSignal(CAMPAIGN_RUN_CHANGED_SIGNAL);
export const campaignRunProgress = defineQuery<CampaignRunProgress | null>(CAMPAIGN_RUN_PROGRESS_QUERY);

// Infrastructure comes back; whether a run goes on is decided by its row, never by a time-out.
const retry = { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '30 seconds' } as const;
type Activities = ReturnType<typeof createCampaignActivities>;
const row = proxyActivities<Activities>({ startToCloseTimeout: '30 seconds', retry, summary: 'What is due?' });
const long = { startToCloseTimeout: '10 minutes', heartbeatTimeout: '30 seconds', retry } as const;
const materialising = proxyActivities<Activities>({ ...long, summary: 'One row for each recipient' });
const sweeping = proxyActivities<Activities>({ ...long, summary: 'Cancels rows that still wait' });

const SECOND = 1_000;
const SHORTEST_LOOK = 5 * SECOND;
const LONGEST_LOOK = 5 * 60 * SECOND;
/** A run scheduled for next month looks once a day whether its time was changed. */
const LONGEST_WAIT = 24 * 3600 * SECOND;

/**
 * Waits for the run's time, materialises one row for each recipient, follows them until none is open, and closes the
 * run. Postgres decides: each step is read from the run's row, a signal only makes it read again, and pause, resume
 * and cancel work without this workflow.
 */
export async function campaignRun(input: CampaignRunInput): Promise<void> {
  let changed = false;
  let progress: CampaignRunProgress | null = null;
  let look = SHORTEST_LOOK;
  setHandler(campaignRunChanged, () => {
    changed = true;
  });
  setHandler(campaignRunProgress, () => progress);

  /** Waits for a change, at most `ms`. */
  const wait = async (ms: number, summary: string): Promise<void> => {
    if (await condition(() => changed, ms, { summary })) look = SHORTEST_LOOK;
    else look = Math.min(look * 2, LONGEST_LOOK);
  };

  for (;;) {
    // Before the row is read, not after: a signal that comes meanwhile makes the next wait end at once.
    changed = false;
    const before = progress;
    progress = await row.advanceCampaignRun(input);
    const { next } = progress;
    if (before?.next.status !== next.status) upsertSearchAttributes([{ key: SallyStatus, value: next.status }]);
    setCurrentDetails(describe(progress));
    if (before && before.next.step !== next.step) look = SHORTEST_LOOK;
    switch (next.step) {
      case 'wait-for-time':
        await wait(Math.min(Math.max(next.waitMs, 250), LONGEST_WAIT), 'Until the scheduled time');
        break;
      case 'wait-for-resume':
        await wait(look, 'Until an operator resumes or cancels');
        break;
      case 'materialise':
        await materialising.materialiseCampaignRun(input);
        break;
      case 'follow':
        await wait(look, 'Until the last message is settled');
        break;
      case 'sweep':
        // What is locked by a claim at this moment comes back or is settled; look again soon.
        if ((await sweeping.sweepCampaignRun(input)) === 0) await wait(SECOND, 'Until claims in flight have ended');
        break;
      case 'done':
        return;
    }
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof campaignRun>(input);
  }
}

/** For the Temporal UI: where the run stands, in numbers. */
function describe({ next, counts }: CampaignRunProgress): string {
  const status = `**Status:** ${next.status}, ${DOING[next.step]}`;
  if (!counts) return status;
  const lines = Object.entries(counts).map(([name, count]) => `| ${name} | ${count} |`);
  return [status, '', '| messages | |', '| --- | ---: |', ...lines].join('\n');
}

const DOING: Record<CampaignRunProgress['next']['step'], string> = {
  'wait-for-time': 'waiting for its time',
  'wait-for-resume': 'stopped; it goes on when somebody resumes it',
  materialise: 'making one row for each recipient',
  follow: 'messages are leaving through their lane',
  sweep: 'cancelling rows that still wait',
  done: 'closed',
};
