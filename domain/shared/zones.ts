import { IANAZone } from 'luxon';

/**
 * Arithmetic on local calendars, exact over every change of a zone's offset. A "wall" is a local date and time
 * written as the milliseconds it would have in UTC. All instants are milliseconds since the epoch inside this file
 * and `Date` at its edge. Rules come from the runtime's ICU data, so call this from activities, never from workflows.
 */

const HOUR = 3_600_000;
export const DAY = 24 * HOUR;

/** Two changes of one zone's offset are always further apart than this, so sampling at this step misses none. */
const SAMPLE_STEP = 3 * HOUR;

/** Further than any zone was ever away from UTC (Manila was 15:56 behind until 1844). */
const MAX_OFFSET = 16 * HOUR;

const MINUTE = 60_000;
const MAX_CACHED_DAYS = 20_000;

/** Instants [from, to) that share one offset. */
interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly offset: number;
}

/**
 * The zone's name in its usual spelling, or null. Accepts IANA names in any case ("europe/berlin") and nothing else:
 * no offsets such as "+02:00", because they know no daylight saving time.
 */
export function canonicalTimeZone(name: string): string | null {
  const known = canonicalNames.get(name);
  if (known !== undefined) return known;
  const found = lookUpTimeZone(name);
  if (canonicalNames.size >= 5_000) canonicalNames.clear();
  canonicalNames.set(name, found);
  return found;
}

const canonicalNames = new Map<string, string | null>();
let spellings: Map<string, string> | null = null;

function lookUpTimeZone(name: string): string | null {
  if (!/^[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+)*$/.test(name) || name.length > 64) return null;
  if (!IANAZone.isValidZone(name)) return null;
  spellings ??= new Map(Intl.supportedValuesOf('timeZone').map((zone) => [zone.toLowerCase(), zone]));
  return spellings.get(name.toLowerCase()) ?? name;
}

/** The local date at an instant, "YYYY-MM-DD". Throws RangeError for an unknown zone. */
export function localDate(zone: string, at: Date): string {
  return formatDate(wallAt(zone, at.getTime()));
}

/**
 * The first instant after `at` that lies on a later local date than `at` does. This is midnight where midnight
 * exists, and the end of the gap where it does not (Beirut, Cairo, Havana, Santiago; Apia's missing day).
 */
export function nextLocalMidnight(zone: string, at: Date): Date {
  const now = at.getTime();
  const tomorrow = startOfWallDay(wallAt(zone, now)) + DAY;
  return new Date(firstInstantAtOrAfter(zone, tomorrow, now + 1));
}

/** Local date and time at an instant, as a wall. Throws RangeError for an unknown zone. */
export function wallAt(zone: string, instant: number): number {
  return instant + offsetAt(zone, instant);
}

/** The wall of 00:00 on the wall's own date. */
export function startOfWallDay(wall: number): number {
  return Math.floor(wall / DAY) * DAY;
}

/** ISO weekday of a wall: Monday is 1, Sunday is 7. */
export function weekdayOf(wall: number): number {
  return ((((Math.floor(wall / DAY) + 3) % 7) + 7) % 7) + 1;
}

/**
 * The first instant, not before `notBefore`, at which the zone's clock shows `wall` or later. For a wall inside a gap
 * that is the gap's end; for a repeated wall its first occurrence.
 */
export function firstInstantAtOrAfter(zone: string, wall: number, notBefore = Number.NEGATIVE_INFINITY): number {
  for (const stretch of stretchesAround(zone, wall)) {
    const instant = Math.max(stretch.from, wall - stretch.offset, notBefore);
    if (instant < stretch.to) return instant;
  }
  throw new RangeError(`no instant for this local time in ${zone}`);
}

function formatDate(wall: number): string {
  return new Date(wall).toISOString().slice(0, wall < Date.UTC(10_000, 0) ? 10 : 13);
}

const stretchCache = new Map<string, readonly Stretch[]>();

/** All stretches that may show a wall of this wall's date, in order. Cached per zone and date. */
function stretchesAround(zone: string, wall: number): readonly Stretch[] {
  const day = startOfWallDay(wall);
  const key = `${zone} ${day}`;
  const cached = stretchCache.get(key);
  if (cached !== undefined) return cached;
  const stretches = findStretches(zone, day - MAX_OFFSET - DAY, day + 2 * DAY + MAX_OFFSET);
  if (stretchCache.size >= MAX_CACHED_DAYS) stretchCache.clear();
  stretchCache.set(key, stretches);
  return stretches;
}

function findStretches(zone: string, from: number, to: number): Stretch[] {
  const stretches: Stretch[] = [];
  let start = from;
  let offset = offsetAt(zone, from);
  for (let at = from + SAMPLE_STEP; at <= to; at += SAMPLE_STEP) {
    const next = offsetAt(zone, at);
    if (next === offset) continue;
    const change = findChange(zone, at - SAMPLE_STEP, at, offset);
    stretches.push({ from: start, to: change, offset });
    start = change;
    offset = next;
  }
  stretches.push({ from: start, to: Number.POSITIVE_INFINITY, offset });
  return stretches;
}

/** The first second in (before, after] whose offset is not `offset` any more. */
function findChange(zone: string, before: number, after: number, offset: number): number {
  let low = Math.floor(before / 1_000);
  let high = Math.ceil(after / 1_000);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(zone, middle * 1_000) === offset) low = middle;
    else high = middle;
  }
  return high * 1_000;
}

function offsetAt(zone: string, instant: number): number {
  const offset = IANAZone.create(zone).offset(instant);
  if (Number.isNaN(offset)) throw new RangeError(`unknown time zone: ${zone}`);
  return Math.round(offset * MINUTE);
}
