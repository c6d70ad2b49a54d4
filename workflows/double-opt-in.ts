import { defineSearchAttributeKey } from '@temporalio/common';
import {
  condition,
  continueAsNew,
  defineQuery,
  defineSignal,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { createConsentActivities } from '../activities/consent';
import { type DoubleOptInInput, OPT_IN_CHANGED_SIGNAL, OPT_IN_STEP_QUERY } from '../domain/consent/contract';
import type { OptInStep } from '../domain/consent/opt-in';

const SallyStatus = defineSearchAttributeKey('SallyStatus', 'KEYWORD');
export const optInChanged = defineSignal(OPT_IN_CHANGED_SIGNAL);
export const optInStep = defineQuery<OptInStep | null>(OPT_IN_STEP_QUERY);

const options = {
  startToCloseTimeout: '30 seconds',
  // Infrastructure comes back; the request itself expires in Postgres.
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' },
} as const;
type Activities = ReturnType<typeof createConsentActivities>;
const read = proxyActivities<Activities>({ ...options, summary: 'Reads the request: what is due?' });
const confirmation = proxyActivities<Activities>({ ...options, summary: 'Enqueues the confirmation mail' });
const reminder = proxyActivities<Activities>({ ...options, summary: 'Enqueues the reminder' });
const closing = proxyActivities<Activities>({ ...options, summary: 'Closes the request' });

/**
 * Sends the confirmation mail, waits for the confirmation, reminds once, and expires. The request's row decides;
 * every signal only makes it read again, so a confirmation works without this run and is noticed by the next step.
 */
export async function doubleOptIn(input: DoubleOptInInput): Promise<void> {
  let changed = false;
  let step: OptInStep | null = null;
  setHandler(optInChanged, () => {
    changed = true;
  });
  setHandler(optInStep, () => step);

  step = await read.nextOptInStep(input);
  while (step.kind !== 'closed') {
    show(step);
    switch (step.kind) {
      case 'send-confirmation':
        step = await confirmation.sendOptInConfirmation(input);
        break;
      case 'send-reminder':
        step = await reminder.sendOptInReminder(input);
        break;
      case 'expire':
        step = await closing.expireOptIn(input);
        break;
      case 'cancel':
        step = await closing.cancelOptIn(input);
        break;
      case 'wait':
        await condition(() => changed, Math.max(step.milliseconds, 250), { summary: `Until the ${step.for}` });
        changed = false;
        // Somebody may sign up again and again for months; the row holds everything.
        if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof doubleOptIn>(input);
        step = await read.nextOptInStep(input);
        break;
    }
  }
  show(step);
}

/** For the Temporal UI: where this request stands, without personal data. */
function show(step: OptInStep): void {
  const status = step.kind === 'closed' ? step.status : 'OPEN';
  upsertSearchAttributes([{ key: SallyStatus, value: status }]);
  setCurrentDetails(`**Status:** ${status}\n\n**Now:** ${describe(step)}`);
}

function describe(step: OptInStep): string {
  switch (step.kind) {
    case 'closed':
      return 'done';
    case 'wait':
      return step.for === 'reminder'
        ? 'waiting for the confirmation; a reminder is next'
        : 'waiting for the confirmation, until it expires';
    case 'send-confirmation':
      return 'enqueueing the confirmation mail';
    case 'send-reminder':
      return 'enqueueing the reminder';
    case 'expire':
      return 'time is over';
    case 'cancel':
      return "the contact's address has changed";
  }
}
