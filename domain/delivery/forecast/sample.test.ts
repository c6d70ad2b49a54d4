import type { RouteCandidate, RoutingStrategy, Way, Ways } from '../../senders';
import type { CapacityLimit } from '../capacity';
import type { Facts } from '../facts';
import { forecastDelivery } from './simulate';
import type { ForecastPart, ForecastRow } from './types';

/**
 * A forecast from a sample against the whole: as many messages as a large campaign has, all of them gone through, and the
 * few thousand that `walkAudience` would choose of them. Random, but the same numbers each time.
 */
const MESSAGES = 40_000;
const SAMPLE = 5_000;
const LEAST_OF_GROUP = SAMPLE / 12;
const NOON = Date.parse('2027-03-02T11:00:00Z');
const MINUTE = 60_000;
/** A part may be wrong by what goes out in so many; two minutes are allowed. */
const SECONDS = 15;

/** Mulberry32. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Scenario {
  strategy: RoutingStrategy;
  /** Weight of each provider, and its limit a day. */
  providers: { weight: number; perDay: number | null }[];
  /** Shares of mailbox-provider groups; the rest is other. */
  groups: Record<string, number>;
  /** Share that the checks refuse. */
  refused: number;
  perSecond: number;
  window: { start: string; end: string; timezone: string } | null;
}

function waysOf({ strategy, providers }: Scenario): Ways {
  const ways = providers.map(({ weight, perDay }, n): Way => {
    const providerId = `provider-${n}`;
    const caps: CapacityLimit[] =
      perDay === null ? [] : [{ kind: 'provider-day', resourceId: providerId, limit: perDay }];
    const candidate: RouteCandidate = {
      ...{ id: providerId, providerId, weight, priority: 1, mxGroups: [], blocked: null, probe: false },
      ...{ health: { overall: null, byGroup: new Map() }, alignment: { dkim: false, spf: false, closed: false } },
    };
    const sender = { kind: 'installation', workspaceId: 'w', providerId: providerId as never } as const;
    return { candidate, sender, from: null, fromEmail: 'news@shop.example', ip: null, caps };
  });
  const policy = { strategy, preferredProviders: [], fallbackEnabled: true, movesOnCapacity: true };
  return { ways, policy, depends: ways.length > 1 ? 'row' : 'nothing', asksForGroup: false };
}

const FACTS: Facts = {
  ...{ messageClass: 'bulk', expiresAt: null, approval: 'valid', contact: { erased: false, status: 'ACTIVE' } },
  ...{ suppression: null, consent: 'granted', categorySubscribed: true, frequency: null, slotUntil: null },
  ...{ optInMails: [], source: { stream: 'ACTIVE', window: null, open: true } },
};

function everybody(scenario: Scenario, random: () => number): ForecastRow[] {
  const ways = waysOf(scenario);
  const source = { ...FACTS.source, window: scenario.window };
  const groupOf = (thrown: number): string => {
    let upTo = 0;
    for (const [group, share] of Object.entries(scenario.groups)) {
      upTo += share;
      if (thrown < upTo) return group;
    }
    return 'other';
  };
  return Array.from({ length: MESSAGES }, (_, n) => {
    const group = groupOf(random());
    const consent = random() < scenario.refused ? null : ('granted' as const);
    const facts = { ...FACTS, source, consent };
    const place = { deliveryId: `${n}-${random()}`, streamId: 'own', notBefore: NOON, weight: 1 };
    return { ...place, mxGroup: group, routingGroup: group, ways, facts };
  });
}

/** As `walkAudience` chooses, and as its caller weighs what was chosen. */
function sampleOf(rows: readonly ForecastRow[], random: () => number): ForecastRow[] {
  const hashed = rows.map((row) => ({ row, hash: random() })).sort((a, b) => a.hash - b.hash);
  const sizes = new Map<string, number>();
  for (const { mxGroup } of rows) sizes.set(mxGroup, (sizes.get(mxGroup) ?? 0) + 1);
  const chosen = new Map<string, number>();
  const sample = hashed.filter(({ row: { mxGroup } }, position) => {
    const before = chosen.get(mxGroup) ?? 0;
    const isIn = position < SAMPLE || before < LEAST_OF_GROUP;
    if (isIn) chosen.set(mxGroup, before + 1);
    return isIn;
  });
  return sample.map(({ row }) => ({
    ...row,
    // Of a campaign without rows yet nobody knows the ids by which the dice are thrown.
    deliveryId: `sample ${row.deliveryId}`,
    weight: (sizes.get(row.mxGroup) ?? 0) / (chosen.get(row.mxGroup) ?? 1),
  }));
}

const forecastOf = (rows: ForecastRow[], { perSecond }: Scenario) =>
  forecastDelivery({
    ...{ now: NOON, until: NOON + 30 * 24 * 60 * MINUTE, zone: 'Europe/Berlin', partBy: 'day', groupSize: 32 },
    ...{ used: new Map(), nextSlotAt: new Map(), breakers: [], throttles: new Map(), speedOf: () => perSecond },
    streams: [{ id: 'own', laneId: 'lane', isOwn: true }],
    ...{ rows, groups: ['gmail', 'outlook', 'yahoo', 'gmx', 'other'] },
  });

const nameOf = ({ date, mxGroup, providerId }: ForecastPart) => `${date} ${mxGroup} ${providerId}`;
const sum = (counts: Iterable<number>) => [...counts].reduce((all, n) => all + n, 0);

const GROUPS = { gmail: 0.42, outlook: 0.2, yahoo: 0.08, gmx: 0.02 };
const one = { weight: 1, perDay: null };

test.each<[string, Scenario]>([
  [
    'one provider',
    { strategy: 'priority', providers: [one], groups: GROUPS, refused: 0.1, perSecond: 40, window: null },
  ],
  [
    'one provider with a limit a day and a window',
    {
      ...{ strategy: 'priority', groups: GROUPS, refused: 0.05, perSecond: 20 },
      providers: [{ weight: 1, perDay: 9_000 }],
      window: { start: '09:00', end: '17:00', timezone: 'Europe/Berlin' },
    },
  ],
  [
    'a weighted pool of three',
    {
      ...{ strategy: 'weighted', groups: GROUPS, refused: 0.1, perSecond: 10, window: null },
      providers: [one, { ...one, weight: 3 }, { ...one, weight: 6 }],
    },
  ],
  [
    'a round-robin whose limits a day move messages on',
    {
      ...{ strategy: 'round-robin', groups: GROUPS, refused: 0, perSecond: 20, window: null },
      providers: [
        { weight: 1, perDay: 6_000 },
        { weight: 1, perDay: 12_000 },
      ],
    },
  ],
])('from a sample, over %s: the parts are those of the whole', (_name, scenario) => {
  const random = dice(20_270_302);
  const rows = everybody(scenario, random);
  const whole = forecastOf(rows, scenario);
  const told = forecastOf(sampleOf(rows, random), scenario);

  // Nobody is lost, and what belongs to each mailbox provider is exact but for whom the checks refuse.
  const all = sum(told.parts.map(({ messages }) => messages)) + sum(told.refused.values()) + sum(told.waiting.values());
  expect(all).toBeCloseTo(MESSAGES, 3);
  const parts = new Map(told.parts.map((part) => [nameOf(part), part]));
  const wrong = whole.parts.flatMap((part) => {
    const found = parts.get(nameOf(part));
    const length = part.lastAt - part.firstAt;
    // A twentieth; of what a limit leaves over of a large part, what goes out in a few seconds.
    const most = Math.max(part.messages * 0.05, SECONDS * scenario.perSecond);
    const late = Math.max(2 * MINUTE, length * 0.05);
    const isRight =
      found !== undefined &&
      Math.abs(found.messages - part.messages) <= most &&
      Math.abs(found.firstAt - part.firstAt) <= late &&
      Math.abs(found.lastAt - part.lastAt) <= late;
    const told = (of: ForecastPart | undefined) => of && [Math.round(of.messages), of.firstAt - NOON, of.lastAt - NOON];
    return isRight ? [] : [`${nameOf(part)}: ${told(part)} not ${told(found)}`];
  });
  expect(wrong).toEqual([]);
});
