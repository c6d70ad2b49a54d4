import { proxyActivities, setCurrentDetails } from '@temporalio/workflow';
import type { RightsActivities } from '../activities/contacts/rights';
import type { ExportSlice, RightsJobInput } from '../domain/contacts/contract';

const { exportSlice } = proxyActivities<RightsActivities>({
  summary: 'Writes pieces of the document for up to ten seconds',
  startToCloseTimeout: '10 minutes',
  heartbeatTimeout: '30 seconds',
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '30 seconds' },
});

/** Exports all that is known of one person to a JSON document. */
export async function exportContact(input: RightsJobInput): Promise<ExportSlice> {
  for (;;) {
    const slice = await exportSlice(input);
    setCurrentDetails(slice.state === 'CONTINUE' ? `${slice.rows} records so far` : `**${slice.state}**`);
    if (slice.state !== 'CONTINUE') return slice;
  }
}
