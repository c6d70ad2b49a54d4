import { ApplicationFailure } from '@temporalio/common';
import type { ActivityExecuteInput, ActivityInboundCallsInterceptor, Next } from '@temporalio/worker';
import type { Logger } from '../../platform/log';
import { sqlState } from '../../platform/postgres';

/**
 * Turns every error of an activity into an ApplicationFailure with a type and code but no message and no cause:
 * database errors and server replies echo addresses, and histories keep them for a week. The raw text goes to the
 * redacted log (design, section 3).
 */
export class FailureInterceptor implements ActivityInboundCallsInterceptor {
  constructor(
    private readonly log: Logger,
    private readonly activityType: string,
  ) {}

  async execute(input: ActivityExecuteInput, next: Next<ActivityInboundCallsInterceptor, 'execute'>): Promise<unknown> {
    try {
      return await next(input);
    } catch (error) {
      if (error instanceof Error && ['CancelledFailure', 'CompleteAsyncError'].includes(error.name)) throw error;
      this.log.error({ err: error, activity: this.activityType }, 'activity failed');
      throw withoutText(error);
    }
  }
}

/** The failure that may be stored in a history. */
export function withoutText(error: unknown): ApplicationFailure {
  if (error instanceof ApplicationFailure) {
    return ApplicationFailure.create({
      type: error.type ?? 'Failure',
      message: error.type ?? 'Failure',
      nonRetryable: error.nonRetryable ?? false,
      nextRetryDelay: error.nextRetryDelay ?? undefined,
      category: error.category ?? undefined,
    });
  }
  const state = sqlState(error);
  const type = state ? `Postgres.${state}` : error instanceof Error ? error.name : 'UnknownError';
  return ApplicationFailure.create({ type, message: type, nonRetryable: false });
}
