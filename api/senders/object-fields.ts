import { headerTextProblem } from '../../domain/content';
import { HEALTH_STATUSES, healthStatus, WARMING_STATUSES, type WarmingState } from '../../domain/senders';
import { headerText, moment, z } from '../http/schemas';

export const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';

/** A name in a header field. */
export const displayName = headerText(200).superRefine((value, context) => {
  const problem = headerTextProblem(value);
  if (problem) context.addIssue({ code: 'custom', message: problem });
});

export const dailyLimit = z.int().min(1).max(2_147_483_647).nullable().openapi({
  description: 'Most messages per local day of the workspace; null = unlimited.',
});

/** A name of hosts, in lower case. */
export const lowered = (pattern: RegExp, message: string) =>
  z
    .string()
    .max(253)
    .transform((value) => value.toLowerCase())
    .refine((value) => pattern.test(value), message)
    .openapi({ type: 'string' });

/** What is counted and measured of a sending domain or dedicated IP, as it is shown. */
export const measuredFields = {
  daily_limit: z.int().nullable(),
  daily_sent: z.int().openapi({ description: 'Messages begun on the local day. Counted while a daily limit is set.' }),
  daily_reset_at: moment.openapi({ description: 'When the workspace’s local day ends.' }),
  warming_status: z.enum(WARMING_STATUSES),
  warming_schedule_id: z.uuid().nullable(),
  warming_started_at: moment.nullable(),
  warming_day: z.int().nullable().openapi({ description: 'Counted from 1; null = not begun.' }),
  health_score: z.number().nullable().openapi({ description: '0 to 100; null until it is measured.' }),
  health_status: z
    .enum(HEALTH_STATUSES)
    .nullable()
    .openapi({ description: 'EXCELLENT from 90, GOOD from 70, FAIR from 50, POOR from 30, else CRITICAL.' }),
};

interface Measured extends WarmingState {
  daily_limit: number | null;
  daily_sent: number;
  daily_reset_at: Date;
  health_score: number | null;
}

export function showMeasured(row: Measured) {
  return {
    daily_limit: row.daily_limit,
    daily_sent: row.daily_sent,
    daily_reset_at: row.daily_reset_at.toISOString(),
    warming_status: row.warming_status,
    warming_schedule_id: row.warming_schedule_id,
    warming_started_at: row.warming_started_at?.toISOString() ?? null,
    warming_day: row.warming_day,
    health_score: row.health_score,
    health_status: healthStatus(row.health_score),
  };
}

export function timesOf(row: { created_at: Date; updated_at: Date }) {
  return { created_at: row.created_at.toISOString(), updated_at: row.updated_at.toISOString() };
}
