import { once } from 'node:events';
import type { Response } from 'express';
import { type ImportRejection, readRejections } from '../../db/contacts';
import { csvRow } from '../../domain/contacts/csv-writer';
import type { Database } from '../../platform/postgres';

/** Rows read from Postgres at once. */
const PAGE = 500;

/**
 * Streams the rejected rows of an import as CSV: row number, code, message, then the file's own cells. A slow reader
 * slows the reading from Postgres; nothing piles up.
 */
export async function streamRejected(
  db: Database,
  response: Response,
  job: { workspaceId: string; id: string; headers: readonly string[] },
): Promise<void> {
  response.status(200);
  response.setHeader('Content-Type', 'text/csv; charset=utf-8');
  response.setHeader('Content-Disposition', `attachment; filename="rejected-${job.id}.csv"`);
  response.write(csvRow(['row_number', 'code', 'message', ...job.headers]));
  for (let after = 0; !response.destroyed; ) {
    const rows = await db.workspaceTransaction(job.workspaceId, (tx) =>
      readRejections(tx, job.workspaceId, job.id, { after, limit: PAGE }),
    );
    const text = rows.map((row) => csvRow(cellsOf(row))).join('');
    if (text !== '' && !response.write(text)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) break;
    after = last.row;
  }
  response.end();
}

function cellsOf(row: ImportRejection): string[] {
  const message = row.column === null ? row.message : `${row.column}: ${row.message}`;
  return [String(row.row), row.code, message, ...row.cells];
}
