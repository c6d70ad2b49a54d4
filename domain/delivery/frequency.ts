import { DAY, firstInstantAtOrAfter, localDate, startOfWallDay, wallAt, weekdayOf } from '../shared/zones';

/** How often a contact wants messages of a category at most; without a limit there is no such fact. */
export type FrequencyLimit = 'DAILY' | 'WEEKLY' | 'MONTHLY';

/** What a contact with a limit got of a category. */
export interface Frequency {
  limit: FrequencyLimit;
  /** The contact's zone, else the workspace's. */
  zone: string;
  /** When the last other message of the category was begun; null = none yet. */
  lastAt: Date | null;
}

/** Whether the period of now has its message: the local day, ISO week or month. */
export function isUsedUp({ limit, zone, lastAt }: Frequency, now: Date): boolean {
  return lastAt !== null && periodOf(limit, zone, lastAt) === periodOf(limit, zone, now);
}

/** When the next period begins, at its first instant in the zone. */
export function nextPeriod(limit: FrequencyLimit, zone: string, now: Date): Date {
  const today = startOfWallDay(wallAt(zone, now.getTime()));
  return new Date(firstInstantAtOrAfter(zone, startAfter(limit, today), now.getTime() + 1));
}

function startAfter(limit: FrequencyLimit, today: number): number {
  switch (limit) {
    case 'DAILY':
      return today + DAY;
    case 'WEEKLY':
      return today + (8 - weekdayOf(today)) * DAY;
    case 'MONTHLY': {
      const date = new Date(today);
      return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1);
    }
  }
}

/** Names a period; an ISO week by its Monday. */
function periodOf(limit: FrequencyLimit, zone: string, at: Date): string {
  switch (limit) {
    case 'DAILY':
      return localDate(zone, at);
    case 'WEEKLY': {
      const today = startOfWallDay(wallAt(zone, at.getTime()));
      return new Date(today - (weekdayOf(today) - 1) * DAY).toISOString().slice(0, 10);
    }
    case 'MONTHLY':
      return localDate(zone, at).slice(0, 7);
  }
}
