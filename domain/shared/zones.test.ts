import * as fc from 'fast-check';
import { DateTime } from 'luxon';
import {
  canonicalTimeZone,
  DAY,
  firstInstantAtOrAfter,
  localDate,
  nextLocalMidnight,
  wallAt,
  weekdayOf,
} from './zones';

const ZONES = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Africa/Cairo',
  'Asia/Beirut',
  'America/Havana',
  'America/Santiago',
  'America/St_Johns',
  'Asia/Kathmandu',
  'Pacific/Chatham',
  'Africa/Casablanca',
  'Pacific/Kiritimati',
  'Etc/GMT+12',
];

function utc(text: string): Date {
  return new Date(text);
}

describe('canonicalTimeZone', () => {
  it.each([
    ['Europe/Berlin', 'Europe/Berlin'],
    ['europe/berlin', 'Europe/Berlin'],
    ['UTC', 'UTC'],
    ['America/Argentina/Buenos_Aires', 'America/Argentina/Buenos_Aires'],
  ])('knows %s', (name, canonical) => {
    expect(canonicalTimeZone(name)?.toLowerCase()).toBe(canonical.toLowerCase());
  });

  it.each(['Mars/Olympus', '', '+02:00', 'Europe/Berlin\n', 'UTC+2', '../etc', 'local', 'system'])(
    'refuses %j',
    (name) => {
      expect(canonicalTimeZone(name)).toBeNull();
    },
  );
});

describe('nextLocalMidnight', () => {
  it.each([
    ['Europe/Berlin', '2026-03-28T12:00:00Z', '2026-03-28T23:00:00Z'],
    // Clocks go from 00:00 to 01:00: the day begins at 01:00.
    ['Asia/Beirut', '2024-03-30T12:00:00Z', '2024-03-30T22:00:00Z'],
    ['Africa/Cairo', '2024-04-25T12:00:00Z', '2024-04-25T22:00:00Z'],
    ['America/Havana', '2024-03-09T12:00:00Z', '2024-03-10T05:00:00Z'],
    ['America/Santiago', '2024-09-07T12:00:00Z', '2024-09-08T04:00:00Z'],
    // Clocks go back from 00:00 to 23:00: the evening lasts an hour longer.
    ['Asia/Beirut', '2024-10-26T20:30:00Z', '2024-10-26T22:00:00Z'],
    // 30 December 2011 does not exist in Apia.
    ['Pacific/Apia', '2011-12-29T20:00:00Z', '2011-12-30T10:00:00Z'],
    ['Australia/Lord_Howe', '2024-10-05T20:00:00Z', '2024-10-06T13:00:00Z'],
    ['Asia/Kathmandu', '2024-01-01T18:14:59Z', '2024-01-01T18:15:00Z'],
  ])('%s after %s is %s', (zone, at, expected) => {
    expect(nextLocalMidnight(zone, utc(at)).toISOString()).toBe(utc(expected).toISOString());
  });

  it('finds the second midnight of a night whose clocks go back over it', () => {
    // St John's, until 2011: at 00:01 the clocks went back to 23:01 of the day before.
    const secondEvening = utc('2010-11-07T03:00:00Z');
    expect(localDate('America/St_Johns', secondEvening)).toBe('2010-11-06');
    expect(nextLocalMidnight('America/St_Johns', secondEvening).toISOString()).toBe('2010-11-07T03:30:00.000Z');
  });

  it('is the first instant of a later date, for any zone and instant', () => {
    fc.assert(
      fc.property(instants, fc.constantFrom(...ZONES), (instant, zone) => {
        const at = new Date(instant);
        const midnight = nextLocalMidnight(zone, at);
        expect(midnight.getTime()).toBeGreaterThan(instant);
        expect(localDate(zone, midnight) > localDate(zone, at)).toBe(true);
        expect(localDate(zone, new Date(midnight.getTime() - 1)) <= localDate(zone, at)).toBe(true);
      }),
    );
  });
});

describe('localDate and weekdayOf', () => {
  it('agree with luxon', () => {
    fc.assert(
      fc.property(instants, fc.constantFrom(...ZONES), (instant, zone) => {
        const expected = DateTime.fromMillis(instant, { zone });
        expect(localDate(zone, new Date(instant))).toBe(expected.toISODate());
        expect(weekdayOf(wallAt(zone, instant))).toBe(expected.weekday);
      }),
    );
  });

  it('refuse an unknown zone', () => {
    expect(() => localDate('Mars/Olympus', new Date(0))).toThrow(RangeError);
  });
});

describe('firstInstantAtOrAfter', () => {
  it('finds what a minute-by-minute search finds', () => {
    fc.assert(
      fc.property(changeInstants, fc.integer({ min: -1_440, max: 1_440 }), ({ zone, instant }, minutes) => {
        const wall = Math.floor(wallAt(zone, instant) / 60_000) * 60_000 + minutes * 60_000;
        expect(firstInstantAtOrAfter(zone, wall)).toBe(bySearch(zone, wall));
      }),
      { numRuns: 60 },
    );
  });
});

/** 2005 to 2037, in milliseconds. */
const instants = fc.integer({ min: Date.UTC(2005, 0), max: Date.UTC(2037, 0) });

/** Instants near a change of offset, where the rules matter. */
const changeInstants = fc.constantFrom(
  { zone: 'Europe/Berlin', instant: Date.UTC(2026, 2, 29, 1) },
  { zone: 'Europe/Berlin', instant: Date.UTC(2026, 9, 25, 1) },
  { zone: 'Australia/Lord_Howe', instant: Date.UTC(2024, 3, 6, 15) },
  { zone: 'Australia/Lord_Howe', instant: Date.UTC(2024, 9, 5, 15, 30) },
  { zone: 'Pacific/Apia', instant: Date.UTC(2011, 11, 30, 10) },
  { zone: 'Africa/Cairo', instant: Date.UTC(2024, 3, 25, 22) },
  { zone: 'Asia/Beirut', instant: Date.UTC(2024, 9, 26, 21) },
  { zone: 'America/Havana', instant: Date.UTC(2024, 10, 3, 5) },
  { zone: 'America/St_Johns', instant: Date.UTC(2010, 10, 7, 2, 31) },
);

function bySearch(zone: string, wall: number): number {
  for (let instant = wall - DAY; ; instant += 60_000) {
    const local = DateTime.fromMillis(instant, { zone });
    if (instant + local.offset * 60_000 >= wall) return instant;
  }
}
