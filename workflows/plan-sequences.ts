import { defineSignal, proxyActivities, setCurrentDetails, setHandler } from '@temporalio/workflow';
import type { JourneyActivities } from '../activities/journeys';
import { PLAN_AGAIN_SIGNAL, type PlanSequencesInput } from '../domain/journeys/contract';

export const planAgain = defineSignal(PLAN_AGAIN_SIGNAL);

const { planDueSequences } = proxyActivities<JourneyActivities>({
  startToCloseTimeout: '9 minutes',
  // The next quarter of an hour plans again whatever a failed plan leaves.
  retry: { initialInterval: '1 second', maximumInterval: '1 minute', maximumAttempts: 5 },
  summary: 'Gives slots to the mails that are due',
});

/**
 * Plans today's mail of the sequences of one workspace, or of all of them. Harmless to repeat: a second run inserts
 * nothing. Who asks for a plan while one runs gets another one after it.
 */
export async function planSequences(input: PlanSequencesInput = {}): Promise<void> {
  let again = true;
  setHandler(planAgain, () => {
    again = true;
  });
  while (again) {
    again = false;
    setCurrentDetails('Planning.');
    const report = await planDueSequences(input);
    setCurrentDetails(
      Object.entries(report)
        .map(([what, count]) => `- ${what}: ${count}`)
        .join('\n'),
    );
  }
}
