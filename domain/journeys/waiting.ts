import { DAY, firstInstantAtOrAfter, startOfWallDay, wallAt } from '../shared/zones';

/**
 * From when on a step may go: the first moment of the local date `waitDays` calendar days after that of `accepted`
 * (spec 002, "sequence_steps"). Calendar days, not multiples of 24 hours: over a change of clocks, a mail of Saturday
 * evening is followed on Monday from midnight on.
 */
export function dueAfter(zone: string, accepted: Date, waitDays: number): Date {
  if (waitDays === 0) return accepted;
  const date = startOfWallDay(wallAt(zone, accepted.getTime())) + waitDays * DAY;
  return new Date(firstInstantAtOrAfter(zone, date));
}

/** The local day that a moment lies in: [from, to). */
export function localDay(zone: string, at: Date): { from: Date; to: Date } {
  const date = startOfWallDay(wallAt(zone, at.getTime()));
  // Where clocks go back over midnight, the date's first moment is its first occurrence.
  const from = firstInstantAtOrAfter(zone, date);
  return { from: new Date(from), to: new Date(firstInstantAtOrAfter(zone, date + DAY)) };
}
