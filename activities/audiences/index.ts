import { Context } from '@temporalio/activity';
import { dueAudiences, refreshAudience } from '../../db/audiences';
import type { RefreshAudienceInput, RefreshDueResult, RefreshResult } from '../../domain/audiences';
import type { ActivityDependencies } from '../dependencies';

/** Longest one call works; what is left over is due at the next tick. */
const SLICE_MS = 4 * 60_000;
const PAGE = 200;
/** An audience made of others is calculated again when those changed, as deep as they are nested. */
const MAX_TIMES = 4;

/** Activities of the audiences area. Idempotent: a calculation writes the difference to what is there. */
export function createAudienceActivities(deps: ActivityDependencies) {
  const { db, log } = deps;
  return {
    calculateAudience: (input: RefreshAudienceInput): Promise<RefreshResult> => refreshAudience(db, input),

    /** Calculates all audiences that are due, one after the other: for those who changed, where that can be known. */
    async calculateDueAudiences(): Promise<RefreshDueResult> {
      const context = Context.current();
      const until = performance.now() + SLICE_MS;
      const times = new Map<string, number>();
      const report: RefreshDueResult = { refreshed: 0, failed: 0 };
      for (;;) {
        const due = (await dueAudiences(db, PAGE)).filter(({ audienceId }) => (times.get(audienceId) ?? 0) < MAX_TIMES);
        if (due.length === 0) return report;
        for (const audience of due) {
          if (performance.now() > until || context.cancellationSignal.aborted) return report;
          const { outcome } = await refreshAudience(db, audience, 'changed');
          context.heartbeat(report);
          // Once more in this round only if others that it is made of changed.
          times.set(
            audience.audienceId,
            outcome === 'refreshed' ? (times.get(audience.audienceId) ?? 0) + 1 : MAX_TIMES,
          );
          if (outcome === 'refreshed') report.refreshed += 1;
          if (outcome === 'failed') {
            report.failed += 1;
            log.warn({ audienceId: audience.audienceId }, 'a dynamic audience could not be calculated');
          }
        }
      }
    },
  };
}

export type AudienceActivities = ReturnType<typeof createAudienceActivities>;
