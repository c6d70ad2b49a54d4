import { continueAsNew, proxyActivities, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { RightsActivities } from '../activities/contacts/rights';
import type { ExportSlice, RightsJobInput } from '../domain/contacts/contract';

const { exportSlice } = proxyActivities<RightsActivities>({
  summary: 'Writes pieces of the file for up to ten seconds',
  startToCloseTimeout: '10 minutes',
  heartbeatTimeout: '30 seconds',
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '30 seconds' },
});

/** Exports contacts, all or of a list, to a file, slice by slice, until its row says that it has ended. */
export async function exportContacts(input: RightsJobInput): Promise<ExportSlice> {
  for (;;) {
    const slice = await exportSlice(input);
    setCurrentDetails(
      `**${slice.state === 'CONTINUE' ? 'RUNNING' : slice.state}**\n\n${slice.rows} rows, ${slice.bytes} bytes`,
    );
    if (slice.state !== 'CONTINUE') return slice;
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof exportContacts>(input);
  }
}
