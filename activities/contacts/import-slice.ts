import {
  advanceImport,
  deleteDryRunProfiles,
  findImport,
  finishImport,
  type ImportError,
  type ImportJob,
  startImport,
} from '../../db/contacts';
import { writeAudit } from '../../db/workspace';
import type { ImportContactsInput, ImportProgress, ImportSlice } from '../../domain/contacts/contract';
import type { ActivityDependencies } from '../dependencies';
import { applyBatch, type ImportStep } from './import-apply';
import { checkFile, mapImportHeaders } from './import-check';
import { ImportFailure, ImportTakenOver } from './import-failure';
import { type PreparedBatch, prepareBatch } from './import-rows';
import { ImportSource } from './import-source';

/** Rows of a transaction: large enough that a round trip hardly counts, small enough to commit within a second. */
const BATCH_ROWS = 2_000;
const BATCH_CHARACTERS = 4 * 1024 * 1024;

type SliceDependencies = Pick<ActivityDependencies, 'db' | 'addressHasher'>;

export interface SliceControl {
  /** How long the slice may last, in milliseconds. */
  budgetMs: number;
  /** Called after every batch; throws to stop between two of them. */
  pulse(progress: ImportProgress): void;
}

/**
 * Works on an import for a while, from where its row says. Whatever interrupts it, the next slice goes on behind the
 * last committed batch. A file that cannot be imported ends the job with an error; that is a result, not an exception.
 */
export async function runImportSlice(
  deps: SliceDependencies,
  { workspaceId, jobId }: ImportContactsInput,
  control: SliceControl,
): Promise<ImportSlice> {
  await startImport(deps.db, workspaceId, jobId);
  const job = await findImport(deps.db, workspaceId, jobId);
  if (!job) throw new Error('the import does not exist');
  if (job.status !== 'RUNNING') return ended(deps, workspaceId, jobId);
  try {
    const done = await work(deps, job, control);
    return done === null ? await finish(deps, job, 'DONE', null) : { state: 'CONTINUE', progress: done, code: null };
  } catch (error) {
    if (error instanceof ImportTakenOver) return ended(deps, workspaceId, jobId);
    if (error instanceof ImportFailure) return finish(deps, job, 'FAILED', error.details);
    throw error;
  }
}

/** @returns the progress when time was up, null when the file is done */
async function work(deps: SliceDependencies, job: ImportJob, control: SliceControl): Promise<ImportProgress | null> {
  const until = performance.now() + control.budgetMs;
  let step: ImportStep =
    job.cursor === null ? await check(deps, job, control) : { cursor: job.cursor, progress: job.progress };
  const mapping = await mapImportHeaders(deps.db, job, step.cursor.headers);
  const { cursor, input } = { cursor: step.cursor, input: job.input };
  const source = new ImportSource(deps.db, { workspaceId: job.workspaceId, id: input.uploadId }, cursor, cursor);
  const prepare = async (earlier: PreparedBatch | null): Promise<PreparedBatch> => {
    const rows = await source.next(BATCH_ROWS, BATCH_CHARACTERS);
    return prepareBatch(mapping, rows, input.onInvalidField, deps.addressHasher, earlier);
  };
  // Two batches are under way at once: Postgres writes one while this process reads, judges and sends the next.
  let before = Promise.resolve(step);
  for (let batch: PreparedBatch | null = await prepare(null); batch !== null; ) {
    const applying = applyBatch(deps.db, job, mapping, batch, before);
    applying.catch(() => {});
    const isLate = performance.now() > until;
    const next: PreparedBatch | null = batch.last || isLate ? null : await prepare(batch);
    control.pulse((await before).progress);
    before = applying;
    if (next === null) {
      step = await applying;
      control.pulse(step.progress);
      if (!batch.last) return step.progress;
    }
    batch = next;
  }
  return null;
}

async function check(deps: SliceDependencies, job: ImportJob, control: SliceControl): Promise<ImportStep> {
  const { cursor, rowsTotal } = await checkFile(deps.db, job, () => control.pulse(job.progress));
  const progress = { ...job.progress, rowsTotal };
  const moved = await advanceImport(deps.db, {
    workspaceId: job.workspaceId,
    id: job.id,
    from: null,
    to: cursor,
    progress,
  });
  if (!moved) throw new ImportTakenOver();
  return { cursor, progress };
}

async function finish(
  deps: SliceDependencies,
  job: ImportJob,
  status: 'DONE' | 'FAILED',
  error: ImportError | null,
): Promise<ImportSlice> {
  const { workspaceId, id } = job;
  await deps.db.transaction(async (tx) => {
    if (!(await finishImport(tx, { workspaceId, id, status, error }))) return;
    if (job.input.dryRun) await deleteDryRunProfiles(tx, workspaceId, id);
    const finished = await findImport(tx, workspaceId, id);
    await writeAudit(tx, {
      workspaceId,
      actor: { type: 'system' },
      action: status === 'DONE' ? 'import.finish' : 'import.fail',
      entityType: 'import',
      entityId: id,
      old: { status: 'RUNNING' },
      new: { status, code: error?.code ?? null, progress: finished?.progress },
    });
  });
  return ended(deps, workspaceId, id);
}

/** What the row says: a job that has ended, or one that another attempt goes on with. */
async function ended(deps: SliceDependencies, workspaceId: string, jobId: string): Promise<ImportSlice> {
  const job = await findImport(deps.db, workspaceId, jobId);
  if (!job) throw new Error('the import does not exist');
  const state = job.status === 'QUEUED' || job.status === 'RUNNING' ? 'CONTINUE' : job.status;
  if (state === 'CANCELLED' && job.input.dryRun) await deleteDryRunProfiles(deps.db, workspaceId, jobId);
  return { state, progress: job.progress, code: job.error?.code ?? null };
}
