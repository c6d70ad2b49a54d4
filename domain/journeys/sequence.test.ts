import { activationProblem, advance, isUsedUpEarly, sequenceStatesAllowing } from './sequence';

const DUE = new Date('2026-06-17T00:00:00Z');

test.each([
  ['SENT', null, DUE, { kind: 'next', dueAt: DUE }],
  ['SENT', null, null, { kind: 'end', status: 'COMPLETED', reason: null }],
  ['FAILED', 'RETRIES_EXHAUSTED', DUE, { kind: 'end', status: 'FAILED', reason: 'RETRIES_EXHAUSTED' }],
  ['FAILED', 'UNSUBSCRIBED', DUE, { kind: 'end', status: 'STOPPED', reason: 'UNSUBSCRIBED' }],
  ['FAILED', 'ADDRESS_BOUNCED', DUE, { kind: 'end', status: 'STOPPED', reason: 'ADDRESS_BOUNCED' }],
  ['CANCELLED', 'SOURCE_CLOSED', DUE, { kind: 'end', status: 'STOPPED', reason: 'GOAL' }],
  ['CANCELLED', 'SOURCE_CANCELLED', DUE, { kind: 'end', status: 'STOPPED', reason: 'SOURCE_CANCELLED' }],
] as const)('a mail that is %s (%s) with the next step due %s', (status, reason, nextDueAt, expected) => {
  expect(advance({ status, reason }, nextDueAt)).toEqual(expected);
});

test('a quota that is used up is early until 60 % of the window have passed', () => {
  const window = { opens: new Date('2026-06-15T09:00:00Z'), closes: new Date('2026-06-15T19:00:00Z') };
  const at = (time: string) => new Date(`2026-06-15T${time}:00Z`);
  expect(isUsedUpEarly({ quota: 30, used: 30 }, window, at('14:59'))).toBe(true);
  expect(isUsedUpEarly({ quota: 30, used: 30 }, window, at('15:00'))).toBe(false);
  expect(isUsedUpEarly({ quota: 30, used: 29 }, window, at('10:00'))).toBe(false);
  expect(isUsedUpEarly({ quota: 20, used: 30 }, window, at('10:00'))).toBe(true);
});

test('activating needs steps, mailboxes and approvals, and says which are missing', () => {
  const steps = [
    { step_number: 1, approval: 'APPROVED' },
    { step_number: 2, approval: 'SUBMITTED' },
    { step_number: 3, approval: null },
  ];
  expect(activationProblem({ steps: [], mailboxes: 1 })).toContain('no steps');
  expect(activationProblem({ steps, mailboxes: 0 })).toContain('no mailboxes');
  expect(activationProblem({ steps, mailboxes: 1 })).toContain('step 2, 3');
  expect(activationProblem({ steps: steps.slice(0, 1), mailboxes: 1 })).toBeNull();
});

test('nothing can be done to an archived sequence', () => {
  for (const action of ['activate', 'pause', 'edit', 'delete', 'enrol'] as const) {
    expect(sequenceStatesAllowing(action)).not.toContain('ARCHIVED');
  }
});
