import fc from 'fast-check';
import { MAX_ATTEMPTS, type MessageClass } from './ledger';
import { goesAlone, type RowBeforeOutcome, retryDelayMs, type SendOutcome, settle } from './outcome';

const LEASE = 30_000;
const MINUTE = 60_000;
const row = (more: Partial<RowBeforeOutcome> = {}): RowBeforeOutcome => ({
  messageClass: 'bulk',
  attempts: 0,
  maxAttempts: MAX_ATTEMPTS,
  dataDrops: 0,
  ...more,
});
const permanent = (more: Partial<Extract<SendOutcome, { kind: 'permanent' }>> = {}): SendOutcome => ({
  kind: 'permanent',
  scope: 'address',
  suppress: false,
  otherRoute: false,
  code: 550,
  enhanced: '5.1.1',
  reply: '',
  ...more,
});
const transient: SendOutcome = { kind: 'transient', code: 450, enhanced: null, reply: '' };
const unknown: SendOutcome = { kind: 'unknown', cause: 'no reply' };
const inData: SendOutcome = { kind: 'not-sent', cause: 'dropped-in-data', inData: true };

test('an acceptance is the end, whatever was before', () => {
  const accepted: SendOutcome = { kind: 'accepted', providerMessageId: null, reply: '250' };
  expect(settle(accepted, row({ attempts: 3, dataDrops: 2 }), LEASE)).toMatchObject({ status: 'SENT', burnt: 0 });
});

test('transient answers are tried again after 5, 15 and 30 minutes, then the row fails', () => {
  const ways = [0, 1, 2, 3].map((attempts) => settle(transient, row({ attempts }), LEASE));
  expect(ways.map((way) => [way.status, way.reason, way.delayMs / MINUTE, way.burnt])).toEqual([
    ['QUEUED', 'RETRY', 5, 1],
    ['QUEUED', 'RETRY', 15, 1],
    ['QUEUED', 'RETRY', 30, 1],
    ['FAILED', 'RETRIES_EXHAUSTED', 0, 1],
  ]);
  expect(retryDelayMs(9)).toBe(30 * MINUTE);
});

test.each([
  ['address', false, 'ADDRESS_REJECTED'],
  ['sender', false, 'SENDER_REJECTED'],
  ['message', false, 'MESSAGE_REJECTED'],
  ['message', true, 'ROUTE_UNSUITABLE'],
] as const)('a permanent refusal of the %s (another route: %s) fails as %s', (scope, otherRoute, reason) => {
  expect(settle(permanent({ scope, otherRoute }), row(), LEASE)).toMatchObject({ status: 'FAILED', reason });
});

test('only a refusal that says so suppresses the address', () => {
  expect(settle(permanent({ suppress: true }), row(), LEASE).suppress).toBe(true);
  expect(settle(permanent(), row(), LEASE).suppress).toBe(false);
});

test('throttling waits as long as the server says, else a minute', () => {
  const throttled = (retryAfterMs: number | null): SendOutcome => ({
    kind: 'throttled',
    retryAfterMs,
    code: 421,
    enhanced: null,
    reply: '',
  });
  expect(settle(throttled(7_000), row(), LEASE)).toMatchObject({ status: 'QUEUED', burnt: 0, delayMs: 7_000 });
  expect(settle(throttled(null), row(), LEASE).delayMs).toBe(MINUTE);
});

test('the third drop in a row inside its own DATA counts as an attempt and sends the row alone', () => {
  const [first, second, third] = [0, 1, 2].map((dataDrops) => settle(inData, row({ dataDrops }), LEASE));
  expect([first, second, third].map((way) => [way?.status, way?.burnt, way?.dataDrops])).toEqual([
    ['QUEUED', 0, 1],
    ['QUEUED', 0, 2],
    ['QUEUED', 1, 3],
  ]);
  expect([first?.delayMs, third?.delayMs]).toEqual([MINUTE, 5 * MINUTE]);
  expect([2, 3].map(goesAlone)).toEqual([false, true]);
  expect(settle(inData, row({ dataDrops: 2, attempts: 3 }), LEASE)).toMatchObject({
    status: 'FAILED',
    reason: 'RETRIES_EXHAUSTED',
  });
});

test('an unknown outcome holds bulk, journey and test mail, and resends opt-in and transactional mail after a lease', () => {
  const way = (messageClass: MessageClass, attempts = 0) => settle(unknown, row({ messageClass, attempts }), LEASE);
  for (const messageClass of ['bulk', 'journey', 'test'] as const)
    expect(way(messageClass)).toMatchObject({ status: 'UNCONFIRMED', reason: 'NO_REPLY', burnt: 1 });
  for (const messageClass of ['opt-in', 'transactional'] as const) {
    expect(way(messageClass)).toMatchObject({ status: 'QUEUED', delayMs: LEASE, burnt: 1 });
    expect(way(messageClass, MAX_ATTEMPTS - 1).status).toBe('UNCONFIRMED');
  }
});

const outcomes: fc.Arbitrary<SendOutcome> = fc.oneof(
  fc.constant<SendOutcome>({ kind: 'accepted', providerMessageId: null, reply: '' }),
  fc.constant<SendOutcome>({ kind: 'throttled', retryAfterMs: null, code: 421, enhanced: null, reply: '' }),
  fc.constant(transient),
  fc
    .record({
      scope: fc.constantFrom('address' as const, 'sender' as const, 'message' as const),
      suppress: fc.boolean(),
      otherRoute: fc.boolean(),
    })
    .map(permanent),
  fc
    .constantFrom('stopped' as const, 'fenced' as const, 'connection' as const, 'dropped-before-data' as const)
    .map((cause): SendOutcome => ({ kind: 'not-sent', cause, inData: false })),
  fc.constant(inData),
  fc
    .constantFrom('authentication' as const, 'tls' as const, 'connect' as const, 'protocol' as const)
    .map((cause): SendOutcome => ({ kind: 'unavailable', cause, reply: '', retryAfterMs: null })),
  fc.constant(unknown),
);
const rows = fc.record({
  messageClass: fc.constantFrom<MessageClass>('bulk', 'journey', 'test', 'opt-in', 'transactional'),
  attempts: fc.nat(MAX_ATTEMPTS - 1),
  maxAttempts: fc.constant(MAX_ATTEMPTS),
  dataDrops: fc.nat(4),
});

test('whatever answers come, in whatever order: attempts end, and never-twice mail is never sent after an unknown outcome', () => {
  fc.assert(
    fc.property(rows, fc.array(outcomes, { minLength: 1, maxLength: 60 }), (start, answers) => {
      const at = { ...start };
      for (const answer of answers) {
        const way = settle(answer, at, LEASE);
        expect(way.delayMs).toBeGreaterThanOrEqual(0);
        // Nothing burns an attempt but an answer for this recipient, an unknown outcome, or the third drop.
        if (['accepted', 'throttled', 'unavailable'].includes(answer.kind)) expect(way.burnt).toBe(0);
        if (way.suppress) expect(answer).toMatchObject({ kind: 'permanent', suppress: true });
        if (answer.kind === 'unknown' && !['opt-in', 'transactional'].includes(at.messageClass))
          expect(way.status).toBe('UNCONFIRMED');
        if (way.status !== 'QUEUED') return;
        at.attempts += way.burnt;
        at.dataDrops = way.dataDrops;
        expect(at.attempts).toBeLessThan(at.maxAttempts);
      }
    }),
  );
});
