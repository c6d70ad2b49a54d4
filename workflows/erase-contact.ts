import { continueAsNew, proxyActivities, setCurrentDetails, sleep, workflowInfo } from '@temporalio/workflow';
import type { RightsActivities } from '../activities/contacts/rights';
import type { ErasureStep, ErasureWait, RightsJobInput } from '../domain/contacts/contract';

const { eraseContactStep } = proxyActivities<RightsActivities>({
  summary: 'Erases what may be erased already',
  // Every file of the workspace is searched; the heartbeat notices a dead worker long before.
  startToCloseTimeout: '2 hours',
  heartbeatTimeout: '30 seconds',
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' },
});

const WAITS: Record<ErasureWait, string> = {
  OLDER_TRANSACTIONS: 'Waits for transactions that began before the contact was closed',
  MESSAGES_BEING_SENT: 'Waits for messages that are on the wire',
  FILES_IN_USE: 'Waits for an import or export that uses a file',
};

/** Erases a person: the contact was closed when this was started; repeats until nothing has to be waited for. */
export async function eraseContact(input: RightsJobInput): Promise<ErasureStep> {
  for (;;) {
    const step = await eraseContactStep(input);
    setCurrentDetails(step.state === 'DONE' ? '**Done.**' : WAITS[step.waitsFor]);
    if (step.state === 'DONE') return step;
    await sleep(step.seconds * 1000, { summary: WAITS[step.waitsFor] });
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof eraseContact>(input);
  }
}
