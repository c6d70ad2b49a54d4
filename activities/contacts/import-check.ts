import { activeFieldDefinitions, type ImportCursor, type ImportJob, readUploadChunk } from '../../db/contacts';
import { detectDialect, type HeaderMapping, mapHeaders, Utf8Decoder } from '../../domain/contacts';
import type { Queryable } from '../../platform/postgres';
import { ImportFailure, importFailure } from './import-failure';
import { FILE_START, ImportSource } from './import-source';

/** Rows looked at between two looks at whether the check should go on. */
const STRIDE = 20_000;
const MAX_CHARACTERS = 8 * 1024 * 1024;

export interface CheckedFile {
  /** Where the first row of contacts begins. */
  cursor: ImportCursor;
  rowsTotal: number;
}

/**
 * Reads the whole file once before anything is written, so that a file which cannot be read to its end changes nothing.
 * Throws ImportFailure. `pulse` is called often and may throw to stop.
 */
export async function checkFile(db: Queryable, job: ImportJob, pulse: (bytes: number) => void): Promise<CheckedFile> {
  const upload = { workspaceId: job.workspaceId, id: job.input.uploadId };
  const dialect = await readDialect(db, upload);
  const source = new ImportSource(db, upload, dialect, FILE_START);
  const header = await source.next(1, MAX_CHARACTERS);
  const headers = header.rows[0]?.cells;
  if (headers === undefined) throw importFailure('EMPTY_FILE', 'the file has no row: neither a header nor contacts');
  await mapImportHeaders(db, job, headers);
  let rowsTotal = 0;
  for (let last = header.last; !last; ) {
    const batch = await source.next(STRIDE, MAX_CHARACTERS);
    rowsTotal += batch.rows.length;
    last = batch.last;
    pulse(batch.end.offset);
  }
  if (rowsTotal === 0) throw importFailure('NO_ROWS', 'the file has a header and no row of contacts');
  return { cursor: { ...header.end, ...dialect, headers }, rowsTotal };
}

/** The mapping of the file's columns, by the workspace's definitions as they are now. Throws ImportFailure. */
export async function mapImportHeaders(
  db: Queryable,
  job: ImportJob,
  headers: readonly string[],
): Promise<HeaderMapping> {
  const definitions = await activeFieldDefinitions(db, job.workspaceId);
  const mapped = mapHeaders(headers, definitions, job.input.mapping);
  if (mapped.ok) return mapped.mapping;
  const [first] = mapped.errors;
  throw new ImportFailure({
    code: first?.code ?? 'NO_EMAIL_COLUMN',
    message: mapped.errors.map(({ message }) => message).join('; '),
    line: 1,
    column: first?.column ?? null,
  });
}

async function readDialect(db: Queryable, upload: { workspaceId: string; id: string }) {
  const chunk = await readUploadChunk(db, upload.workspaceId, upload.id, 0);
  if (chunk === null) throw importFailure('EMPTY_FILE', 'the file is empty, or was removed before it was imported');
  const decoded = new Utf8Decoder(true).decode(chunk);
  if (!decoded.ok) throw importFailure(decoded.code, decoded.message, 1);
  return detectDialect(decoded.text);
}
