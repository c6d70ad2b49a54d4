import { proxyActivities, setCurrentDetails } from '@temporalio/workflow';
import type { DeliveryControlActivities } from '../activities/delivery/control';

const roundOptions = {
  startToCloseTimeout: '1 minute',
  // The next round comes in seconds; a failed one need not be tried for ever.
  retry: { initialInterval: '1 second', maximumAttempts: 3 },
} as const;

const { runWatchdog } = proxyActivities<DeliveryControlActivities>({ ...roundOptions, summary: 'one round' });
const { ensurePartitions } = proxyActivities<DeliveryControlActivities>({
  ...roundOptions,
  // It gives way to whoever holds the tables; there are months of time.
  retry: { initialInterval: '1 second', maximumInterval: '30 seconds', maximumAttempts: 20 },
  summary: 'partitions of this and the next months',
});

// It asks other people's servers: what goes wrong there is for the next round.
const { lookUpUnconfirmed } = proxyActivities<DeliveryControlActivities>({
  startToCloseTimeout: '30 seconds',
  retry: { maximumAttempts: 1 },
  summary: 'asks providers about messages whose outcome is unknown',
});

/** Finds due work whose workflow is absent and starts it; takes care of what dead processes left (design, section 3). */
export async function watchdog(): Promise<void> {
  const report = await runWatchdog();
  // Only with something to ask about: a round costs one activity.
  const looked = report.toLookUp ? await lookUpUnconfirmed() : { asked: 0, found: 0 };
  setCurrentDetails(
    Object.entries({ ...report, ...looked })
      .map(([what, count]) => `- ${what}: ${count}`)
      .join('\n'),
  );
}

/** Makes the partitions of the coming months. */
export async function maintainPartitions(): Promise<void> {
  const made = await ensurePartitions();
  setCurrentDetails(`Partitions made: ${made}`);
}
