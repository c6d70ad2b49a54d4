import fc from 'fast-check';
import { type FrequencyLimit, isUsedUp, nextPeriod } from './frequency';

const ZONES = ['UTC', 'Africa/Cairo', 'Australia/Lord_Howe', 'Pacific/Apia', 'America/Havana', 'Asia/Kathmandu'];
const used = (limit: FrequencyLimit, zone: string, last: string, now: string) =>
  isUsedUp({ limit, zone, lastAt: new Date(last) }, new Date(now));

test('nothing is used up before the first message', () => {
  expect(isUsedUp({ limit: 'MONTHLY', zone: 'UTC', lastAt: null }, new Date())).toBe(false);
});

test.each<[FrequencyLimit, string, string, string, boolean]>([
  ['DAILY', 'Europe/Berlin', '2026-06-14T21:59:00Z', '2026-06-14T22:01:00Z', false],
  ['DAILY', 'Europe/Berlin', '2026-06-14T22:01:00Z', '2026-06-15T21:59:00Z', true],
  // An ISO week begins on Monday, and may lie in two years.
  ['WEEKLY', 'UTC', '2026-12-28T00:00:00Z', '2027-01-03T23:59:00Z', true],
  ['WEEKLY', 'UTC', '2027-01-03T23:59:00Z', '2027-01-04T00:00:00Z', false],
  ['MONTHLY', 'America/New_York', '2026-03-01T04:59:00Z', '2026-03-01T05:01:00Z', false],
  ['MONTHLY', 'UTC', '2026-03-01T00:00:00Z', '2026-03-31T23:59:00Z', true],
])('%s in %s: after %s, at %s', (limit, zone, last, now, expected) => {
  expect(used(limit, zone, last, now)).toBe(expected);
});

test('a day that begins without midnight', () => {
  // Cairo, 24 April 2026: 00:00 does not exist, the day begins at 01:00 (+03:00).
  expect(nextPeriod('DAILY', 'Africa/Cairo', new Date('2026-04-23T12:00:00Z'))).toEqual(
    new Date('2026-04-23T22:00:00Z'),
  );
});

test('the next period is the first instant that is not used up, in any zone', () => {
  const moment = fc.date({ min: new Date('2010-01-01'), max: new Date('2035-01-01'), noInvalidDate: true });
  const limit = fc.constantFrom<FrequencyLimit>('DAILY', 'WEEKLY', 'MONTHLY');
  fc.assert(
    fc.property(moment, limit, fc.constantFrom(...ZONES), (now, each, zone) => {
      const next = nextPeriod(each, zone, now);
      expect(next.getTime()).toBeGreaterThan(now.getTime());
      const fact = { limit: each, zone, lastAt: now };
      expect(isUsedUp(fact, next)).toBe(false);
      expect(isUsedUp(fact, new Date(next.getTime() - 1))).toBe(true);
    }),
  );
});
