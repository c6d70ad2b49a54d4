import fc from 'fast-check';
import { nextOpening, type SendWindow } from '../../campaigns';
import type { Way } from '../../senders';
import { localDate } from '../../shared/zones';
import { firstRollingHour, windowOf } from '../capacity';
import type { Facts } from '../facts';
import { forecastDelivery } from './simulate';
import type { ForecastRow } from './types';

const MINUTE = 60_000;
const NOW = Date.parse('2027-03-26T16:10:00Z');
const PROVIDER = 'provider-a';

/** What a run may look like: one stream through one provider. */
const scenario = fc.record({
  zone: fc.constantFrom('Europe/Berlin', 'America/Santiago', 'Asia/Kolkata'),
  perSecond: fc.constantFrom(0.5, 2, 10),
  perDay: fc.option(fc.integer({ min: 50, max: 4_000 }), { nil: null }),
  per24Hours: fc.option(fc.integer({ min: 50, max: 4_000 }), { nil: null }),
  window: fc.option(
    fc.record({
      start: fc.constantFrom('02:30', '09:00', '22:00'),
      end: fc.constantFrom('03:30', '17:30', '24:00'),
      timezone: fc.constantFrom('Europe/Berlin', 'America/New_York'),
    }),
    { nil: null },
  ),
  rows: fc.integer({ min: 1, max: 120 }),
  weight: fc.constantFrom(1, 7, 90),
  refused: fc.integer({ min: 0, max: 10 }),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never;

const DAYS = 5;

function forecastOf({ zone, perSecond, perDay, per24Hours, window, rows, weight, refused }: Scenario) {
  const way: Way = {
    candidate: {
      ...{ id: PROVIDER, providerId: PROVIDER, weight: 1, priority: 1, mxGroups: [] },
      ...{ health: { overall: null, byGroup: new Map() }, alignment: { dkim: false, spf: false, closed: false } },
      ...{ blocked: null, probe: false },
    },
    sender: { kind: 'installation', workspaceId: 'w', providerId: PROVIDER as never },
    ...{ from: null, fromEmail: 'news@shop.example', ip: null },
    caps: [
      ...(perDay === null ? [] : [{ kind: 'provider-day' as const, resourceId: PROVIDER, limit: perDay }]),
      ...(per24Hours === null ? [] : [{ kind: 'provider-hour' as const, resourceId: PROVIDER, limit: per24Hours }]),
    ],
  };
  const policy = {
    strategy: 'priority',
    preferredProviders: [],
    fallbackEnabled: true,
    movesOnCapacity: true,
  } as const;
  const ways = { ways: [way], policy, depends: 'nothing', asksForGroup: false } as const;
  const facts = (consent: 'granted' | null): Facts => ({
    ...{ messageClass: 'bulk', source: { stream: 'ACTIVE', window, open: true }, expiresAt: null, approval: 'valid' },
    ...{ contact: { erased: false, status: 'ACTIVE' }, suppression: null, consent, categorySubscribed: true },
    ...{ frequency: null, slotUntil: null, optInMails: [] },
  });
  const row = (n: number): ForecastRow => ({
    ...{ deliveryId: `d${n}`, streamId: 'own', routingGroup: 'other', ways, notBefore: NOW, weight },
    mxGroup: ['gmail', 'other'][n % 2] ?? 'other',
    facts: facts(n < refused ? null : 'granted'),
  });
  return forecastDelivery({
    ...{
      now: NOW,
      until: NOW + DAYS * 24 * 60 * MINUTE,
      zone,
      partBy: 'day',
      groupSize: 32,
      groups: ['gmail', 'other'],
    },
    streams: [{ id: 'own', laneId: 'lane', isOwn: true }],
    rows: Array.from({ length: rows + refused }, (_, n) => row(n)),
    ...{ used: new Map(), nextSlotAt: new Map(), breakers: [], throttles: new Map(), speedOf: () => perSecond },
  });
}

/** The same minute by minute, by nothing but the definitions of the limits: messages by local day. */
function minuteByMinute({ zone, perSecond, perDay, per24Hours, window, rows, weight }: Scenario): Map<string, number> {
  const days = new Map<string, number>();
  const hours = new Map<string, number>();
  let left = rows * weight;
  for (let at = NOW; left > 0 && at < NOW + DAYS * 24 * 60 * MINUTE; at += MINUTE) {
    const moment = new Date(at);
    if (window !== null && !nextOpening(window as SendWindow, moment).open) continue;
    const day = localDate(zone, moment);
    const first = firstRollingHour(moment);
    const rolling = [...hours].filter(([hour]) => hour >= first).reduce((sum, [, n]) => sum + n, 0);
    const room = Math.min(
      (perDay ?? Number.POSITIVE_INFINITY) - (days.get(day) ?? 0),
      (per24Hours ?? Number.POSITIVE_INFINITY) - rolling,
    );
    const sent = Math.max(0, Math.min(left, perSecond * 60, room));
    const hour = windowOf('provider-hour', moment, '');
    days.set(day, (days.get(day) ?? 0) + sent);
    hours.set(hour, (hours.get(hour) ?? 0) + sent);
    left -= sent;
  }
  return days;
}

test('whatever the limits: nothing is lost, no limit is exceeded, and the days are those of going minute by minute', () => {
  fc.assert(
    fc.property(scenario, (given) => {
      const { parts, refused, waiting } = forecastOf(given);
      const days = new Map<string, number>();
      for (const { date, messages } of parts) days.set(date, (days.get(date) ?? 0) + messages);
      const all = (counts: Iterable<number>) => [...counts].reduce((sum, n) => sum + n, 0);
      expect(all(refused.values())).toBeCloseTo(given.refused * given.weight, 3);
      const total = (given.rows + given.refused) * given.weight;
      expect(all(days.values()) + all(refused.values()) + all(waiting.values())).toBeCloseTo(total, 3);
      for (const messages of days.values()) {
        expect(messages).toBeLessThanOrEqual((given.perDay ?? Number.POSITIVE_INFINITY) + 1e-3);
      }
      const expected = minuteByMinute(given);
      for (const date of new Set([...days.keys(), ...expected.keys()])) {
        const messages = expected.get(date) ?? 0;
        // Two minutes of sending, or a twentieth.
        const tolerance = Math.max(messages * 0.05, given.perSecond * 120);
        expect(Math.abs((days.get(date) ?? 0) - messages)).toBeLessThanOrEqual(tolerance + 1e-3);
      }
    }),
    { numRuns: 25 },
  );
});
