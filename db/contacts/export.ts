import { z } from 'zod';
import { EXPORT_FORMATS, type ExportedContact } from '../../domain/contacts/export-format';
import { changed, many, one, type Queryable, sql } from '../../platform/postgres';

/** What an export was asked for (`jobs.input`). */
const exportInput = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('exportContacts'),
    format: z.enum(EXPORT_FORMATS),
    audienceId: z.string().nullable(),
    fields: z.array(z.string()),
    consents: z.array(z.string()),
  }),
  z.object({ kind: z.literal('exportContact'), contactId: z.string() }),
]);
export type ExportRequest = z.infer<typeof exportInput>;

/** Where it goes on (`jobs.cursor`): behind this row of this section, with this piece of the file. */
const exportCursor = z.object({ section: z.number(), after: z.string().nullable(), position: z.number() });
export type ExportCursor = z.infer<typeof exportCursor>;
const START: ExportCursor = { section: 0, after: null, position: 0 };

const exportProgress = z.object({ rows: z.number(), bytes: z.number() });
export type ExportProgress = z.infer<typeof exportProgress>;

const exportResult = z.object({ expiresAt: z.string().optional(), removed: z.string().optional() });

export type ExportStatus = 'QUEUED' | 'RUNNING' | 'DONE' | 'FAILED' | 'CANCELLED';

export interface ExportJob {
  id: string;
  workspaceId: string;
  status: ExportStatus;
  request: ExportRequest;
  cursor: ExportCursor;
  progress: ExportProgress;
  /** Until when the file can be fetched; null before it is complete. */
  expiresAt: Date | null;
  /** Why the file is gone (ERASURE, EXPIRED); null: it is not. */
  removed: string | null;
  createdBy: string | null;
  createdAt: Date;
  finishedAt: Date | null;
}

interface JobRow {
  id: string;
  workspace_id: string;
  kind: string;
  status: ExportStatus;
  input: object;
  cursor: object;
  progress: object;
  result: object | null;
  created_by: string | null;
  created_at: Date;
  finished_at: Date | null;
}

const COLUMNS = sql`id, workspace_id, kind, status, input, cursor, progress, result, created_by, created_at, finished_at`;
const KINDS = sql`kind IN ('exportContact', 'exportContacts')`;

function toJob(row: JobRow): ExportJob {
  const result = exportResult.parse(row.result ?? {});
  return {
    id: row.id,
    workspaceId: row.workspace_id,
    status: row.status,
    request: exportInput.parse({ ...row.input, kind: row.kind }),
    cursor: exportCursor.parse({ ...START, ...row.cursor }),
    progress: exportProgress.parse({ rows: 0, bytes: 0, ...row.progress }),
    expiresAt: result.expiresAt === undefined ? null : new Date(result.expiresAt),
    removed: result.removed ?? null,
    createdBy: row.created_by,
    createdAt: row.created_at,
    finishedAt: row.finished_at,
  };
}

export async function insertExport(
  tx: Queryable,
  job: { workspaceId: string; request: ExportRequest; createdBy: string },
): Promise<ExportJob> {
  const { kind, ...input } = job.request;
  const row = await one<JobRow & Record<string, unknown>>(
    tx,
    sql`INSERT INTO jobs (workspace_id, kind, input, created_by)
        VALUES (${job.workspaceId}, ${kind}, ${JSON.stringify(input)}, ${job.createdBy}) RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('an export could not be made');
  return toJob(row);
}

export async function findExport(db: Queryable, workspaceId: string, id: string): Promise<ExportJob | null> {
  const row = await one<JobRow & Record<string, unknown>>(
    db,
    sql`SELECT ${COLUMNS} FROM jobs WHERE workspace_id = ${workspaceId} AND id = ${id} AND ${KINDS}`,
  );
  return row === null ? null : toJob(row);
}

/** Exports, newest first, one more than `limit`. */
export async function listExports(
  db: Queryable,
  workspaceId: string,
  page: { before: string | null; limit: number },
): Promise<ExportJob[]> {
  const rows = await many<JobRow & Record<string, unknown>>(
    db,
    sql`SELECT ${COLUMNS} FROM jobs WHERE workspace_id = ${workspaceId} AND ${KINDS}
          AND (${page.before}::uuid IS NULL OR id < ${page.before}::uuid)
        ORDER BY id DESC LIMIT ${page.limit + 1}`,
  );
  return rows.map(toJob);
}

export async function startExport(db: Queryable, workspaceId: string, id: string): Promise<void> {
  await db.query(sql`
    UPDATE jobs SET status = 'RUNNING', started_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${id} AND ${KINDS} AND status = 'QUEUED'`);
}

/** QUEUED or RUNNING → CANCELLED, and the file's pieces go. False: it had ended. */
export async function cancelExport(tx: Queryable, workspaceId: string, id: string): Promise<boolean> {
  const cancelled = await changed(
    tx,
    sql`UPDATE jobs SET status = 'CANCELLED', finished_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${id} AND ${KINDS} AND status IN ('QUEUED', 'RUNNING')`,
  );
  if (cancelled === 1) {
    await tx.query(sql`DELETE FROM export_chunks WHERE workspace_id = ${workspaceId} AND job_id = ${id}`);
  }
  return cancelled === 1;
}

/**
 * Appends a piece to the file and moves the job on, provided it stands where the caller thinks. False: it was cancelled,
 * or another attempt is at it; the caller rolls back. `expiresInDays`: the file is complete with this piece.
 */
export async function advanceExport(
  tx: Queryable,
  job: ExportJob,
  step: { text: string; rows: number; cursor: ExportCursor; expiresInDays: number | null },
): Promise<boolean> {
  const data = Buffer.from(step.text, 'utf8');
  const progress = { rows: job.progress.rows + step.rows, bytes: job.progress.bytes + data.length };
  const advanced = await changed(
    tx,
    sql`UPDATE jobs SET cursor = ${JSON.stringify(step.cursor)}, progress = ${JSON.stringify(progress)},
          status = CASE WHEN ${step.expiresInDays}::integer IS NULL THEN status ELSE 'DONE' END,
          finished_at = CASE WHEN ${step.expiresInDays}::integer IS NULL THEN NULL ELSE sally_now() END,
          result = CASE WHEN ${step.expiresInDays}::integer IS NULL THEN result
            ELSE jsonb_build_object('expiresAt', sally_now() + make_interval(days => ${step.expiresInDays}::integer)) END
        WHERE workspace_id = ${job.workspaceId} AND id = ${job.id} AND status = 'RUNNING'
          AND coalesce((cursor->>'position')::integer, 0) = ${job.cursor.position}`,
  );
  if (advanced !== 1) return false;
  await tx.query(sql`
    INSERT INTO export_chunks (workspace_id, job_id, position, data)
    VALUES (${job.workspaceId}, ${job.id}, ${job.cursor.position}, ${data})`);
  return true;
}

/** One piece of a file, or null behind the last one. */
export async function readExportPiece(
  db: Queryable,
  workspaceId: string,
  jobId: string,
  position: number,
): Promise<Buffer | null> {
  const row = await one<{ data: Buffer }>(
    db,
    sql`SELECT data FROM export_chunks
        WHERE workspace_id = ${workspaceId} AND job_id = ${jobId} AND position = ${position}`,
  );
  return row?.data ?? null;
}

/** The database's clock, for "is the file still there?". */
export async function clockNow(db: Queryable): Promise<Date> {
  const row = await one<{ now: Date }>(db, sql`SELECT sally_now() AS now`);
  if (!row) throw new Error('the clock gave no row');
  return row.now;
}

/** Custom fields and purposes that an export has columns for. */
export async function exportColumns(
  db: Queryable,
  workspaceId: string,
): Promise<{ fields: string[]; consents: string[] }> {
  const fields = await many<{ name: string }>(
    db,
    sql`SELECT name FROM contact_field_definitions WHERE workspace_id = ${workspaceId} AND archived_at IS NULL ORDER BY name`,
  );
  const purposes = await many<{ key: string }>(
    db,
    sql`SELECT key FROM purposes WHERE workspace_id = ${workspaceId} AND archived_at IS NULL ORDER BY key`,
  );
  return { fields: fields.map(({ name }) => name), consents: purposes.map(({ key }) => key) };
}

interface ContactForExport extends Omit<ExportedContact, 'created_at' | 'updated_at'> {
  created_at: Date;
  updated_at: Date;
}

/** Contacts of the workspace, or of a list, by id. */
export async function readContactsForExport(
  db: Queryable,
  workspaceId: string,
  page: { audienceId: string | null; after: string | null; limit: number },
): Promise<ExportedContact[]> {
  const rows = await many<ContactForExport & Record<string, unknown>>(
    db,
    sql`SELECT c.id, c.email, c.status, c.first_name, c.last_name, c.locale, c.time_zone, c.tags, c.fields,
          coalesce(k.consents, '{}') AS consents, c.created_at, c.updated_at
        FROM contacts c
        LEFT JOIN LATERAL (
          SELECT jsonb_object_agg(p.key, s.status) AS consents FROM consents s
          JOIN purposes p ON p.workspace_id = s.workspace_id AND p.id = s.purpose_id
          WHERE s.workspace_id = c.workspace_id AND s.contact_id = c.id AND s.channel = 'email') k ON true
        WHERE c.workspace_id = ${workspaceId} AND c.erased_at IS NULL
          AND (${page.after}::uuid IS NULL OR c.id > ${page.after}::uuid)
          AND (${page.audienceId}::uuid IS NULL OR EXISTS (
            SELECT 1 FROM audience_members m WHERE m.workspace_id = c.workspace_id AND m.audience_id = ${page.audienceId}::uuid
              AND m.contact_id = c.id))
        ORDER BY c.id LIMIT ${page.limit}`,
  );
  return rows.map((row) => ({
    ...row,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  }));
}
