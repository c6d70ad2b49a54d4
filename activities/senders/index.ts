import type { CheckProviderInput, CheckProviderResult } from '../../domain/senders';
import type { ActivityDependencies } from '../dependencies';
import { runProviderCheck } from './check-provider';

export { createSenderConnector, installationSmtp } from './connector';

/** Activities of the senders area. */
export function createSenderActivities(deps: ActivityDependencies) {
  return {
    checkProviderConnection: (input: CheckProviderInput): Promise<CheckProviderResult> => runProviderCheck(deps, input),
  };
}

export type SenderActivities = ReturnType<typeof createSenderActivities>;
