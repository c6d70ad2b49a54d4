import { proxyActivities, setCurrentDetails } from '@temporalio/workflow';
import type { EventActivities } from '../activities/events';
import type { ConsumeEventsResult } from '../domain/events/contract';

const { consumeNewEvents } = proxyActivities<EventActivities>({
  startToCloseTimeout: '5 minutes',
  heartbeatTimeout: '1 minute',
  // The next tick comes in seconds; a failed one need not be tried for ever.
  retry: { initialInterval: '1 second', maximumAttempts: 3 },
  summary: 'Hands new events to their consumers',
});

/** Hands new events of all workspaces to their consumers (a Schedule's tick). */
export async function consumeEvents(): Promise<ConsumeEventsResult> {
  const result = await consumeNewEvents();
  setCurrentDetails(
    Object.entries(result.consumed)
      .map(([consumer, count]) => `- ${consumer}: ${count}`)
      .join('\n'),
  );
  return result;
}
