import { many, one, type Queryable, sql } from '../../platform/postgres';

/** Bytes per row of `upload_chunks`; every chunk but the last has exactly this size. */
export const UPLOAD_CHUNK_BYTES = 256 * 1024;

export interface UploadRow {
  id: string;
  filename: string;
  content_type: string;
  size_bytes: number;
  sha256: string | null;
  completed_at: Date | null;
  created_at: Date;
}

const COLUMNS = sql`id, filename, content_type, size_bytes, sha256, completed_at, created_at`;

export function findUpload(db: Queryable, workspaceId: string, id: string): Promise<UploadRow | null> {
  return one(db, sql`SELECT ${COLUMNS} FROM uploads WHERE workspace_id = ${workspaceId} AND id = ${id}`);
}

export async function insertUpload(
  tx: Queryable,
  upload: { workspaceId: string; filename: string; contentType: string; createdBy: string },
): Promise<string> {
  const row = await one<{ id: string }>(
    tx,
    sql`INSERT INTO uploads (workspace_id, filename, content_type, created_by)
        VALUES (${upload.workspaceId}, ${upload.filename}, ${upload.contentType}, ${upload.createdBy}) RETURNING id`,
  );
  if (!row) throw new Error('an upload could not be begun');
  return row.id;
}

export async function insertUploadChunk(
  tx: Queryable,
  chunk: { workspaceId: string; uploadId: string; position: number; data: Buffer },
): Promise<void> {
  await tx.query(sql`
    INSERT INTO upload_chunks (workspace_id, upload_id, position, data)
    VALUES (${chunk.workspaceId}, ${chunk.uploadId}, ${chunk.position}, ${chunk.data})`);
}

/** From now on the upload can be imported. */
export async function completeUpload(
  tx: Queryable,
  upload: { workspaceId: string; uploadId: string; sizeBytes: number; sha256: string },
): Promise<UploadRow> {
  const row = await one<UploadRow>(
    tx,
    sql`UPDATE uploads SET size_bytes = ${upload.sizeBytes}, sha256 = ${upload.sha256}, completed_at = sally_now()
        WHERE workspace_id = ${upload.workspaceId} AND id = ${upload.uploadId} AND completed_at IS NULL
        RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('an upload was completed twice');
  return row;
}

export async function deleteUpload(tx: Queryable, workspaceId: string, id: string): Promise<void> {
  await tx.query(sql`DELETE FROM uploads WHERE workspace_id = ${workspaceId} AND id = ${id}`);
}

/**
 * Removes the oldest upload that nobody needs: begun a day ago and never completed, or completed a week ago and not
 * waited for by a job. One at a time, since a gigabyte takes a while.
 */
export async function deleteExpiredUpload(tx: Queryable, workspaceId: string): Promise<void> {
  await tx.query(sql`
    DELETE FROM uploads WHERE workspace_id = ${workspaceId} AND id = (
      SELECT u.id FROM uploads u WHERE u.workspace_id = ${workspaceId}
        AND u.created_at < sally_now() - CASE WHEN u.completed_at IS NULL THEN interval '1 day' ELSE interval '7 days' END
        AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.workspace_id = u.workspace_id AND j.status IN ('QUEUED', 'RUNNING')
          AND j.input ->> 'uploadId' = u.id::text)
      ORDER BY u.id LIMIT 1 FOR UPDATE SKIP LOCKED)`);
}

/** One chunk, or null behind the last one. */
export async function readUploadChunk(
  db: Queryable,
  workspaceId: string,
  uploadId: string,
  position: number,
): Promise<Buffer | null> {
  const [row] = await many<{ data: Buffer }>(
    db,
    sql`SELECT data FROM upload_chunks
        WHERE workspace_id = ${workspaceId} AND upload_id = ${uploadId} AND position = ${position}`,
  );
  return row?.data ?? null;
}
