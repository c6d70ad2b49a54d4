import type { PoolClient } from 'pg';
import {
  type BulkEditRequest,
  type ContactJob,
  countSelected,
  holdContacts,
  nextSelected,
  type ProfileWrite,
  writeProfiles,
} from '../../db/contacts';
import { applySubmission, MAX_TAGS, profileDifference } from '../../domain/contacts';
import { NO_CONTACT_JOB_PROGRESS } from '../../domain/contacts/contract';
import type { Database } from '../../platform/postgres';
import type { JobStep, JobWork } from './contact-job';

/** Contacts of a batch, locked while it lasts. */
const BATCH_CONTACTS = 1_000;

/** Adds and removes tags of every contact of a selection; each change is a submission. */
export function bulkEditWork(db: Database): JobWork {
  return {
    async begin(job): Promise<JobStep> {
      const total = await countSelected(db, job.workspaceId, requestOf(job).selection);
      return { cursor: { after: null, horizon: null }, progress: { ...NO_CONTACT_JOB_PROGRESS, total } };
    },

    async mayGoOn(): Promise<boolean> {
      return true;
    },

    async batch(tx, job): Promise<JobStep | null> {
      const { selection, addTags, removeTags } = requestOf(job);
      const after = job.cursor?.after ?? null;
      const ids = await nextSelected(tx, job.workspaceId, selection, after, BATCH_CONTACTS);
      const last = ids.at(-1);
      if (last === undefined) return null;
      const writes: ProfileWrite[] = [];
      let skipped = 0;
      for (const { id, profile } of await holdContacts(tx, job.workspaceId, ids)) {
        const { tags } = applySubmission(profile, { tags: { add: addTags, remove: removeTags } });
        const changes = profileDifference(profile, { ...profile, tags });
        if (changes.tags === undefined) continue;
        if (tags.length > MAX_TAGS && tags.length > profile.tags.length) {
          skipped += 1;
          continue;
        }
        writes.push({
          kind: 'update',
          contactId: id,
          profile: { ...profile, tags },
          emailHash: null,
          changes: [{ tags: { add: addTags, remove: removeTags } }],
        });
      }
      const from = { origin: 'BULK_EDIT', originId: job.id, actorId: job.createdBy } as const;
      if (writes.length > 0) await writeProfiles(tx, job.workspaceId, writes, from);
      return {
        cursor: { after: last, horizon: null },
        progress: {
          ...job.progress,
          done: job.progress.done + ids.length,
          changed: job.progress.changed + writes.length,
          skipped: job.progress.skipped + skipped,
        },
      };
    },

    async finish(_tx: PoolClient): Promise<void> {},
  };
}

function requestOf(job: ContactJob): BulkEditRequest {
  if (job.request.kind !== 'bulkEdit') throw new Error(`a job of kind ${job.kind} edits no contacts`);
  return job.request;
}
