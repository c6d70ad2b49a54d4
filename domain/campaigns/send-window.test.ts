import * as fc from 'fast-check';
import { DateTime } from 'luxon';
import { nextOpening, type SendWindow, sendWindowProblems } from './send-window';

function window(start: string, end: string, timezone: string, weekdays?: number[]): SendWindow {
  return { start, end, timezone, weekdays };
}

/** "open until …" or "opens at …", in UTC without seconds. */
function answer(sendWindow: SendWindow, at: string): string {
  const opening = nextOpening(sendWindow, new Date(at));
  return opening.open
    ? `open until ${opening.until.toISOString().slice(0, 16)}`
    : `opens at ${opening.opensAt.toISOString().slice(0, 16)}`;
}

describe('nextOpening', () => {
  const office = window('09:00', '17:00', 'Europe/Berlin');

  it.each([
    ['2026-01-15T07:59:59.999Z', 'opens at 2026-01-15T08:00'],
    ['2026-01-15T08:00:00Z', 'open until 2026-01-15T16:00'],
    ['2026-01-15T15:59:59.999Z', 'open until 2026-01-15T16:00'],
    ['2026-01-15T16:00:00Z', 'opens at 2026-01-16T08:00'],
    ['2026-03-28T20:00:00Z', 'opens at 2026-03-29T07:00'],
    ['2026-10-24T20:00:00Z', 'opens at 2026-10-25T08:00'],
  ])('an ordinary window at %s: %s', (at, expected) => {
    expect(answer(office, at)).toBe(expected);
  });

  it.each<[string, SendWindow, string, string]>([
    [
      'start in the skipped hour',
      window('02:30', '05:00', 'Europe/Berlin'),
      '2026-03-29T00:00Z',
      'opens at 2026-03-29T01:00',
    ],
    [
      'end in the skipped hour',
      window('01:30', '02:30', 'Europe/Berlin'),
      '2026-03-29T00:45Z',
      'open until 2026-03-29T01:00',
    ],
    [
      'all in the skipped hour',
      window('02:10', '02:50', 'Europe/Berlin'),
      '2026-03-29T00:00Z',
      'opens at 2026-03-30T00:10',
    ],
    [
      'a repeated hour inside',
      window('01:00', '05:00', 'Europe/Berlin'),
      '2026-10-24T23:00Z',
      'open until 2026-10-25T04:00',
    ],
    [
      'start in the repeated hour',
      window('02:30', '05:00', 'Europe/Berlin'),
      '2026-10-25T01:10Z',
      'open until 2026-10-25T04:00',
    ],
    [
      'end in the repeated hour',
      window('01:00', '02:30', 'Europe/Berlin'),
      '2026-10-25T00:00Z',
      'open until 2026-10-25T00:30',
    ],
    [
      'second pass of a closed end',
      window('01:00', '02:30', 'Europe/Berlin'),
      '2026-10-25T01:10Z',
      'opens at 2026-10-26T00:00',
    ],
    [
      'Lord Howe skips half an hour',
      window('02:15', '03:00', 'Australia/Lord_Howe'),
      '2024-10-05T15:00Z',
      'opens at 2024-10-05T15:30',
    ],
    [
      'Lord Howe repeats half an hour',
      window('01:00', '03:00', 'Australia/Lord_Howe'),
      '2024-04-06T14:00Z',
      'open until 2024-04-06T16:30',
    ],
    [
      'Apia has no 30 December 2011',
      window('09:00', '17:00', 'Pacific/Apia'),
      '2011-12-30T05:00Z',
      'opens at 2011-12-30T19:00',
    ],
    [
      'no midnight in Cairo',
      window('00:00', '06:00', 'Africa/Cairo'),
      '2024-04-25T20:00Z',
      'opens at 2024-04-25T22:00',
    ],
    [
      'no midnight in Beirut',
      window('00:30', '06:00', 'Asia/Beirut'),
      '2024-03-30T20:00Z',
      'opens at 2024-03-30T22:00',
    ],
    [
      'no midnight in Havana',
      window('00:00', '24:00', 'America/Havana'),
      '2024-03-10T04:59Z',
      'open until 2024-03-10T05:00',
    ],
    [
      'no midnight in Santiago',
      window('22:00', '00:30', 'America/Santiago'),
      '2024-09-08T03:00Z',
      'open until 2024-09-08T04:00',
    ],
    [
      'over midnight, before it',
      window('22:00', '02:00', 'Europe/Berlin'),
      '2026-01-15T22:00Z',
      'open until 2026-01-16T01:00',
    ],
    [
      'over midnight, after it',
      window('22:00', '02:00', 'Europe/Berlin'),
      '2026-01-16T00:30Z',
      'open until 2026-01-16T01:00',
    ],
    [
      'over midnight, closed',
      window('22:00', '02:00', 'Europe/Berlin'),
      '2026-01-16T01:00Z',
      'opens at 2026-01-16T21:00',
    ],
    ['until midnight', window('22:00', '00:00', 'Europe/Berlin'), '2026-01-15T22:00Z', 'open until 2026-01-15T23:00'],
    [
      'weekdays: Friday evening to Monday',
      window('09:00', '17:00', 'Europe/Berlin', [1, 2, 3, 4, 5]),
      '2026-01-16T16:00Z',
      'opens at 2026-01-19T08:00',
    ],
    [
      'weekdays: Friday night belongs to Friday',
      window('22:00', '02:00', 'Europe/Berlin', [5]),
      '2026-01-17T00:30Z',
      'open until 2026-01-17T01:00',
    ],
    [
      'weekdays: a weekly window in the skipped hour',
      window('02:10', '02:50', 'Europe/Berlin', [7]),
      '2026-03-28T12:00Z',
      'opens at 2026-04-05T00:10',
    ],
  ])('%s', (_name, sendWindow, at, expected) => {
    expect(answer(sendWindow, at)).toBe(expected);
  });

  it('refuses a window with problems', () => {
    expect(() => nextOpening(window('09:00', '09:00', 'Europe/Berlin'), new Date(0))).toThrow(RangeError);
  });

  it('holds what it says: constant until its next change, and agreeing with the clock away from changes', () => {
    fc.assert(
      fc.property(anyWindow, anyInstant, (sendWindow, instant) => {
        const at = new Date(instant);
        const opening = nextOpening(sendWindow, at);
        const change = opening.open ? opening.until : opening.opensAt;
        expect(change.getTime()).toBeGreaterThan(instant);
        const between = new Date(Math.floor((instant + change.getTime()) / 2));
        const later = nextOpening(sendWindow, between);
        expect(later).toEqual(opening);
        if (offsetIsSteady(sendWindow.timezone, instant)) expect(opening.open).toBe(clockIsInside(sendWindow, instant));
        if (!opening.open) expect(nextOpening(sendWindow, opening.opensAt).open).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('gives the same answer whatever was asked before', () => {
    fc.assert(
      fc.property(anyWindow, anyInstant, anyInstant, (sendWindow, one, other) => {
        const first = nextOpening(sendWindow, new Date(one));
        nextOpening(sendWindow, new Date(other));
        expect(nextOpening(sendWindow, new Date(one))).toEqual(first);
      }),
    );
  });
});

describe('sendWindowProblems', () => {
  it('finds none in a good window', () => {
    expect(sendWindowProblems(window('00:00', '24:00', 'UTC', [1, 7]))).toEqual([]);
  });

  it.each<[SendWindow, string]>([
    [window('9:00', '17:00', 'UTC'), 'start'],
    [window('24:00', '17:00', 'UTC'), 'start'],
    [window('09:00', '25:00', 'UTC'), 'end'],
    [window('09:00', '24:01', 'UTC'), 'end'],
    [window('09:00', '09:00', 'UTC'), 'end'],
    [window('09:00', '17:00', 'Mars/Olympus'), 'timezone'],
    [window('09:00', '17:00', 'UTC', []), 'weekdays'],
    [window('09:00', '17:00', 'UTC', [1, 1]), 'weekdays'],
    [window('09:00', '17:00', 'UTC', [0]), 'weekdays'],
  ])('%j names %s', (sendWindow, field) => {
    expect(sendWindowProblems(sendWindow).map((problem) => problem.field)).toEqual([field]);
  });
});

const times = fc
  .tuple(fc.integer({ min: 0, max: 23 }), fc.integer({ min: 0, max: 59 }))
  .map(([hours, minutes]) => `${String(hours).padStart(2, '0')}:${String(minutes).padStart(2, '0')}`);

const anyWindow = fc
  .record({
    start: times,
    end: times,
    timezone: fc.constantFrom(
      'UTC',
      'Europe/Berlin',
      'America/Havana',
      'Australia/Lord_Howe',
      'Africa/Cairo',
      'Pacific/Apia',
    ),
    weekdays: fc.option(fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1 }), { nil: undefined }),
  })
  .filter(({ start, end }) => start !== end);

const anyInstant = fc.integer({ min: Date.UTC(2011, 0), max: Date.UTC(2030, 0) });

function offsetIsSteady(zone: string, instant: number): boolean {
  const near = [-2, -1, 0, 1, 2].map(
    (days) => DateTime.fromMillis(instant, { zone }).plus({ hours: days * 24 }).offset,
  );
  return new Set(near).size === 1;
}

/** The window read off the wall clock, which is right wherever no clock changes nearby. */
function clockIsInside({ start, end, timezone, weekdays }: SendWindow, instant: number): boolean {
  const local = DateTime.fromMillis(instant, { zone: timezone });
  const clock = local.toFormat('HH:mm');
  const afterMidnight = end < start && clock < end;
  const inside = end < start ? clock >= start || clock < end : clock >= start && clock < end;
  const weekday = afterMidnight ? (local.weekday === 1 ? 7 : local.weekday - 1) : local.weekday;
  return inside && (weekdays === undefined || weekdays.includes(weekday));
}
