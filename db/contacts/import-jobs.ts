import { z } from 'zod';
import { type ImportProgress, NO_PROGRESS } from '../../domain/contacts/contract';
import { changed, many, one, type Queryable, sql } from '../../platform/postgres';

/** What an import was asked to do (`jobs.input`). */
const importInput = z.object({
  uploadId: z.string(),
  mapping: z.record(z.string(), z.string().nullable()),
  dryRun: z.boolean(),
  onInvalidField: z.enum(['reject', 'skip-field']),
  tags: z.array(z.string()),
  audienceId: z.string().nullable(),
  consent: z.object({ purposeId: z.string(), purpose: z.string(), statement: z.string() }).nullable(),
});
export type ImportInput = z.infer<typeof importInput>;

/** Where the import goes on: the byte, line and row that follow the last one committed (`jobs.cursor`). */
const importCursor = z.object({
  offset: z.number(),
  line: z.number(),
  row: z.number(),
  delimiter: z.enum([',', ';', '\t', '|']),
  newline: z.enum(['\n', '\r']),
  headers: z.array(z.string()),
});
export type ImportCursor = z.infer<typeof importCursor>;

const importProgress: z.ZodType<ImportProgress> = z.object({
  bytesTotal: z.number(),
  bytesDone: z.number(),
  rowsTotal: z.number().nullable(),
  rowsDone: z.number(),
  created: z.number(),
  updated: z.number(),
  unchanged: z.number(),
  rejected: z.number(),
  skippedCells: z.number(),
  consentsGranted: z.number(),
  membersAdded: z.number(),
});

/** Why an import failed as a whole. */
const importError = z.object({
  code: z.string(),
  message: z.string(),
  line: z.number().nullable(),
  column: z.string().nullable(),
});
export type ImportError = z.infer<typeof importError>;

export type JobStatus = 'QUEUED' | 'RUNNING' | 'DONE' | 'FAILED' | 'CANCELLED';

export interface ImportJob {
  id: string;
  workspaceId: string;
  status: JobStatus;
  input: ImportInput;
  /** Null until the file was checked. */
  cursor: ImportCursor | null;
  progress: ImportProgress;
  error: ImportError | null;
  createdAt: Date;
  startedAt: Date | null;
  finishedAt: Date | null;
}

interface JobRow {
  id: string;
  workspace_id: string;
  status: JobStatus;
  input: unknown;
  cursor: object;
  progress: object;
  error: unknown;
  created_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
}

const COLUMNS = sql`id, workspace_id, status, input, cursor, progress, error, created_at, started_at, finished_at`;

function toJob(row: JobRow): ImportJob {
  return {
    id: row.id,
    workspaceId: row.workspace_id,
    status: row.status,
    input: importInput.parse(row.input),
    cursor: Object.keys(row.cursor).length === 0 ? null : importCursor.parse(row.cursor),
    progress: { ...NO_PROGRESS, ...importProgress.parse({ ...NO_PROGRESS, ...row.progress }) },
    error: row.error === null ? null : importError.parse(row.error),
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
  };
}

export async function insertImport(
  tx: Queryable,
  job: { workspaceId: string; input: ImportInput; bytesTotal: number; createdBy: string },
): Promise<ImportJob> {
  const row = await one<JobRow>(
    tx,
    sql`INSERT INTO jobs (workspace_id, kind, input, progress, created_by)
        VALUES (${job.workspaceId}, 'importContacts', ${JSON.stringify(job.input)},
          ${JSON.stringify({ ...NO_PROGRESS, bytesTotal: job.bytesTotal })}, ${job.createdBy}) RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('an import could not be made');
  return toJob(row);
}

export async function findImport(db: Queryable, workspaceId: string, id: string): Promise<ImportJob | null> {
  const row = await one<JobRow>(
    db,
    sql`SELECT ${COLUMNS} FROM jobs
        WHERE workspace_id = ${workspaceId} AND id = ${id} AND kind = 'importContacts'`,
  );
  return row === null ? null : toJob(row);
}

/** Imports, newest first, one more than `limit`. */
export async function listImports(
  db: Queryable,
  workspaceId: string,
  page: { before: string | null; limit: number },
): Promise<ImportJob[]> {
  const rows = await many<JobRow>(
    db,
    sql`SELECT ${COLUMNS} FROM jobs
        WHERE workspace_id = ${workspaceId} AND kind = 'importContacts'
          AND (${page.before}::uuid IS NULL OR id < ${page.before}::uuid)
        ORDER BY id DESC LIMIT ${page.limit + 1}`,
  );
  return rows.map(toJob);
}

/** QUEUED → RUNNING; harmless when it runs already. */
export async function startImport(tx: Queryable, workspaceId: string, id: string): Promise<void> {
  await tx.query(sql`
    UPDATE jobs SET status = 'RUNNING', started_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${id} AND status = 'QUEUED'`);
}

/** QUEUED or RUNNING → CANCELLED: the batch under way is the last one, and is rolled back. False: it had ended. */
export async function cancelImport(tx: Queryable, workspaceId: string, id: string): Promise<boolean> {
  const cancelled = await changed(
    tx,
    sql`UPDATE jobs SET status = 'CANCELLED', finished_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${id} AND kind = 'importContacts' AND status IN ('QUEUED', 'RUNNING')`,
  );
  return cancelled === 1;
}

/** RUNNING → DONE or FAILED. False: it was cancelled in the meantime, or another attempt was here first. */
export async function finishImport(
  tx: Queryable,
  job: { workspaceId: string; id: string; status: 'DONE' | 'FAILED'; error: ImportError | null },
): Promise<boolean> {
  const finished = await changed(
    tx,
    sql`UPDATE jobs SET status = ${job.status}, finished_at = sally_now(),
          error = ${job.error === null ? null : JSON.stringify(job.error)}
        WHERE workspace_id = ${job.workspaceId} AND id = ${job.id} AND status = 'RUNNING'`,
  );
  return finished === 1;
}

/**
 * Moves a running import on, provided it stands where the caller thinks: at `from`. False means that it was cancelled,
 * or that another attempt is at it; the caller rolls back and reads the row again. Every row is thus applied once.
 */
export async function advanceImport(
  tx: Queryable,
  job: { workspaceId: string; id: string; from: ImportCursor | null; to: ImportCursor; progress: ImportProgress },
): Promise<boolean> {
  const advanced = await changed(
    tx,
    sql`UPDATE jobs SET cursor = ${JSON.stringify(job.to)}, progress = ${JSON.stringify(job.progress)}
        WHERE workspace_id = ${job.workspaceId} AND id = ${job.id} AND status = 'RUNNING'
          AND cursor = ${JSON.stringify(job.from ?? {})}::jsonb`,
  );
  return advanced === 1;
}
