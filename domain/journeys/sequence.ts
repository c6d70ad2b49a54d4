/** States of a sequence and of an enrolment. ARCHIVED: deleted, kept for the ledger's sake. */
export const SEQUENCE_STATUSES = ['DRAFT', 'ACTIVE', 'PAUSED', 'ARCHIVED'] as const;
export type SequenceStatus = (typeof SEQUENCE_STATUSES)[number];

export const ENROLMENT_STATUSES = ['ACTIVE', 'COMPLETED', 'STOPPED', 'FAILED'] as const;
export type EnrolmentStatus = (typeof ENROLMENT_STATUSES)[number];

export type SequenceAction = 'activate' | 'pause' | 'edit' | 'delete' | 'enrol';

/** From which states an action is possible. */
const ALLOWED: Record<SequenceAction, readonly SequenceStatus[]> = {
  activate: ['DRAFT', 'PAUSED'],
  pause: ['ACTIVE'],
  // Steps, mailboxes, purpose and category are pinned by approvals: nobody changes them under a mail that is planned.
  edit: ['DRAFT', 'PAUSED'],
  delete: ['DRAFT', 'PAUSED'],
  enrol: ['ACTIVE', 'PAUSED'],
};

export function sequenceStatesAllowing(action: SequenceAction): readonly SequenceStatus[] {
  return ALLOWED[action];
}

/** What speaks against activating a sequence; null if nothing does. */
export function activationProblem(sequence: {
  steps: readonly { step_number: number; approval: string | null }[];
  mailboxes: number;
}): string | null {
  if (sequence.steps.length === 0) return 'The sequence has no steps. Add at least one.';
  if (sequence.mailboxes === 0) return 'The sequence has no mailboxes. Add at least one.';
  const open = sequence.steps.filter((step) => step.approval !== 'APPROVED').map((step) => step.step_number);
  if (open.length === 0) return null;
  return `Not approved: step ${open.join(', ')}. Submit the sequence, and have its messages approved.`;
}

/** What became of an enrolment's last mail, and what follows for the enrolment. */
export type Advance =
  | { kind: 'next'; dueAt: Date }
  | { kind: 'end'; status: 'COMPLETED' | 'STOPPED' | 'FAILED'; reason: string | null };

/** Verdicts that mean that the person, not the mail, is the reason. */
const STOPPING_REASONS: ReadonlySet<string> = new Set([
  'UNSUBSCRIBED',
  'CATEGORY_UNSUBSCRIBED',
  'CONSENT_DENIED',
  'CONSENT_MISSING',
  'ADDRESS_BOUNCED',
  'ADDRESS_COMPLAINED',
  'SUPPRESSED_ADDRESS',
  'SUPPRESSED_DOMAIN',
  'CONTACT_ERASED',
]);

/** Step n+1 needs step n SENT; a failure or cancellation ends the enrolment (spec 002; UNCONFIRMED holds and is not asked). */
export function advance(
  mail: { status: 'SENT' | 'FAILED' | 'CANCELLED'; reason: string | null },
  nextDueAt: Date | null,
): Advance {
  switch (mail.status) {
    case 'SENT':
      return nextDueAt === null
        ? { kind: 'end', status: 'COMPLETED', reason: null }
        : { kind: 'next', dueAt: nextDueAt };
    case 'CANCELLED':
      return { kind: 'end', status: 'STOPPED', reason: mail.reason === 'SOURCE_CLOSED' ? 'GOAL' : mail.reason };
    case 'FAILED': {
      const stopped = mail.reason !== null && STOPPING_REASONS.has(mail.reason);
      return { kind: 'end', status: stopped ? 'STOPPED' : 'FAILED', reason: mail.reason };
    }
  }
}

/** The part of a window after which a used-up quota is no surprise any more. */
const EARLY = 0.6;

/** Whether a quota is used up before 60 % of its window has passed (spec 002, "Alerts if mailbox quota consumed early"). */
export function isUsedUpEarly(
  mailbox: { quota: number; used: number },
  window: { opens: Date; closes: Date },
  now: Date,
): boolean {
  if (mailbox.used < mailbox.quota) return false;
  const length = window.closes.getTime() - window.opens.getTime();
  return now.getTime() < window.opens.getTime() + EARLY * length;
}
