/**
 * What a claim takes units of. Dates are the workspace's, but UTC for the installation's own sender.
 * `provider-hour` counts a rolling 24 hours in buckets of one UTC hour (as Amazon SES limits it).
 */
export type CapacityKind = 'provider-day' | 'provider-hour' | 'domain-day' | 'ip-day';

/** Most units of one resource in its window. */
export interface CapacityLimit {
  kind: CapacityKind;
  resourceId: string;
  limit: number;
}

/** One unit that each row of a claim holds until it returns to the queue. */
export interface CapacityUnit {
  kind: CapacityKind;
  resource: string;
  window: string;
}

const HOUR = 3_600_000;
/** The bucket that now is in, those of the 23 hours before, and the one that 24 hours ago is in: never too many. */
export const ROLLING_BUCKETS = 25;

/** The window that a unit taken at `at` belongs to. `localDate`: that moment's date in the zone of the limit. */
export function windowOf(kind: CapacityKind, at: Date, localDate: string): string {
  return kind === 'provider-hour' ? hourOf(at) : localDate;
}

/** First bucket that still counts in the 24 hours before `at`. Buckets sort as text. */
export function firstRollingHour(at: Date): string {
  return hourOf(new Date(at.getTime() - (ROLLING_BUCKETS - 1) * HOUR));
}

/** Everybody takes units in the same order, so that two claims never wait for each other. */
export function inTakingOrder(limits: readonly CapacityLimit[]): CapacityLimit[] {
  const key = (limit: CapacityLimit) => `${limit.kind} ${limit.resourceId}`;
  return [...limits].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

function hourOf(at: Date): string {
  return at.toISOString().slice(0, 13);
}
