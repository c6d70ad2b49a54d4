import { proxyActivities, setCurrentDetails } from '@temporalio/workflow';
import type { RightsActivities } from '../activities/contacts/rights';
import type { RetentionReport } from '../domain/contacts/contract';

const { enforceRetentionPeriods } = proxyActivities<RightsActivities>({
  startToCloseTimeout: '9 minutes',
  heartbeatTimeout: '30 seconds',
  // The next tick goes on with whatever a failed one leaves.
  retry: { initialInterval: '5 seconds', maximumAttempts: 2 },
  summary: 'Removes what has been kept for its time',
});

/** Enforces the retention periods of all workspaces, once per workspace and local date (a Schedule's tick). */
export async function enforceRetention(): Promise<RetentionReport> {
  const report = await enforceRetentionPeriods();
  setCurrentDetails(`- workspaces: ${report.workspaces}\n- failed: ${report.failed}\n- removed: ${report.removed}`);
  return report;
}
