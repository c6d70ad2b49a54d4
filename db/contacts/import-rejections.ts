import { many, type Queryable, sql } from '../../platform/postgres';

/** One row of a file that was not imported, and why. */
export interface ImportRejection {
  row: number;
  code: string;
  column: string | null;
  message: string;
  /** The row as it stood in the file. */
  cells: readonly string[];
}

/** Keeps rejected rows; a row rejected before (by an attempt that was repeated) stays as it is. */
export async function insertRejections(
  tx: Queryable,
  workspaceId: string,
  jobId: string,
  rejections: readonly ImportRejection[],
): Promise<void> {
  if (rejections.length === 0) return;
  await tx.query(sql`
    INSERT INTO import_rejections (workspace_id, job_id, row_number, code, column_name, message, cells)
    SELECT ${workspaceId}, ${jobId}, r."row", r.code, r."column", r.message, r.cells
    FROM jsonb_to_recordset(${storableJson(rejections)}::jsonb)
      AS r ("row" integer, code text, "column" text, message text, cells jsonb)
    ON CONFLICT DO NOTHING`);
}

/** Rejected rows by number, `limit` at a time. */
export function readRejections(
  db: Queryable,
  workspaceId: string,
  jobId: string,
  page: { after: number; limit: number },
): Promise<ImportRejection[]> {
  return many(
    db,
    sql`SELECT row_number AS "row", code, column_name AS "column", message, cells FROM import_rejections
        WHERE workspace_id = ${workspaceId} AND job_id = ${jobId} AND row_number > ${page.after}
        ORDER BY row_number LIMIT ${page.limit}`,
  );
}

/** JSON without half surrogate pairs, which Postgres refuses; the file's text has been decoded, so none is expected. */
function storableJson(value: unknown): string {
  return JSON.stringify(value).replace(/\\ud[89ab][0-9a-f]{2}|\\ud[c-f][0-9a-f]{2}/gi, '\\ufffd');
}
