import { Context } from '@temporalio/activity';
import { cancelImport } from '../../db/contacts';
import { writeAudit } from '../../db/workspace';
import type { ImportContactsInput, ImportProgress, ImportSlice } from '../../domain/contacts/contract';
import type { ActivityDependencies } from '../dependencies';
import { runImportSlice } from './import-slice';

/** Longest slice of an import: the workflow's current details are no older. */
const SLICE_MS = 10_000;
/** Well below the heartbeat time-out of the workflow. */
const HEARTBEAT_MS = 2_000;

/** Activities of the contacts area. */
export function createContactActivities(deps: ActivityDependencies) {
  return {
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
