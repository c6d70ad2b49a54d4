import { Context } from '@temporalio/activity';
import { cancelImport, endContactJob } from '../../db/contacts';
import { writeAudit } from '../../db/workspace';
import type {
  ContactJobInput,
  ContactJobProgress,
  ContactJobSlice,
  ImportContactsInput,
  ImportProgress,
  ImportSlice,
} from '../../domain/contacts/contract';
import type { ActivityDependencies } from '../dependencies';
import { indexWork } from './build-index';
import { bulkEditWork } from './bulk-edit';
import { type JobWork, runContactJobSlice } from './contact-job';
import { runImportSlice } from './import-slice';

/** Longest slice of an import: the workflow's current details are no older. */
const SLICE_MS = 10_000;
/** Well below the heartbeat time-out of the workflow. */
const HEARTBEAT_MS = 2_000;

/** Activities of the contacts area. */
export function createContactActivities(deps: ActivityDependencies) {
  const slice = async (input: ContactJobInput, work: JobWork): Promise<ContactJobSlice> => {
    const context = Context.current();
    let latest: ContactJobProgress | null = null;
    const beat = setInterval(() => context.heartbeat(latest), HEARTBEAT_MS);
    try {
      return await runContactJobSlice(deps.db, input, work, {
        budgetMs: SLICE_MS,
        pulse: (progress) => {
          latest = progress;
          if (context.cancellationSignal.aborted) throw context.cancellationSignal.reason;
        },
      });
    } finally {
      clearInterval(beat);
    }
  };
  return {
    /** Builds or removes the index of a custom field for up to ten seconds. */
    buildIndexSlice: (input: ContactJobInput): Promise<ContactJobSlice> => slice(input, indexWork(deps.db)),

    /** Adds and removes tags for up to ten seconds. */
    bulkEditSlice: (input: ContactJobInput): Promise<ContactJobSlice> => slice(input, bulkEditWork(deps.db)),

    /** The workflow was cancelled in Temporal: so is the job. */
    async cancelContactJob({ workspaceId, jobId }: ContactJobInput): Promise<void> {
      await deps.db.transaction(async (tx) => {
        if (!(await endContactJob(tx, { workspaceId, id: jobId, status: 'CANCELLED' }))) return;
        await writeAudit(tx, {
          workspaceId,
          actor: { type: 'system' },
          action: 'contact-job.cancel',
          entityType: 'contact_job',
          entityId: jobId,
          new: { status: 'CANCELLED' },
        });
      });
    },

    /** Works on an import for up to ten seconds; see `runImportSlice`. Heartbeats carry counts only. */
    async importContactsSlice(input: ImportContactsInput): Promise<ImportSlice> {
      const context = Context.current();
      let latest: ImportProgress | null = null;
      const beat = setInterval(() => context.heartbeat(latest), HEARTBEAT_MS);
      try {
        return await runImportSlice(deps, input, {
          budgetMs: SLICE_MS,
          pulse: (progress) => {
            latest = progress;
            if (context.cancellationSignal.aborted) throw context.cancellationSignal.reason;
          },
        });
      } finally {
        clearInterval(beat);
      }
    },

    /** The workflow was cancelled in Temporal: so is the job. */
    async cancelImportJob({ workspaceId, jobId }: ImportContactsInput): Promise<void> {
      await deps.db.transaction(async (tx) => {
        if (!(await cancelImport(tx, workspaceId, jobId))) return;
        await writeAudit(tx, {
          workspaceId,
          actor: { type: 'system' },
          action: 'import.cancel',
          entityType: 'import',
          entityId: jobId,
          new: { status: 'CANCELLED' },
        });
      });
    },
  };
}

export type ContactActivities = ReturnType<typeof createContactActivities>;
