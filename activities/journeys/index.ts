import { type PlanCursor, planWorkspace, workspacesToPlan } from '../../db/journeys';
import { laneWorkflow } from '../../domain/delivery';
import type { PlanSequencesInput, PlanSequencesReport } from '../../domain/journeys';
import { ensureWorkflow } from '../../platform/temporal';
import type { ActivityDependencies } from '../dependencies';

/** Workspaces of one look. */
const WORKSPACES = 100;

/** Activities of sequences. */
export function createJourneyActivities(deps: ActivityDependencies) {
  const { db, log } = deps;

  /** Plans the rest of one workspace's day, in as many transactions as it takes, and wakes the lanes. */
  async function planOne(workspaceId: string, report: PlanSequencesReport): Promise<void> {
    let after: PlanCursor | null = null;
    do {
      const plan = await db.transaction((tx) => planWorkspace(tx, workspaceId, { after }));
      report.planned += plan.planned;
      report.advanced += plan.advanced;
      // A lane that cannot be woken is found by the watchdog.
      for (const laneId of plan.wakeLaneIds) {
        await ensureWorkflow(deps.temporal, laneWorkflow({ workspaceId, laneId })).catch((error: unknown) =>
          log.warn({ err: error, laneId }, 'a lane could not be woken'),
        );
      }
      after = plan.next;
    } while (after !== null);
    report.workspaces += 1;
  }

  return {
    /** Plans one workspace, or every workspace that has active sequences. A failed plan does not keep the others back. */
    async planDueSequences(input: PlanSequencesInput): Promise<PlanSequencesReport> {
      const report: PlanSequencesReport = { workspaces: 0, planned: 0, advanced: 0, failed: 0 };
      if (input.workspaceId) {
        await planOne(input.workspaceId, report);
        return report;
      }
      let page: string[];
      let last: string | null = null;
      do {
        page = await workspacesToPlan(db, last, WORKSPACES);
        for (const workspaceId of page) {
          last = workspaceId;
          try {
            await planOne(workspaceId, report);
          } catch (error) {
            report.failed += 1;
            log.error({ err: error, workspaceId }, 'the sequences of a workspace could not be planned');
          }
        }
      } while (page.length === WORKSPACES);
      return report;
    },
  };
}

export type JourneyActivities = ReturnType<typeof createJourneyActivities>;
