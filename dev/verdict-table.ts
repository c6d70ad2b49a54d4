import { type Facts, judge, type MessageClass, type Verdict } from '../domain/delivery';

const CLASSES: readonly MessageClass[] = ['bulk', 'journey', 'transactional', 'opt-in', 'test'];
const NOW = new Date('2026-06-15T12:00:00Z');
const BEFORE = new Date('2026-06-15T11:00:00Z');

/** A message that nothing speaks against. */
const CLEAR: Omit<Facts, 'messageClass'> = {
  source: { stream: 'ACTIVE', window: null, open: true },
  expiresAt: null,
  approval: 'valid',
  contact: { erased: false, status: 'ACTIVE' },
  suppression: null,
  consent: 'granted',
  categorySubscribed: true,
  frequency: null,
  slotUntil: null,
  optInMails: [],
};

/** One thing that is otherwise, in the order in which the checks ask. */
const SITUATIONS: readonly [what: string, change: Partial<Facts>][] = [
  ['nothing speaks against it', {}],
  ['its source was cancelled', { source: { ...CLEAR.source, stream: 'CANCELLED' } }],
  ['its source has not begun', { source: { ...CLEAR.source, stream: 'WAITING' } }],
  ['its source is paused', { source: { ...CLEAR.source, stream: 'PAUSED' } }],
  [
    'its source was closed (an opt-in was confirmed or expired, an enrolment has ended)',
    { source: { ...CLEAR.source, open: false } },
  ],
  ['it has waited past its expiry', { expiresAt: BEFORE }],
  [
    'it is outside the send window',
    { source: { ...CLEAR.source, window: { start: '20:00', end: '21:00', timezone: 'UTC' } } },
  ],
  ['the slot that it was planned for has passed', { slotUntil: BEFORE }],
  ['its approval is void', { approval: 'void' }],
  ['the contact was erased', { contact: { erased: true, status: 'ACTIVE' } }],
  ['the address is suppressed', { suppression: { scope: 'address', reason: 'MANUAL' } }],
  ['the domain is suppressed', { suppression: { scope: 'domain', reason: 'MANUAL' } }],
  ['the address has bounced', { contact: { erased: false, status: 'BOUNCED' } }],
  ['the contact has complained', { contact: { erased: false, status: 'COMPLAINED' } }],
  ['the contact has unsubscribed', { contact: { erased: false, status: 'UNSUBSCRIBED' } }],
  ['there is no consent', { consent: null }],
  ['consent is asked for but not given', { consent: 'pending' }],
  ['consent was denied or withdrawn', { consent: 'denied' }],
  ['the contact has left the category', { categorySubscribed: false }],
  [
    'the contact has had its message of the category for the day, week or month',
    { frequency: { limit: 'DAILY', zone: 'UTC', lastAt: BEFORE } },
  ],
  ['three opt-in mails went to the address in the last 24 hours', { optInMails: [BEFORE, BEFORE, BEFORE] }],
];

/** What becomes of each class in each situation, asked of the function that decides. For docs/verdicts.md. */
export function verdictTable(): string {
  const rows = SITUATIONS.map(([what, change]) => {
    const cells = CLASSES.map((messageClass) => cell(judge({ ...CLEAR, messageClass, ...change }, NOW)));
    return `| ${[what, ...cells].join(' | ')} |`;
  });
  return [`| Situation | ${CLASSES.join(' | ')} |`, `| --- |${' --- |'.repeat(CLASSES.length)}`, ...rows].join('\n');
}

function cell(verdict: Verdict): string {
  switch (verdict.kind) {
    case 'OK':
      return 'goes';
    case 'FAIL':
      return `fails: \`${verdict.reason}\``;
    case 'CANCEL':
      return `cancelled: \`${verdict.reason}\``;
    case 'DEFER':
      return `waits: \`${verdict.reason}\``;
  }
}
