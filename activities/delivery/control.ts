import { dueRuns, neglectedRuns } from '../../db/campaigns';
import { dueOptInRequests } from '../../db/consent';
import { neglectedLanes } from '../../db/delivery/lanes';
import { rowsToLookUp } from '../../db/delivery/lookups';
import { expiredProcesses, liveProcesses, reapProcess } from '../../db/delivery/process';
import {
  alertLongWaiting,
  cancelLeftovers,
  ensurePartitions,
  expireRows,
  finaliseUnconfirmed,
  openJobs,
  resolveUnaligned,
  WATCHDOG_PROCESS,
} from '../../db/delivery/watchdog';
import { alertEarlyQuotasAnywhere } from '../../db/journeys';
import { campaignRunWorkflow } from '../../domain/campaigns/contract';
import { optInWorkflow } from '../../domain/consent/contract';
import {
  contactJobWorkflow,
  importWorkflow,
  isContactJobKind,
  isRightsJobKind,
  rightsJobWorkflow,
} from '../../domain/contacts/contract';
import {
  type LiveProcesses,
  type LookupReport,
  laneWorkflow,
  type WatchdogReport,
} from '../../domain/delivery/contract';
import { checkProviderWorkflow } from '../../domain/senders';
import { ensureWorkflow, type WorkflowStart } from '../../platform/temporal';
import type { ActivityDependencies } from '../dependencies';
import { setGauges } from './gauges';
import { LOOKUP_TYPES, lookUpUnconfirmed } from './look-up';

/** Short activities of the delivery area that run on the control queue. */
export function createDeliveryControlActivities(deps: ActivityDependencies) {
  const { db, log } = deps;

  /** Starts what is missing; a running workflow is left alone, without a signal. */
  async function start(workflow: WorkflowStart): Promise<boolean> {
    const { signal: _unsent, ...missing } = workflow;
    try {
      await ensureWorkflow(deps.temporal, missing);
      return true;
    } catch (error) {
      log.warn({ err: error, workflowId: workflow.workflowId }, 'a missing workflow could not be started');
      return false;
    }
  }

  return {
    async liveDeliveryProcesses(): Promise<LiveProcesses> {
      return { processIds: await liveProcesses(db) };
    },

    /** One round: rows of dead processes, neglected lanes, missing workflows, expiry, cancellation, final unknowns. */
    async runWatchdog(): Promise<WatchdogReport> {
      const report: WatchdogReport = {
        lostRows: 0,
        lanes: 0,
        workflows: 0,
        expired: 0,
        cancelled: 0,
        settledByPolicy: 0,
      };
      for (const process of await expiredProcesses(db)) {
        report.lostRows += (await reapProcess(db, process.id, WATCHDOG_PROCESS)) ?? 0;
      }
      report.cancelled = await cancelLeftovers(db);
      report.expired = await expireRows(db);
      report.settledByPolicy = await finaliseUnconfirmed(db);
      report.toLookUp = (await rowsToLookUp(db, LOOKUP_TYPES, 1)).length;
      await alertLongWaiting(db);
      await alertEarlyQuotasAnywhere(db);
      await resolveUnaligned(db);
      for (const lane of await neglectedLanes(db, deps.config.WATCHDOG_SECONDS)) {
        await ensureWorkflow(deps.temporal, laneWorkflow(lane));
        report.lanes += 1;
      }
      // Their hint was lost: the one case in which a running workflow is signalled again.
      for (const run of await neglectedRuns(db, deps.config.WATCHDOG_SECONDS)) {
        await ensureWorkflow(deps.temporal, campaignRunWorkflow(run));
        report.workflows += 1;
      }
      const missing: WorkflowStart[] = [
        ...(await dueRuns(db)).map(campaignRunWorkflow),
        ...(await dueOptInRequests(db)).map(optInWorkflow),
        ...(await openJobs(db)).map((job) => {
          const input = { workspaceId: job.workspace_id, jobId: job.id };
          if (isContactJobKind(job.kind)) return contactJobWorkflow(job.kind, input);
          if (isRightsJobKind(job.kind)) return rightsJobWorkflow(job.kind, input);
          return job.kind === 'importContacts' ? importWorkflow(input) : checkProviderWorkflow(input);
        }),
      ];
      for (const workflow of missing) if (await start(workflow)) report.workflows += 1;
      await setGauges(db);
      return report;
    },

    lookUpUnconfirmed(): Promise<LookupReport> {
      return lookUpUnconfirmed(deps);
    },

    ensurePartitions(): Promise<number> {
      return ensurePartitions(db);
    },
  };
}

export type DeliveryControlActivities = ReturnType<typeof createDeliveryControlActivities>;
