import {
  CancellationScope,
  continueAsNew,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { ContactActivities } from '../activities/contacts';
import type { ContactJobInput, ContactJobSlice } from '../domain/contacts/contract';
import { contactJobChangedSignal } from './build-index';

const { bulkEditSlice } = proxyActivities<ContactActivities>({
  summary: 'Edits contacts for up to ten seconds',
  startToCloseTimeout: '2 minutes',
  heartbeatTimeout: '10 seconds',
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '30 seconds' },
});

const { cancelContactJob } = proxyActivities<ContactActivities>({
  summary: 'Marks the job as cancelled',
  startToCloseTimeout: '30 seconds',
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '30 seconds' },
});

/** Edits the contacts of a selection, slice by slice, until the job's row says that it has ended. */
export async function bulkEdit(input: ContactJobInput): Promise<ContactJobSlice> {
  setHandler(contactJobChangedSignal, () => {});
  setCurrentDetails('Counting the contacts');
  try {
    for (;;) {
      const slice = await bulkEditSlice(input);
      const { total, done, changed, skipped } = slice.progress;
      setCurrentDetails(
        `**${slice.state === 'CONTINUE' ? 'RUNNING' : slice.state}**\n\n${done} of ${total ?? 'an unknown number of'} contacts, ${changed} changed, ${skipped} skipped`,
      );
      if (slice.state !== 'CONTINUE') return slice;
      if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof bulkEdit>(input);
    }
  } catch (error) {
    if (isCancellation(error)) await CancellationScope.nonCancellable(() => cancelContactJob(input));
    throw error;
  }
}
