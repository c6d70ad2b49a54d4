import fc from 'fast-check';
import { BreakerWatch, probeDelayMs, SAMPLE_SIZE } from './breaker';
import type { SendOutcome, UnavailableCause } from './outcome';

const SENDER = 'news@sender.example';
const accepted: SendOutcome = { kind: 'accepted', providerMessageId: null, reply: '' };
const refused: SendOutcome = {
  kind: 'permanent',
  scope: 'address',
  suppress: true,
  otherRoute: false,
  code: 550,
  enhanced: '5.1.1',
  reply: '',
};
const unavailable = (cause: UnavailableCause): SendOutcome => ({
  kind: 'unavailable',
  cause,
  reply: '',
  retryAfterMs: null,
});
const observeAll = (outcomes: SendOutcome[], watch = new BreakerWatch()) =>
  outcomes.map((outcome, index) => watch.observe(`row ${index}`, outcome, SENDER));

test.each([
  ['authentication', 'AUTHENTICATION'],
  ['tls', 'TLS'],
] as const)('opens at once for %s', (cause, reason) => {
  expect(observeAll([unavailable(cause)])).toEqual([{ reason, sample: [] }]);
});

test('opens after three failed connections in a row, and counts anew after an answer', () => {
  const failed = unavailable('connect');
  expect(observeAll([failed, failed, accepted, failed, failed, failed])).toEqual([
    null,
    null,
    null,
    null,
    null,
    { reason: 'CONNECT', sample: [] },
  ]);
});

test('more than a fifth of twenty refused opens it and names whose suppressions are held', () => {
  const good = Array<SendOutcome>(15).fill(accepted);
  expect(observeAll([...good, accepted, ...Array<SendOutcome>(4).fill(refused)]).every((trip) => trip === null)).toBe(
    true,
  );
  const trips = observeAll([...good, ...Array<SendOutcome>(5).fill(refused)]);
  expect(trips.at(-1)).toEqual({
    reason: 'PERMANENT_FAILURES',
    sample: [15, 16, 17, 18, 19].map((index) => `row ${index}`),
  });
  expect(trips.slice(0, -1).every((trip) => trip === null)).toBe(true);
});

test('the sample slides: it is the last twenty answers, whatever came between them', () => {
  const other = fc.constantFrom<SendOutcome>(
    { kind: 'throttled', retryAfterMs: null, code: 421, enhanced: null, reply: '' },
    { kind: 'not-sent', cause: 'stopped', inData: false },
    { kind: 'unknown', cause: '' },
  );
  const answers = fc.oneof({ weight: 6, arbitrary: fc.constant(accepted) }, fc.constant(refused), other);
  fc.assert(
    fc.property(fc.array(answers, { maxLength: 200 }), (outcomes) => {
      const watch = new BreakerWatch();
      let sample: boolean[] = [];
      for (const [index, outcome] of outcomes.entries()) {
        const trip = watch.observe(`row ${index}`, outcome, SENDER);
        if (outcome.kind === 'accepted' || outcome.kind === 'permanent')
          sample = [...sample, outcome.kind === 'permanent'].slice(-SAMPLE_SIZE);
        const refusals = sample.filter((permanent) => permanent).length;
        const expected = sample.length === SAMPLE_SIZE && refusals * 5 > SAMPLE_SIZE && isAnswer(outcome);
        expect(trip !== null).toBe(expected);
        if (trip) {
          expect(trip.sample).toHaveLength(refusals);
          sample = [];
        }
      }
    }),
  );
});

const isAnswer = (outcome: SendOutcome): boolean => outcome.kind === 'accepted' || outcome.kind === 'permanent';

test('refusals hold back the sender they were for; a provider that cannot be used holds back everyone', () => {
  const watch = new BreakerWatch();
  const trips = observeAll([...Array<SendOutcome>(15).fill(accepted), ...Array<SendOutcome>(5).fill(refused)], watch);
  const trip = trips.at(-1);
  expect([watch.holdsBack(SENDER), watch.holdsBack('other@sender.example')]).toEqual([true, false]);
  if (trip) watch.stored(trip, SENDER);
  expect(watch.holdsBack(SENDER)).toBe(false);
  // Another sender's answers are another sample.
  expect(watch.observe('row', refused, 'other@sender.example')).toBeNull();
  const tls = watch.observe('row', unavailable('tls'), SENDER);
  expect([watch.holdsBack(SENDER), watch.holdsBack('other@sender.example')]).toEqual([true, true]);
  if (tls) watch.stored(tls, SENDER);
  expect(watch.holdsBack('other@sender.example')).toBe(false);
});

test('probes come later each time it opens again, up to a limit of its reason', () => {
  expect([1, 2, 3, 20].map((openings) => probeDelayMs('CONNECT', openings) / 1000)).toEqual([2, 4, 8, 60]);
  expect([1, 20].map((openings) => probeDelayMs('AUTHENTICATION', openings) / 1000)).toEqual([30, 900]);
  expect(probeDelayMs('PERMANENT_FAILURES', 0)).toBe(300_000);
});
