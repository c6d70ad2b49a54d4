import { canonicalTimeZone, DAY, firstInstantAtOrAfter, startOfWallDay, wallAt, weekdayOf } from '../shared/zones';

/**
 * Per-day send window of a campaign (spec 003, "Campaigns", send_window).
 *
 * The window of a local date D is the half-open interval from the first instant at which the zone's clock shows D's
 * `start` or later, to the first instant at which it shows D's `end` or later (the day after D's, if the window runs
 * over midnight). From this one rule follows what happens when clocks change:
 * - a start inside the skipped hour opens at the hour's end; an end inside it closes at its beginning;
 * - a window wholly inside the skipped hour, or on a date that does not exist, is empty: that date has none;
 * - a repeated hour inside the window is open twice; a window that begins or ends in a repeated hour opens and closes
 *   at the hour's first occurrence, once. Closing early is the safe side: nobody is written to after the end.
 */
export interface SendWindow {
  /** Local time "HH:MM", inclusive. */
  readonly start: string;
  /** Local time "HH:MM", exclusive; earlier than `start` means on the next day; "24:00" is the date's own end. */
  readonly end: string;
  /** IANA name. */
  readonly timezone: string;
  /** ISO weekdays (Monday 1 … Sunday 7) on which a window *begins*; absent means every day. */
  readonly weekdays?: readonly number[] | undefined;
}

export type Opening = { readonly open: true; readonly until: Date } | { readonly open: false; readonly opensAt: Date };

export interface SendWindowProblem {
  readonly field: 'start' | 'end' | 'timezone' | 'weekdays';
  readonly message: string;
}

/** What is wrong with a window; empty if nothing is. */
export function sendWindowProblems(window: SendWindow): SendWindowProblem[] {
  const problems: SendWindowProblem[] = [];
  const start = minutesOf(window.start);
  const end = minutesOf(window.end);
  if (start === null || start === 24 * 60)
    problems.push({ field: 'start', message: 'must be a time from 00:00 to 23:59' });
  if (end === null) problems.push({ field: 'end', message: 'must be a time from 00:00 to 24:00' });
  if (start !== null && start === end) problems.push({ field: 'end', message: 'must differ from start' });
  if (canonicalTimeZone(window.timezone) === null) {
    problems.push({ field: 'timezone', message: 'must be an IANA time zone such as Europe/Berlin' });
  }
  if (window.weekdays !== undefined && !areWeekdays(window.weekdays)) {
    problems.push({
      field: 'weekdays',
      message: 'must list different ISO weekdays, 1 (Monday) to 7 (Sunday), at least one',
    });
  }
  return problems;
}

/**
 * Whether the window is open at an instant, and until or from when. Cheap enough to be asked at every claim: the
 * answer is kept until it changes.
 * @throws RangeError if the window has problems (see `sendWindowProblems`).
 */
export function nextOpening(window: SendWindow, at: Date): Opening {
  const now = at.getTime();
  const key = `${window.timezone} ${window.start} ${window.end} ${window.weekdays?.join() ?? ''}`;
  const known = answers.get(key);
  if (known !== undefined && known.from <= now && now < known.to) return known.opening;
  const answer = findOpening(window, now);
  if (answers.size >= MAX_ANSWERS) answers.clear();
  answers.set(key, answer);
  return answer.opening;
}

/** An opening, and the instants [from, to) for which it is the answer. */
interface Answer {
  readonly from: number;
  readonly to: number;
  readonly opening: Opening;
}

const answers = new Map<string, Answer>();
const MAX_ANSWERS = 10_000;

/** A weekly window can be missing twice in a row at most (a gap, then nothing else for months). */
const SEARCH_DAYS = 30;

function findOpening(window: SendWindow, now: number): Answer {
  const problem = sendWindowProblems(window)[0];
  if (problem !== undefined) throw new RangeError(`send window: ${problem.field} ${problem.message}`);
  const today = startOfWallDay(wallAt(window.timezone, now));
  // Two days back: yesterday's window may run over midnight, and clocks may go back over midnight (St John's).
  for (let day = today - 2 * DAY; day <= today + SEARCH_DAYS * DAY; day += DAY) {
    const interval = windowOfDay(window, day);
    if (interval === null || interval.closes <= now) continue;
    if (interval.opens <= now) {
      return { from: interval.opens, to: interval.closes, opening: { open: true, until: new Date(interval.closes) } };
    }
    return { from: now, to: interval.opens, opening: { open: false, opensAt: new Date(interval.opens) } };
  }
  throw new RangeError('send window: never opens');
}

/** One opening of a window. */
export interface OpenInterval {
  readonly opens: Date;
  readonly closes: Date;
}

/**
 * The openings of a window that overlap [from, to), in order and uncut. None on dates on which it is empty.
 * @throws RangeError if the window has problems (see `sendWindowProblems`).
 */
export function openingsBetween(window: SendWindow, from: Date, to: Date): OpenInterval[] {
  const problem = sendWindowProblems(window)[0];
  if (problem !== undefined) throw new RangeError(`send window: ${problem.field} ${problem.message}`);
  const first = startOfWallDay(wallAt(window.timezone, from.getTime())) - 2 * DAY;
  const openings: OpenInterval[] = [];
  for (let day = first; day <= wallAt(window.timezone, to.getTime()) + DAY; day += DAY) {
    const interval = windowOfDay(window, day);
    if (interval === null || interval.closes <= from.getTime() || interval.opens >= to.getTime()) continue;
    openings.push({ opens: new Date(interval.opens), closes: new Date(interval.closes) });
  }
  return openings;
}

function windowOfDay(window: SendWindow, day: number): { opens: number; closes: number } | null {
  if (window.weekdays !== undefined && !window.weekdays.includes(weekdayOf(day))) return null;
  const start = requiredMinutes(window.start);
  const end = requiredMinutes(window.end);
  const opens = firstInstantAtOrAfter(window.timezone, day + start * 60_000);
  const closes = firstInstantAtOrAfter(window.timezone, day + end * 60_000 + (end < start ? DAY : 0));
  return opens < closes ? { opens, closes } : null;
}

function minutesOf(time: string): number | null {
  const match = /^(\d{2}):(\d{2})$/.exec(time);
  if (match === null) return null;
  const hours = Number(match[1]);
  const minutes = Number(match[2]);
  if (minutes > 59 || hours > 24 || (hours === 24 && minutes > 0)) return null;
  return hours * 60 + minutes;
}

function requiredMinutes(time: string): number {
  const minutes = minutesOf(time);
  if (minutes === null) throw new RangeError(`send window: ${time} is no time`);
  return minutes;
}

function areWeekdays(weekdays: readonly number[]): boolean {
  return (
    weekdays.length > 0 &&
    new Set(weekdays).size === weekdays.length &&
    weekdays.every((day) => Number.isInteger(day) && day >= 1 && day <= 7)
  );
}
