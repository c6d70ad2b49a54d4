import { proxyActivities, setCurrentDetails } from '@temporalio/workflow';
import type { AudienceActivities } from '../activities/audiences';
import type { RefreshAudienceInput, RefreshDueResult, RefreshResult } from '../domain/audiences/contract';

const { calculateAudience } = proxyActivities<AudienceActivities>({
  // One statement of at most two minutes, and its differences in batches.
  startToCloseTimeout: '10 minutes',
  retry: { initialInterval: '2 seconds', backoffCoefficient: 2, maximumInterval: '1 minute', maximumAttempts: 5 },
  summary: 'Calculates the audience',
});

const { calculateDueAudiences } = proxyActivities<AudienceActivities>({
  startToCloseTimeout: '9 minutes',
  // Between two heartbeats lies one calculation.
  heartbeatTimeout: '5 minutes',
  // The next tick comes in five minutes; a failed one need not be tried for ever.
  retry: { initialInterval: '5 seconds', maximumAttempts: 2 },
  summary: 'Calculates the audiences that are due',
});

/** Calculates one dynamic audience on demand. */
export async function refreshAudience(input: RefreshAudienceInput): Promise<RefreshResult> {
  setCurrentDetails('Calculating.');
  const result = await calculateAudience(input);
  setCurrentDetails(`${result.outcome}: ${result.added} added, ${result.removed} removed.`);
  return result;
}

/** Calculates every dynamic audience that is dirty, dependent on time, or not calculated yet (a Schedule's tick). */
export async function refreshAudiences(): Promise<RefreshDueResult> {
  const report = await calculateDueAudiences();
  setCurrentDetails(`- refreshed: ${report.refreshed}\n- failed: ${report.failed}`);
  return report;
}
