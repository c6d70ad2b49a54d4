import fc from 'fast-check';
import { alignmentOf } from './alignment';
import type { RouteCandidate, RouteRecipient, RoutingPolicy } from './candidate';
import { choiceDependsOn, chooseRoute, firstChoiceShares } from './choose';

const NOW = 10_000;
const OPEN = { dkim: false, spf: false, closed: false };

function candidate(id: string, more: Partial<RouteCandidate> = {}): RouteCandidate {
  const health = { overall: null, byGroup: new Map<string, number>() };
  const known = { id, providerId: `provider-${id}`, weight: 1, priority: 5, mxGroups: [], health };
  return { ...known, alignment: OPEN, blocked: null, probe: false, ...more };
}

const policy = (more: Partial<RoutingPolicy> = {}): RoutingPolicy => ({
  strategy: 'priority',
  preferredProviders: [],
  fallbackEnabled: true,
  movesOnCapacity: true,
  ...more,
});
const to = (deliveryId = 'delivery', mxGroup = 'other'): RouteRecipient => ({ deliveryId, mxGroup });
const breaker = { cause: 'BREAKER_OPEN', until: NOW + 700 } as const;
const usedUp = { cause: 'CAPACITY', until: NOW + 60_000 } as const;
const health = (overall: number | null, byGroup: Record<string, number> = {}) => ({
  overall,
  byGroup: new Map(Object.entries(byGroup)),
});

/** The chosen candidate's id, or why there is none. */
function chosen(candidates: RouteCandidate[], rules = policy(), recipient = to()): string | undefined {
  const choice = chooseRoute(candidates, recipient, rules, NOW);
  return choice.kind === 'route' ? candidates[choice.position]?.id : choice.cause;
}

describe('a route is chosen', () => {
  const both = { dkim: true, spf: true, closed: true };
  const neither = { dkim: false, spf: false, closed: true };
  const signed = { dkim: true, spf: false, closed: false };
  test.each<[string, RouteCandidate[], RoutingPolicy, RouteRecipient, string]>([
    ['nothing to choose from', [], policy(), to(), 'NO_SENDER'],
    ['the only one', [candidate('a')], policy(), to(), 'a'],
    [
      'the lowest priority number',
      [candidate('a', { priority: 2 }), candidate('b', { priority: 1 })],
      policy(),
      to(),
      'b',
    ],
    [
      'of equal priority the healthier',
      [candidate('a', { health: health(60) }), candidate('b', { health: health(95) })],
      policy(),
      to(),
      'b',
    ],
    [
      'priority over health while both are well',
      [candidate('a', { priority: 1, health: health(55) }), candidate('b', { health: health(99) })],
      policy(),
      to(),
      'a',
    ],
    [
      'not the one in poor health',
      [candidate('a', { priority: 1, health: health(49) }), candidate('b')],
      policy(),
      to(),
      'b',
    ],
    [
      'poor health over critical',
      [candidate('a', { priority: 1, health: health(29) }), candidate('b', { health: health(31) })],
      policy(),
      to(),
      'b',
    ],
    [
      'health where it was measured for the group',
      [candidate('a', { priority: 1, health: health(90, { gmail: 10 }) }), candidate('b')],
      policy(),
      to('x', 'gmail'),
      'b',
    ],
    [
      'and not for the others',
      [candidate('a', { priority: 1, health: health(90, { gmail: 10 }) }), candidate('b')],
      policy(),
      to('x', 'yahoo'),
      'a',
    ],
    [
      'the one meant for the group',
      [candidate('a', { priority: 1 }), candidate('b', { mxGroups: ['gmail'] })],
      policy(),
      to('x', 'gmail'),
      'b',
    ],
    [
      'a general one before one meant for others',
      [candidate('a', { priority: 1, mxGroups: ['gmail'] }), candidate('b')],
      policy(),
      to('x', 'yahoo'),
      'b',
    ],
    [
      'one meant for others when there is nothing else',
      [candidate('a', { mxGroups: ['gmail'] })],
      policy(),
      to('x', 'yahoo'),
      'a',
    ],
    [
      'the preferred provider first',
      [candidate('a', { priority: 1 }), candidate('b')],
      policy({ preferredProviders: ['provider-b'] }),
      to(),
      'b',
    ],
    [
      'preferred ones in their order',
      [candidate('a'), candidate('b'), candidate('c')],
      policy({ preferredProviders: ['provider-c', 'provider-b'] }),
      to(),
      'c',
    ],
    [
      'the next one when a breaker is open',
      [candidate('a', { priority: 1, blocked: breaker }), candidate('b')],
      policy(),
      to(),
      'b',
    ],
    [
      'the first again when its time has come',
      [candidate('a', { priority: 1, blocked: { ...breaker, until: NOW } }), candidate('b')],
      policy(),
      to(),
      'a',
    ],
    [
      'nothing without fallback',
      [candidate('a', { priority: 1, blocked: breaker }), candidate('b')],
      policy({ fallbackEnabled: false }),
      to(),
      'BREAKER_OPEN',
    ],
    [
      'the next one when the day is used up',
      [candidate('a', { priority: 1, blocked: usedUp }), candidate('b')],
      policy(),
      to(),
      'b',
    ],
    [
      'nothing where caps are waited for',
      [candidate('a', { priority: 1, blocked: usedUp }), candidate('b')],
      policy({ movesOnCapacity: false }),
      to(),
      'CAPACITY',
    ],
    [
      'the next all the same for a breaker',
      [candidate('a', { priority: 1, blocked: breaker }), candidate('b')],
      policy({ movesOnCapacity: false }),
      to(),
      'b',
    ],
    [
      'nothing when all are blocked',
      [candidate('a', { blocked: breaker }), candidate('b', { blocked: usedUp })],
      policy(),
      to(),
      'BREAKER_OPEN',
    ],
    [
      'a provider that is named for the domain',
      [candidate('a', { priority: 1, alignment: neither }), candidate('b', { alignment: both })],
      policy(),
      to(),
      'b',
    ],
    [
      'nothing that is not named for the domain',
      [candidate('a', { alignment: neither }), candidate('b', { alignment: { ...both, spf: false } })],
      policy(),
      to(),
      'MISALIGNED',
    ],
    [
      'no failover that loses the signature',
      [candidate('a', { priority: 1, alignment: signed, blocked: breaker }), candidate('b')],
      policy(),
      to(),
      'BREAKER_OPEN',
    ],
    [
      'a failover that keeps the signature',
      [
        candidate('a', { priority: 1, alignment: signed, blocked: breaker }),
        candidate('b'),
        candidate('c', { priority: 9, alignment: signed }),
      ],
      policy(),
      to(),
      'c',
    ],
  ])('%s', (_, candidates, rules, recipient, expected) => {
    expect(chosen(candidates, rules, recipient)).toBe(expected);
    expect(chosen([...candidates].reverse(), rules, recipient)).toBe(expected);
  });

  test('with the reason, and a probe is one', () => {
    const candidates = [
      candidate('a', { priority: 1, blocked: breaker }),
      candidate('b', { mxGroups: ['gmail'], blocked: breaker }),
      candidate('c', { weight: 3, mxGroups: ['gmail'], probe: true }),
    ];
    const rules = policy({ preferredProviders: ['provider-b', 'provider-c'], strategy: 'weighted' });
    expect(chooseRoute(candidates, to('x', 'gmail'), rules, NOW)).toEqual({
      kind: 'route',
      position: 2,
      reason: 'weight 3; preferred provider; for gmail; failover: BREAKER_OPEN; probe of an open breaker',
      probe: true,
    });
  });

  test('or else with the time until it is worth another look', () => {
    const candidates = [
      candidate('a', { blocked: { ...usedUp, until: NOW + 900 } }),
      candidate('b', { blocked: breaker }),
    ];
    const expected = { kind: 'none', cause: 'BREAKER_OPEN', retryInMs: 700 };
    expect(chooseRoute(candidates, to(), policy(), NOW)).toEqual(expected);
  });
});

describe('shares', () => {
  const deliveries = Array.from({ length: 20_000 }, (_, n) =>
    to(`0199a1b2-0000-7000-8000-${String(n).padStart(12, '0')}`),
  );
  const share = (id: string, candidates: RouteCandidate[], rules: RoutingPolicy) =>
    deliveries.filter((delivery) => chosen(candidates, rules, delivery) === id).length / deliveries.length;

  test('follow the weights, and a blocked one is shared out by the weights of the others', () => {
    const weights = [candidate('a'), candidate('b', { weight: 3 }), candidate('c', { weight: 4 })];
    expect(share('b', weights, policy({ strategy: 'weighted' }))).toBeCloseTo(3 / 8, 1);
    expect(share('c', weights, policy({ strategy: 'weighted' }))).toBeCloseTo(4 / 8, 1);
    const two = weights.map((entry) => (entry.id === 'c' ? { ...entry, blocked: breaker } : entry));
    expect(share('b', two, policy({ strategy: 'weighted' }))).toBeCloseTo(3 / 4, 1);
  });

  test('are less for worse health', () => {
    const pair = [candidate('a', { health: health(100) }), candidate('b', { health: health(50) })];
    expect(share('a', pair, policy({ strategy: 'weighted' }))).toBeCloseTo(2 / 3, 1);
  });

  test('are equal in a round-robin, whatever the weights', () => {
    const pair = [candidate('a', { weight: 9 }), candidate('b')];
    expect(share('a', pair, policy({ strategy: 'round-robin' }))).toBeCloseTo(1 / 2, 1);
  });
});

describe('expected shares of first choices', () => {
  const expected = (candidates: RouteCandidate[], rules: RoutingPolicy, group = 'other'): Record<string, number> =>
    Object.fromEntries(
      [...firstChoiceShares(candidates, group, rules)].map(([position, part]) => [candidates[position]?.id, part]),
    );

  test('are the weights, lowered by health, of those that come first', () => {
    const members = [
      candidate('a', { weight: 1 }),
      candidate('b', { weight: 4, health: health(50) }),
      candidate('c', { weight: 9, health: health(20) }),
      candidate('d', { weight: 7, mxGroups: ['gmail'] }),
    ];
    expect(expected(members, policy({ strategy: 'weighted' }))).toEqual({ a: 1 / 3, b: 2 / 3 });
    expect(expected(members, policy({ strategy: 'weighted' }), 'gmail')).toEqual({ d: 1 });
    expect(expected(members, policy({ strategy: 'round-robin' }))).toEqual({ a: 1 / 2, b: 1 / 2 });
    expect(expected(members, policy({ strategy: 'round-robin', preferredProviders: ['provider-b'] }))).toEqual({
      b: 1,
    });
    expect(expected(members, policy())).toEqual({ a: 1 });
    expect(expected([], policy())).toEqual({});
    const ill = [candidate('a', { health: health(0) }), candidate('b', { health: health(0) })];
    expect(expected(ill, policy({ strategy: 'weighted' }))).toEqual({ a: 1 });
  });

  test('are those that messages then have', () => {
    const members = [candidate('a'), candidate('b', { weight: 3 }), candidate('c', { weight: 4, health: health(60) })];
    const rules = policy({ strategy: 'weighted' });
    const found = new Map<string, number>();
    for (let n = 0; n < 20_000; n += 1) {
      const id = chosen(members, rules, to(`0199a1b2-0000-7000-8000-${String(n).padStart(12, '0')}`)) ?? '';
      found.set(id, (found.get(id) ?? 0) + 1 / 20_000);
    }
    for (const [id, part] of Object.entries(expected(members, rules))) expect(found.get(id)).toBeCloseTo(part, 1);
  });
});

describe('whatever the candidates', () => {
  const score = fc.option(fc.integer({ min: 0, max: 100 }), { nil: null });
  const alignment = fc.record({ dkim: fc.boolean(), spf: fc.boolean(), closed: fc.boolean() });
  const blocked = fc.option(
    fc.record({
      cause: fc.constantFrom('BREAKER_OPEN' as const, 'CAPACITY' as const),
      until: fc.integer({ min: 0, max: 2 * NOW }),
    }),
    { nil: null },
  );
  const any = fc
    .record({
      weight: fc.integer({ min: 1, max: 100 }),
      priority: fc.integer({ min: 1, max: 9 }),
      score,
      alignment,
      blocked,
      gmail: fc.boolean(),
    })
    .map(({ score: overall, gmail, ...more }) => ({
      ...more,
      health: health(overall),
      mxGroups: gmail ? ['gmail'] : [],
    }));
  const list = fc.array(any, { maxLength: 6 }).map((items) => items.map((item, n) => candidate(`c${n}`, item)));
  const rules = fc.record({
    strategy: fc.constantFrom('round-robin' as const, 'weighted' as const, 'priority' as const),
    preferredProviders: fc.subarray(['provider-c0', 'provider-c3']),
    fallbackEnabled: fc.boolean(),
    movesOnCapacity: fc.boolean(),
  });
  const recipient = fc.record({ deliveryId: fc.uuid(), mxGroup: fc.constantFrom('gmail', 'other') });

  test('the chosen one takes mail now, authenticates it as well as the first choice, and is the same in any order', () => {
    fc.assert(
      fc.property(list, rules, recipient, (candidates, rule, who) => {
        const open = candidates.map((entry) => ({ ...entry, blocked: null }));
        const first = chooseRoute(open, who, rule, NOW);
        const choice = chooseRoute(candidates, who, rule, NOW);
        expect(chosen([...candidates].reverse(), rule, who)).toBe(chosen(candidates, rule, who));
        if (choice.kind === 'none') return expect(choice.retryInMs).toBeGreaterThan(0);
        const taken = candidates[choice.position];
        const original = first.kind === 'route' ? candidates[first.position] : undefined;
        expect(taken?.blocked === null || (taken?.blocked.until ?? 0) <= NOW).toBe(true);
        expect(taken?.alignment.closed && !(taken.alignment.dkim && taken.alignment.spf)).toBe(false);
        expect(Number(taken?.alignment.dkim)).toBeGreaterThanOrEqual(Number(original?.alignment.dkim));
        expect(Number(taken?.alignment.spf)).toBeGreaterThanOrEqual(Number(original?.alignment.spf));
        if (!rule.fallbackEnabled) expect(taken?.id).toBe(original?.id);
      }),
      { numRuns: 500 },
    );
  });

  test('one choice holds for all messages where it is said to', () => {
    fc.assert(
      fc.property(list, rules, recipient, recipient, (candidates, rule, one, other) => {
        const depends = choiceDependsOn(candidates, rule);
        if (depends === 'row' || (depends === 'group' && one.mxGroup !== other.mxGroup)) return;
        expect(chosen(candidates, rule, one)).toBe(chosen(candidates, rule, other));
      }),
      { numRuns: 500 },
    );
  });
});

describe('alignment', () => {
  const known = { providers: [{ providerId: 'p', dkim: true, spf: true }] };
  test.each([
    ['of a domain nobody declared', 'example.com', 'p', null, null, OPEN],
    ['of a declared provider', 'example.com', 'p', null, known, { dkim: true, spf: true, closed: true }],
    ['of another provider', 'example.com', 'q', null, known, { dkim: false, spf: false, closed: true }],
    [
      'by a signature of the domain',
      'example.com',
      'q',
      'Example.com',
      known,
      { dkim: true, spf: false, closed: true },
    ],
    ['by a signature of the parent', 'news.example.com', 'q', 'example.com', null, { ...OPEN, dkim: true }],
    ['by a signature of a child', 'example.com', 'q', 'news.example.com', null, { ...OPEN, dkim: true }],
    ['not by a signature of somebody else', 'example.com', 'q', 'notexample.com', null, OPEN],
    ['not by a top-level domain', 'example.com', 'q', 'com', null, OPEN],
  ])('%s', (_, fromDomain, provider, signsAs, authentication, expected) => {
    expect(alignmentOf(fromDomain, provider, signsAs, authentication)).toEqual(expected);
  });
});
