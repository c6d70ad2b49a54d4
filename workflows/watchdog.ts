import { proxyActivities, setCurrentDetails } from '@temporalio/workflow';
import type { DeliveryControlActivities } from '../activities/delivery/control';

const { runWatchdog, ensurePartitions } = proxyActivities<DeliveryControlActivities>({
  startToCloseTimeout: '1 minute',
  // The next round comes in seconds; a failed one need not be tried for ever.
  retry: { initialInterval: '1 second', maximumAttempts: 3 },
});

/** Finds due work whose workflow is absent and starts it; takes care of what dead processes left (design, section 3). */
export async function watchdog(): Promise<void> {
  const report = await runWatchdog();
  setCurrentDetails(
    Object.entries(report)
      .map(([what, count]) => `- ${what}: ${count}`)
      .join('\n'),
  );
}

/** Makes the partitions of the coming months. */
export async function maintainPartitions(): Promise<void> {
  const made = await ensurePartitions();
  setCurrentDetails(`Partitions made: ${made}`);
}
