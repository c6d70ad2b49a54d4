import type { PoolClient } from 'pg';
import {
  type BuildIndexRequest,
  type ContactJob,
  countContacts,
  finishFieldIndex,
  haveEnded,
  holdIndexedField,
  indexContacts,
  nextContacts,
  transactionHorizon,
  unindexContacts,
} from '../../db/contacts';
import { NO_CONTACT_JOB_PROGRESS } from '../../domain/contacts/contract';
import type { Database } from '../../platform/postgres';
import type { JobStep, JobWork } from './contact-job';

/** Contacts of a batch; those with a value are locked while it lasts, some ten milliseconds. */
const BATCH_CONTACTS = 2_000;

/** Builds, or removes, the index of one custom field while contacts are written. */
export function indexWork(db: Database): JobWork {
  return {
    async begin(job): Promise<JobStep> {
      const total = await countContacts(db, job.workspaceId);
      return {
        cursor: { after: null, horizon: await transactionHorizon(db) },
        progress: { ...NO_CONTACT_JOB_PROGRESS, total },
      };
    },

    async mayGoOn({ cursor }): Promise<boolean> {
      return cursor?.horizon === null || cursor?.horizon === undefined || haveEnded(db, cursor.horizon);
    },

    async batch(tx, job): Promise<JobStep | 'superseded' | null> {
      const reference = referenceOf(job);
      const field = await holdIndexedField(tx, reference);
      // Turned off, or on, again meanwhile: the job that did so has taken the field over.
      if (!field) return 'superseded';
      const after = job.cursor?.after ?? null;
      const page = await nextContacts(tx, job.workspaceId, after, BATCH_CONTACTS);
      if (!page) return null;
      const range = { workspaceId: job.workspaceId, fieldId: reference.fieldId, after, last: page.last };
      const changed =
        field.index_state === 'BUILDING' ? await indexContacts(tx, range, field) : await unindexContacts(tx, range);
      return {
        cursor: { after: page.last, horizon: null },
        progress: {
          ...job.progress,
          done: job.progress.done + page.count,
          changed: job.progress.changed + changed,
        },
      };
    },

    async finish(tx: PoolClient, job): Promise<void> {
      await finishFieldIndex(tx, referenceOf(job));
    },
  };
}

function referenceOf(job: ContactJob): { workspaceId: string; jobId: string; fieldId: string } {
  const { fieldId }: BuildIndexRequest = job.request.kind === 'buildIndex' ? job.request : wrongKind(job);
  return { workspaceId: job.workspaceId, jobId: job.id, fieldId };
}

function wrongKind(job: ContactJob): never {
  throw new Error(`a job of kind ${job.kind} builds no index`);
}
