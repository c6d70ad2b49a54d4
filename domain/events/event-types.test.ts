import { eventTypeProblem, occurredAtProblem, payloadProblem } from './event-types';

test.each(['purchase', 'page_viewed', 'a', 'emails', 'contactless', 'x'.repeat(50)])('%s may come in', (name) => {
  expect(eventTypeProblem(name)).toBeNull();
});

test.each([
  'contact_created',
  'contacts_imported',
  'consent',
  'email_bounced',
  'segment_membership_changed',
  'Purchase',
  '1st',
  'a-b',
  '',
  'x'.repeat(51),
])('"%s" may not', (name) => {
  expect(eventTypeProblem(name)).not.toBeNull();
});

test('events are of the last 28 days, give or take a clock', () => {
  const now = new Date('2026-03-01T00:00:00Z');
  const problem = (at: string) => occurredAtProblem(new Date(at), now);
  expect(problem('2026-02-01T00:00:00Z')).toBeNull();
  expect(problem('2026-01-31T23:59:59Z')).toContain('28 days');
  expect(problem('2026-03-01T00:05:00Z')).toBeNull();
  expect(problem('2026-03-01T00:05:01Z')).toContain('future');
});

test('a payload has what its type describes, and whatever else', () => {
  const fields = [
    { name: 'amount', type: 'number', required: true },
    { name: 'at', type: 'datetime', required: false },
  ] as const;
  expect(payloadProblem({ amount: 1, other: [1] }, fields)).toBeNull();
  expect(payloadProblem({ amount: 1, at: null }, fields)).toBeNull();
  expect(payloadProblem({}, fields)).toBe('payload.amount is required');
  expect(payloadProblem({ amount: '1' }, fields)).toContain('payload.amount must be a number');
  expect(payloadProblem({ amount: 1, at: 'yesterday' }, fields)).toContain('payload.at');
  // What every object inherits is no member of a payload.
  expect(payloadProblem({}, [{ name: 'constructor', type: 'text', required: false }])).toBeNull();
});
