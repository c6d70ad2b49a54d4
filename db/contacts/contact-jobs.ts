import { z } from 'zod';
import { type ContactJobKind, type ContactJobProgress, NO_CONTACT_JOB_PROGRESS } from '../../domain/contacts/contract';
import { changed, many, one, type Queryable, sql } from '../../platform/postgres';
import type { JobStatus } from './import-jobs';

const buildIndexInput = z.object({
  kind: z.literal('buildIndex'),
  fieldId: z.string(),
  action: z.enum(['build', 'remove']),
});
const bulkEditInput = z.object({
  kind: z.literal('bulkEdit'),
  selection: z.object({
    contactIds: z.array(z.string()).nullable(),
    audienceId: z.string().nullable(),
    tag: z.string().nullable(),
    status: z.enum(['ACTIVE', 'UNSUBSCRIBED', 'BOUNCED', 'COMPLAINED']).nullable(),
  }),
  addTags: z.array(z.string()),
  removeTags: z.array(z.string()),
});

/** What a job over contacts was asked to do (`jobs.input`). */
const jobInput = z.discriminatedUnion('kind', [buildIndexInput, bulkEditInput]);
export type ContactJobRequest = z.infer<typeof jobInput>;
export type BuildIndexRequest = z.infer<typeof buildIndexInput>;
export type BulkEditRequest = z.infer<typeof bulkEditInput>;

/** Where a job goes on: after this contact. `horizon`: transactions that have to end before it begins. */
const jobCursor = z.object({ after: z.string().nullable(), horizon: z.string().nullable() });
export type ContactJobCursor = z.infer<typeof jobCursor>;

const jobProgress = z.object({
  total: z.number().nullable(),
  done: z.number(),
  changed: z.number(),
  skipped: z.number(),
});

export interface ContactJob {
  id: string;
  workspaceId: string;
  kind: ContactJobKind;
  status: JobStatus;
  request: ContactJobRequest;
  /** Null until the job was begun. */
  cursor: ContactJobCursor | null;
  progress: ContactJobProgress;
  createdBy: string | null;
  createdAt: Date;
  startedAt: Date | null;
  finishedAt: Date | null;
}

interface JobRow {
  id: string;
  workspace_id: string;
  kind: ContactJobKind;
  status: JobStatus;
  input: object;
  cursor: object;
  progress: object;
  created_by: string | null;
  created_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
}

const COLUMNS = sql`id, workspace_id, kind, status, input, cursor, progress, created_by, created_at, started_at, finished_at`;
const KINDS = sql`kind IN ('buildIndex', 'bulkEdit')`;

function toJob(row: JobRow): ContactJob {
  return {
    id: row.id,
    workspaceId: row.workspace_id,
    kind: row.kind,
    status: row.status,
    request: jobInput.parse({ ...row.input, kind: row.kind }),
    cursor: Object.keys(row.cursor).length === 0 ? null : jobCursor.parse(row.cursor),
    progress: jobProgress.parse({ ...NO_CONTACT_JOB_PROGRESS, ...row.progress }),
    createdBy: row.created_by,
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
  };
}

export async function insertContactJob(
  tx: Queryable,
  job: { workspaceId: string; request: ContactJobRequest; createdBy: string },
): Promise<ContactJob> {
  const { kind, ...input } = job.request;
  const row = await one<JobRow>(
    tx,
    sql`INSERT INTO jobs (workspace_id, kind, input, progress, created_by)
        VALUES (${job.workspaceId}, ${kind}, ${JSON.stringify(input)}, ${JSON.stringify(NO_CONTACT_JOB_PROGRESS)},
          ${job.createdBy}) RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('a job could not be made');
  return toJob(row);
}

export async function findContactJob(db: Queryable, workspaceId: string, id: string): Promise<ContactJob | null> {
  const row = await one<JobRow>(
    db,
    sql`SELECT ${COLUMNS} FROM jobs WHERE workspace_id = ${workspaceId} AND id = ${id} AND ${KINDS}`,
  );
  return row === null ? null : toJob(row);
}

/** Jobs over contacts, newest first, one more than `limit`. */
export async function listContactJobs(
  db: Queryable,
  workspaceId: string,
  page: { before: string | null; limit: number },
): Promise<ContactJob[]> {
  const rows = await many<JobRow>(
    db,
    sql`SELECT ${COLUMNS} FROM jobs WHERE workspace_id = ${workspaceId} AND ${KINDS}
          AND (${page.before}::uuid IS NULL OR id < ${page.before}::uuid)
        ORDER BY id DESC LIMIT ${page.limit + 1}`,
  );
  return rows.map(toJob);
}

/** QUEUED → RUNNING; harmless when it runs already. */
export async function startContactJob(tx: Queryable, workspaceId: string, id: string): Promise<void> {
  await tx.query(sql`
    UPDATE jobs SET status = 'RUNNING', started_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${id} AND ${KINDS} AND status = 'QUEUED'`);
}

/** QUEUED or RUNNING → an end. False: it had ended, or another attempt was here first. */
export async function endContactJob(
  tx: Queryable,
  job: { workspaceId: string; id: string; status: 'DONE' | 'FAILED' | 'CANCELLED' },
): Promise<boolean> {
  const ended = await changed(
    tx,
    sql`UPDATE jobs SET status = ${job.status}, finished_at = sally_now()
        WHERE workspace_id = ${job.workspaceId} AND id = ${job.id} AND ${KINDS} AND status IN ('QUEUED', 'RUNNING')`,
  );
  return ended === 1;
}

/**
 * Moves a running job on, provided it stands where the caller thinks. False: it was cancelled, or another attempt is at
 * it; the caller rolls back. So every batch is applied once.
 */
export async function advanceContactJob(
  tx: Queryable,
  job: ContactJob,
  to: ContactJobCursor,
  progress: ContactJobProgress,
): Promise<boolean> {
  const advanced = await changed(
    tx,
    sql`UPDATE jobs SET cursor = ${JSON.stringify(to)}, progress = ${JSON.stringify(progress)}
        WHERE workspace_id = ${job.workspaceId} AND id = ${job.id} AND status = 'RUNNING'
          AND cursor = ${JSON.stringify(job.cursor ?? {})}::jsonb`,
  );
  return advanced === 1;
}
