/** How far a domain or IP is with warming up. Spec 003 names the field, not its values. */
export const WARMING_STATUSES = ['NOT_STARTED', 'IN_PROGRESS', 'PAUSED', 'COMPLETED'] as const;

/** The state of warming that domains and dedicated IPs have in common, as it is stored. */
export interface WarmingState {
  warming_status: (typeof WARMING_STATUSES)[number];
  warming_schedule_id: string | null;
  warming_started_at: Date | null;
  /** Counted from 1; null = not begun. */
  warming_day: number | null;
}
