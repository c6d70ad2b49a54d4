import { proxyActivities, setCurrentDetails } from '@temporalio/workflow';
import type { SenderActivities } from '../activities/senders';
import type { CheckProviderInput, CheckProviderResult } from '../domain/senders/contract';

// Time-outs of the connection itself add up to less than a minute; what fails beyond that is our infrastructure,
// and whoever asked for the check will not wait for an hour.
const { checkProviderConnection } = proxyActivities<SenderActivities>({
  startToCloseTimeout: '2 minutes',
  scheduleToCloseTimeout: '30 minutes',
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' },
  summary: 'Connects to the provider and logs in',
});

/** Checks a provider once and stores what came of it. */
export async function checkProvider(input: CheckProviderInput): Promise<CheckProviderResult> {
  setCurrentDetails('Connecting to the provider.');
  const result = await checkProviderConnection(input);
  setCurrentDetails(result.status === 'OK' ? 'The provider works.' : `The check failed: **${result.cause}**.`);
  return result;
}
