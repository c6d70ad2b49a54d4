import {
  continueAsNew,
  defineSignal,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { ContactActivities } from '../activities/contacts';
import { CONTACT_JOB_CHANGED_SIGNAL, type ContactJobInput, type ContactJobSlice } from '../domain/contacts/contract';

/** A hint: the activity reads the row at its next batch. */
export const contactJobChangedSignal = defineSignal(CONTACT_JOB_CHANGED_SIGNAL);

const { buildIndexSlice } = proxyActivities<ContactActivities>({
  summary: 'Goes over contacts for up to ten seconds',
  startToCloseTimeout: '2 minutes',
  heartbeatTimeout: '10 seconds',
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '30 seconds' },
});

/** Builds or removes the index of a custom field, slice by slice, until its row says that it has ended. */
export async function buildIndex(input: ContactJobInput): Promise<ContactJobSlice> {
  setHandler(contactJobChangedSignal, () => {});
  setCurrentDetails('Waiting for older transactions');
  for (;;) {
    const slice = await buildIndexSlice(input);
    const { total, done, changed } = slice.progress;
    setCurrentDetails(
      `**${slice.state === 'CONTINUE' ? 'RUNNING' : slice.state}**\n\n${done} of ${total ?? 'an unknown number of'} contacts, ${changed} index rows written or removed`,
    );
    if (slice.state !== 'CONTINUE') return slice;
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof buildIndex>(input);
  }
}
