import fc from 'fast-check';
import { BreakerWatch, type BreakerWay, breakerBinds, breakerScope, probeDelayMs, SAMPLE_SIZE } from './breaker';
import type { SendOutcome, UnavailableCause } from './outcome';

const SENDER: BreakerWay = { fromEmail: 'news@sender.example', ip: null };
const OTHER: BreakerWay = { fromEmail: 'other@sender.example', ip: null };
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
  expect([watch.holdsBack(SENDER), watch.holdsBack(OTHER)]).toEqual([true, false]);
  if (trip) watch.stored(trip, SENDER);
  expect(watch.holdsBack(SENDER)).toBe(false);
  // Another sender's answers are another sample.
  expect(watch.observe('row', refused, OTHER)).toBeNull();
  const tls = watch.observe('row', unavailable('tls'), SENDER);
  expect([watch.holdsBack(SENDER), watch.holdsBack(OTHER)]).toEqual([true, true]);
  if (tls) watch.stored(tls, SENDER);
  expect(watch.holdsBack(OTHER)).toBe(false);
});

describe('through a dedicated IP', () => {
  const through = (id: string, differsIn: 'server' | 'login' | 'pool' | null): BreakerWay => ({
    fromEmail: SENDER.fromEmail,
    ip: { id, differsIn },
  });
  const failed = { authentication: 'AUTHENTICATION', tls: 'TLS', connect: 'CONNECT', protocol: 'PROTOCOL' } as const;

  test.each([
    ['a log-in of its own', 'login', ['authentication']],
    ['a server of its own', 'server', ['authentication', 'tls', 'connect', 'protocol']],
    ['a pool of its own', 'pool', ['protocol']],
    ['nothing of its own', null, []],
  ] as const)('with %s', (_, differsIn, alone) => {
    const [one, two] = [through('one', differsIn), through('two', differsIn)];
    for (const [cause, reason] of Object.entries(failed) as [UnavailableCause, (typeof failed)[UnavailableCause]][]) {
      const watch = new BreakerWatch();
      const trips = [1, 2, 3].map((n) => watch.observe(`row ${n}`, unavailable(cause), one));
      const trip = trips.find((found) => found !== null);
      const isAlone = alone.some((expected) => expected === cause);
      expect(trip?.reason).toBe(reason);
      expect([one, two, SENDER].map((way) => watch.holdsBack(way))).toEqual([true, !isAlone, !isAlone]);
      if (trip) watch.stored(trip, one);
      expect(watch.holdsBack(one)).toBe(false);
    }
  });

  test('with a log-in of its own the provider’s wrong one holds nothing back, its lost server does', () => {
    const watch = new BreakerWatch();
    const own = through('one', 'login');
    const refusedLogin = watch.observe('row', unavailable('authentication'), SENDER);
    expect([watch.holdsBack(SENDER), watch.holdsBack(own)]).toEqual([true, false]);
    for (const n of [1, 2, 3]) watch.observe(`row ${n}`, unavailable('connect'), SENDER);
    expect(watch.holdsBack(own)).toBe(true);
    // The one that is stored first is not the other.
    if (refusedLogin) watch.stored(refusedLogin, SENDER);
    expect(watch.holdsBack(own)).toBe(true);
  });

  test('failed connections are counted for each server by itself', () => {
    const watch = new BreakerWatch();
    const [one, two] = [through('one', 'server'), through('two', 'server')];
    const trips = [one, two, SENDER, one, two, SENDER].map((way) => watch.observe('row', unavailable('connect'), way));
    expect(trips.every((trip) => trip === null)).toBe(true);
    // An answer of one says nothing about the other.
    watch.observe('row', accepted, one);
    expect(watch.observe('row', unavailable('connect'), one)).toBeNull();
    expect(watch.observe('row', unavailable('connect'), two)).toMatchObject({ reason: 'CONNECT' });
    expect([one, two, SENDER].map((way) => watch.holdsBack(way))).toEqual([false, true, false]);
  });

  test('whatever opens on a way binds that way, and what it binds would have opened it', () => {
    const ip = fc.option(
      fc.record({
        id: fc.constantFrom('one', 'two'),
        differsIn: fc.constantFrom('server' as const, 'login' as const, 'pool' as const, null),
      }),
      { nil: null },
    );
    const way = fc.record({ fromEmail: fc.constantFrom('a@x.example', 'b@x.example'), ip });
    const reasons = fc.constantFrom(...Object.values(failed), 'PERMANENT_FAILURES' as const);
    fc.assert(
      fc.property(way, way, reasons, (met, other, reason) => {
        const scope = breakerScope(reason, met.ip);
        const breaker = {
          fromEmail: scope === 'sender' ? met.fromEmail : null,
          ipId: scope === 'ip' ? (met.ip?.id ?? null) : null,
          reason,
        };
        expect(breakerBinds(breaker, met)).toBe(true);
        const same = { sender: other.fromEmail === met.fromEmail, ip: other.ip?.id === met.ip?.id };
        const expected =
          scope === 'sender' ? same.sender : scope === 'ip' ? same.ip : breakerScope(reason, other.ip) === 'provider';
        expect(breakerBinds(breaker, other)).toBe(expected);
      }),
    );
  });
});

test('probes come later each time it opens again, up to a limit of its reason', () => {
  expect([1, 2, 3, 20].map((openings) => probeDelayMs('CONNECT', openings) / 1000)).toEqual([2, 4, 8, 60]);
  expect([1, 20].map((openings) => probeDelayMs('AUTHENTICATION', openings) / 1000)).toEqual([30, 900]);
  expect(probeDelayMs('PERMANENT_FAILURES', 0)).toBe(300_000);
});
