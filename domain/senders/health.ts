/** Spec 003 "Health scoring". */
export const HEALTH_STATUSES = ['EXCELLENT', 'GOOD', 'FAIR', 'POOR', 'CRITICAL'] as const;
export type HealthStatus = (typeof HEALTH_STATUSES)[number];

/** The least score of each tier. */
const FROM: Record<HealthStatus, number> = { EXCELLENT: 90, GOOD: 70, FAIR: 50, POOR: 30, CRITICAL: 0 };

/** The tier of a score of 0 to 100; null while nothing has been measured. */
export function healthStatus(score: number | null): HealthStatus | null {
  if (score === null) return null;
  return HEALTH_STATUSES.find((status) => score >= FROM[status]) ?? 'CRITICAL';
}
