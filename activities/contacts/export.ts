import type { PoolClient } from 'pg';
import {
  advanceExport,
  type ExportCursor,
  type ExportJob,
  findExport,
  readContactsForExport,
  startExport,
} from '../../db/contacts/export';
import { contactFamily, PERSON_SECTIONS, readPersonRows } from '../../db/contacts/person';
import { retentionDays } from '../../db/contacts/retention';
import { writeAudit } from '../../db/workspace';
import type { ExportSlice, RightsJobInput } from '../../domain/contacts/contract';
import { exportHead, exportLine } from '../../domain/contacts/export-format';
import type { ActivityDependencies } from '../dependencies';

/** Rows of one piece of a file. */
const ROWS = 1_000;

interface Piece {
  text: string;
  rows: number;
  cursor: ExportCursor;
  last: boolean;
}

/**
 * Writes an export's file piece by piece for a while, from where its row says. A piece and the cursor behind it are one
 * transaction, so that a killed attempt leaves neither a gap nor a repetition.
 */
export async function runExportSlice(
  deps: Pick<ActivityDependencies, 'db'>,
  { workspaceId, jobId }: RightsJobInput,
  control: { budgetMs: number; pulse(): void },
): Promise<ExportSlice> {
  const until = performance.now() + control.budgetMs;
  await startExport(deps.db, workspaceId, jobId);
  for (;;) {
    const job = await findExport(deps.db, workspaceId, jobId);
    if (!job) throw new Error('the export does not exist');
    if (job.status !== 'RUNNING') return { state: job.status === 'QUEUED' ? 'CONTINUE' : job.status, ...job.progress };
    if (performance.now() > until) return { state: 'CONTINUE', ...job.progress };
    control.pulse();
    await deps.db.transaction((tx) => writePiece(tx, job));
  }
}

/** Does nothing when the job was cancelled in between, or another attempt is at it. */
async function writePiece(tx: PoolClient, job: ExportJob): Promise<void> {
  const piece = job.request.kind === 'exportContacts' ? await contactsPiece(tx, job) : await personPiece(tx, job);
  const expiresInDays = piece.last ? ((await retentionDays(tx, job.workspaceId, 'exports')) ?? 36_500) : null;
  if (!(await advanceExport(tx, job, { ...piece, expiresInDays })) || !piece.last) return;
  await writeAudit(tx, {
    workspaceId: job.workspaceId,
    actor: { type: 'system' },
    action: 'export.finish',
    entityType: 'export',
    entityId: job.id,
    new: { status: 'DONE', rows: job.progress.rows + piece.rows },
  });
}

async function contactsPiece(tx: PoolClient, job: ExportJob): Promise<Piece> {
  const { request, cursor, workspaceId } = job;
  if (request.kind !== 'exportContacts') throw new Error('another kind of export');
  const { format, audienceId } = request;
  const contacts = await readContactsForExport(tx, workspaceId, { audienceId, after: cursor.after, limit: ROWS });
  const head = cursor.position === 0 ? exportHead(format, request) : '';
  return {
    text: head + contacts.map((contact) => exportLine(format, request, contact)).join(''),
    rows: contacts.length,
    cursor: { section: 0, after: contacts.at(-1)?.id ?? cursor.after, position: cursor.position + 1 },
    last: contacts.length < ROWS,
  };
}

/** The next page of a section of the person's document, with the brackets around it. */
async function personPiece(tx: PoolClient, job: ExportJob): Promise<Piece> {
  const { request, cursor, workspaceId } = job;
  const section = PERSON_SECTIONS[cursor.section];
  if (request.kind !== 'exportContact' || !section) throw new Error('another kind of export');
  const family = await contactFamily(tx, workspaceId, request.contactId);
  const rows = await readPersonRows(tx, section, { workspaceId, family, after: cursor.after, limit: ROWS });
  const first = cursor.after === null;
  const ends = rows.length < ROWS;
  const last = ends && cursor.section === PERSON_SECTIONS.length - 1;
  const opening = first ? `${cursor.section === 0 ? '{' : ','}\n${JSON.stringify(section.name)}: [` : '';
  const lines = rows.map(({ document }, index) => `${first && index === 0 ? '' : ','}\n  ${JSON.stringify(document)}`);
  return {
    text: `${opening}${lines.join('')}${ends ? '\n]' : ''}${last ? '\n}\n' : ''}`,
    rows: rows.length,
    cursor: {
      section: ends ? cursor.section + 1 : cursor.section,
      after: ends ? null : (rows.at(-1)?.key ?? null),
      position: cursor.position + 1,
    },
    last,
  };
}
