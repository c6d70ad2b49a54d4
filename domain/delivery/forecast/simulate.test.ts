import type { RouteCandidate, RoutingPolicy, Way, Ways } from '../../senders';
import type { Facts } from '../facts';
import { forecastDelivery } from './simulate';
import type { Forecast, ForecastInput, ForecastRow } from './types';

const SECOND = 1_000;
const HOUR = 3_600_000;
const NOON = Date.parse('2027-03-02T11:00:00Z');
const PROVIDER = 'provider-a';

const FACTS: Facts = {
  messageClass: 'bulk',
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

const POLICY: RoutingPolicy = {
  strategy: 'priority',
  preferredProviders: [],
  fallbackEnabled: true,
  movesOnCapacity: true,
};

interface WayOptions extends Partial<Pick<RouteCandidate, 'weight' | 'priority' | 'mxGroups' | 'alignment'>> {
  perDay?: number;
  per24Hours?: number;
}

function way(providerId: string, { perDay, per24Hours, ...more }: WayOptions = {}): Way {
  const caps = [
    ...(perDay === undefined ? [] : [{ kind: 'provider-day' as const, resourceId: providerId, limit: perDay }]),
    ...(per24Hours === undefined
      ? []
      : [{ kind: 'provider-hour' as const, resourceId: providerId, limit: per24Hours }]),
  ];
  return {
    candidate: {
      ...{ id: providerId, providerId, weight: 1, priority: 1, mxGroups: [] },
      ...{ health: { overall: null, byGroup: new Map() }, alignment: { dkim: false, spf: false, closed: false } },
      ...{ blocked: null, probe: false },
      ...more,
    },
    sender: { kind: 'installation', workspaceId: 'w', providerId: providerId as never },
    from: null,
    fromEmail: 'news@shop.example',
    ip: null,
    caps,
  };
}

function waysOver(ways: Way[], policy: Partial<RoutingPolicy> = {}): Ways {
  const depends = ways.length > 1 ? 'row' : 'nothing';
  return { ways, policy: { ...POLICY, ...policy }, depends, asksForGroup: false };
}

interface Some extends Partial<Omit<ForecastRow, 'facts'>> {
  facts?: Partial<Facts>;
}

/** So many rows, one after the other in the queue. */
function rows(count: number, ways: Ways, { facts, ...more }: Some = {}): ForecastRow[] {
  return Array.from({ length: count }, (_, n) => ({
    deliveryId: `d-${more.streamId ?? 'own'}-${n}`,
    streamId: 'own',
    mxGroup: 'other',
    routingGroup: 'other',
    ways,
    facts: { ...FACTS, ...facts },
    notBefore: NOON,
    weight: 1,
    ...more,
  }));
}

function forecast(input: Partial<ForecastInput> & Pick<ForecastInput, 'rows'>): Forecast {
  return forecastDelivery({
    now: NOON,
    until: NOON + 14 * 24 * HOUR,
    zone: 'Europe/Berlin',
    partBy: 'day',
    streams: [
      { id: 'own', laneId: 'lane', isOwn: true },
      { id: 'other', laneId: 'lane', isOwn: false },
    ],
    used: new Map(),
    nextSlotAt: new Map(),
    breakers: [],
    throttles: new Map(),
    speedOf: () => 20,
    groupSize: 32,
    groups: ['gmail', 'outlook', 'other'],
    ...input,
  });
}

/** Day, group, provider, messages, and when the first and the last go, in seconds from the first part's beginning. */
function told({ parts }: Forecast) {
  return parts.map((part) => {
    const seconds = (at: number) => Math.round((at - NOON) / SECOND);
    return [part.date, part.mxGroup, part.providerId, part.messages, seconds(part.firstAt), seconds(part.lastAt)];
  });
}

test('a pace alone: one message after the other', () => {
  const found = forecast({ rows: rows(300, waysOver([way(PROVIDER)])) });
  expect(told(found)).toEqual([['2027-03-02', 'other', PROVIDER, 300, 0, 15]]);
  expect(found.holds).toEqual([]);
  expect(found.waiting).toEqual(new Map());
});

test('a slot that is taken already is waited for', () => {
  const nextSlotAt = new Map([[PROVIDER, NOON + 60 * SECOND]]);
  expect(told(forecast({ rows: rows(20, waysOver([way(PROVIDER)])), nextSlotAt }))).toEqual([
    ['2027-03-02', 'other', PROVIDER, 20, 60, 61],
  ]);
});

test('what others have queued on the same provider takes its share of the time', () => {
  const ways = waysOver([way(PROVIDER)]);
  const alone = rows(100, ways);
  const found = forecast({ rows: [...alone, ...rows(1_000, ways, { streamId: 'other' })] });
  expect(told(found)).toEqual([['2027-03-02', 'other', PROVIDER, 100, 0, 10]]);
  expect(found.others).toBe(1_000);
  // A sample counts for all that it stands for.
  const sampled = forecast({ rows: [...alone, ...rows(10, ways, { streamId: 'other', weight: 100 })] });
  expect(told(sampled)[0]?.[5]).toBeCloseTo(10, -1);
});

test('a daily limit: the rest goes from local midnight on, less what is used today', () => {
  const used = new Map([[`provider-day ${PROVIDER} 2027-03-02`, 40]]);
  const found = forecast({ rows: rows(450, waysOver([way(PROVIDER, { perDay: 200 })])), used });
  const midnight = (Date.parse('2027-03-03T00:00:00+01:00') - NOON) / SECOND;
  expect(told(found)).toEqual([
    ['2027-03-02', 'other', PROVIDER, 160, 0, 8],
    ['2027-03-03', 'other', PROVIDER, 200, midnight, midnight + 10],
    ['2027-03-04', 'other', PROVIDER, 90, midnight + 86_400, midnight + 86_400 + 4],
  ]);
  expect(found.holds).toMatchObject([
    { reason: 'CAPACITY', to: NOON + midnight * SECOND, messages: 290, mxGroups: ['other'] },
    { reason: 'CAPACITY', messages: 90 },
  ]);
});

test('days of a limit are the workspace’s, also where midnight does not exist', () => {
  // Cairo skips 00:00 to 01:00 on 30 April 2027.
  const now = Date.parse('2027-04-29T20:00:00+02:00');
  const limited = rows(30, waysOver([way(PROVIDER, { perDay: 20 })]), { notBefore: now });
  const { parts } = forecast({ rows: limited, zone: 'Africa/Cairo', now, until: now + 3 * 24 * HOUR });
  expect(parts.map(({ date, messages, firstAt }) => [date, messages, new Date(firstAt).toISOString()])).toEqual([
    ['2027-04-29', 20, '2027-04-29T18:00:00.000Z'],
    ['2027-04-30', 10, '2027-04-29T22:00:00.000Z'],
  ]);
});

test('a limit of a rolling 24 hours gives places back hour by hour', () => {
  const hour = (ago: number) => `provider-hour ${PROVIDER} ${new Date(NOON - ago * HOUR).toISOString().slice(0, 13)}`;
  const used = new Map([
    [hour(23), 60],
    [hour(5), 40],
  ]);
  const limited = rows(120, waysOver([way(PROVIDER, { per24Hours: 110 })]));
  // A bucket counts until its last message is 24 hours old, those of the forecast like those of the past.
  expect(
    told(forecast({ rows: limited, used, partBy: 'hour' })).map((part) => [part[3], Number(part[4]) / 3_600]),
  ).toEqual([
    [10, 0],
    [60, 2],
    [40, 20],
    [10, 25],
  ]);
});

test('a window: what does not go before it closes goes when it opens again', () => {
  const window = { start: '09:00', end: '12:00', timezone: 'Europe/Berlin', weekdays: [2, 4] };
  const facts = { source: { stream: 'ACTIVE', window, open: true } } as const;
  const now = Date.parse('2027-03-02T11:59:50+01:00');
  const waiting = rows(300, waysOver([way(PROVIDER)]), { facts, notBefore: now });
  const found = forecast({ rows: waiting, now, partBy: 'hour' });
  expect(found.parts.map(({ date, hour, messages }) => [date, hour, messages])).toEqual([
    ['2027-03-02', 11, 200],
    ['2027-03-04', 9, 100],
  ]);
  expect(found.holds).toEqual([
    {
      reason: 'OUTSIDE_SEND_WINDOW',
      from: Date.parse('2027-03-02T12:00:00+01:00'),
      to: Date.parse('2027-03-04T09:00:00+01:00'),
      mxGroups: ['other'],
      messages: 100,
    },
  ]);
});

test('checks take their part by reason, at the moment at which a message would go', () => {
  const ways = waysOver([way(PROVIDER, { perDay: 15 })]);
  const frequency = { limit: 'DAILY', zone: 'Europe/Berlin', lastAt: new Date(NOON - HOUR) } as const;
  const found = forecast({
    rows: [
      ...rows(10, ways),
      ...rows(3, ways, { facts: { consent: null } }),
      ...rows(2, ways, { facts: { suppression: { scope: 'address', reason: 'BOUNCE' } } }),
      ...rows(5, ways, { facts: { frequency } }),
      ...rows(10, ways),
      // These are asked tomorrow.
      ...rows(4, ways, { facts: { frequency } }),
    ],
  });
  expect(found.refused).toEqual(
    new Map([
      ['CONSENT_MISSING', 3],
      ['SUPPRESSED_ADDRESS', 2],
      ['FREQUENCY_LIMIT', 5],
    ]),
  );
  expect(told(found).map(([date, , , messages]) => [date, messages])).toEqual([
    ['2027-03-02', 15],
    ['2027-03-03', 9],
  ]);
});

describe('several routes', () => {
  const second = 'provider-b';
  const breaker = { providerId: PROVIDER, fromEmail: null, ipId: null, reason: null, until: NOON + 2 * HOUR };
  const signed = { dkim: true, spf: true, closed: false };

  test('weights deal out, and each provider has a pace of its own', () => {
    const ways = waysOver([way(PROVIDER, { weight: 3 }), way(second)], { strategy: 'weighted' });
    const found = forecast({ rows: rows(4_000, ways), speedOf: (id) => (id === PROVIDER ? 30 : 5) });
    const [first, other] = found.parts;
    expect(first?.messages).toBeGreaterThan(2_850);
    expect(first?.messages).toBeLessThan(3_150);
    expect((first?.messages ?? 0) + (other?.messages ?? 0)).toBe(4_000);
    const duration = (part: typeof first) => ((part?.lastAt ?? 0) - (part?.firstAt ?? 0)) / SECOND;
    expect(duration(first)).toBeCloseTo((first?.messages ?? 0) / 30, -1);
    expect(duration(other)).toBeCloseTo((other?.messages ?? 0) / 5, -1);
  });

  test('an open breaker: the next one takes the messages', () => {
    const ways = waysOver([way(PROVIDER), way(second, { priority: 2 })]);
    const found = forecast({ rows: rows(100, ways), breakers: [breaker] });
    expect(told(found).map(([, , providerId, messages]) => [providerId, messages])).toEqual([[second, 100]]);
  });

  test('an open breaker that may not be gone around holds until its next probe', () => {
    const loses = waysOver([way(PROVIDER, { alignment: signed }), way(second, { priority: 2 })]);
    const pinned = waysOver([way(PROVIDER), way(second, { priority: 2 })], { fallbackEnabled: false });
    for (const ways of [loses, pinned]) {
      const found = forecast({ rows: rows(100, ways), breakers: [breaker] });
      expect(told(found)).toEqual([['2027-03-02', 'other', PROVIDER, 100, 7_200, 7_205]]);
      expect(found.holds).toMatchObject([{ reason: 'BREAKER_OPEN', from: NOON, to: NOON + 2 * HOUR, messages: 100 }]);
    }
  });

  test('a breaker of another sender holds nothing', () => {
    const ways = waysOver([way(PROVIDER)]);
    const found = forecast({ rows: rows(10, ways), breakers: [{ ...breaker, fromEmail: 'other@shop.example' }] });
    expect(told(found)).toEqual([['2027-03-02', 'other', PROVIDER, 10, 0, 0]]);
  });

  test('a used-up limit is a reason to move on in a pool only', () => {
    const ways = (movesOnCapacity: boolean) =>
      waysOver([way(PROVIDER, { perDay: 30 }), way(second, { priority: 2 })], { movesOnCapacity });
    const providers = (movesOnCapacity: boolean) =>
      told(forecast({ rows: rows(100, ways(movesOnCapacity)), until: NOON + 24 * HOUR })).map((part) => [
        part[2],
        part[3],
      ]);
    expect(providers(true)).toEqual([
      [PROVIDER, 30],
      [second, 70],
    ]);
    expect(providers(false)).toEqual([
      [PROVIDER, 30],
      [PROVIDER, 30],
    ]);
  });
});

describe('what does not go at all', () => {
  test('no sender, none that keeps the From address in line: for ever', () => {
    const none = forecast({ rows: rows(7, waysOver([])) });
    expect(none.waiting).toEqual(new Map([['NO_SENDER', 7]]));
    expect(none.holds).toMatchObject([{ reason: 'NO_SENDER', from: NOON, to: null, messages: 7 }]);
    const closed = { alignment: { dkim: true, spf: false, closed: true } };
    const misaligned = forecast({ rows: rows(7, waysOver([way(PROVIDER, closed)])) });
    expect(misaligned.waiting).toEqual(new Map([['MISALIGNED', 7]]));
  });

  test('what waits beyond its expiry fails, what the end of the forecast cuts off is told', () => {
    const ways = waysOver([way(PROVIDER, { perDay: 10 })]);
    const until = NOON + 24 * HOUR;
    const found = forecast({ rows: rows(50, ways), until });
    expect(found.waiting).toEqual(new Map([['CAPACITY', 30]]));
    const expiresAt = new Date(NOON + 2 * HOUR);
    const expiring = forecast({ rows: rows(50, ways, { facts: { expiresAt } }), until });
    expect(expiring.refused).toEqual(new Map([['EXPIRED', 40]]));
    const slow = forecast({ rows: rows(50, waysOver([way(PROVIDER)])), until: NOON + SECOND });
    expect(slow.waiting).toEqual(new Map([['PACE', 30]]));
  });
});

test('a throttled mailbox provider is left alone until its block ends; the others go on', () => {
  const ways = waysOver([way(PROVIDER)]);
  const throttles = new Map([[`${PROVIDER} news@shop.example  gmail`, { rate: 4, blockedUntil: NOON + 600 * SECOND }]]);
  const found = forecast({
    rows: [...rows(40, ways, { mxGroup: 'gmail' }), ...rows(40, ways)],
    throttles,
  });
  const [other, gmail] = told(found);
  expect(other).toEqual(['2027-03-02', 'other', PROVIDER, 40, 0, 2]);
  expect(gmail?.slice(1, 5)).toEqual(['gmail', PROVIDER, 40, 600]);
  expect(found.holds).toMatchObject([{ reason: 'THROTTLED', to: NOON + 600 * SECOND, mxGroups: ['gmail'] }]);
});
