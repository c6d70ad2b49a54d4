import type { PoolClient } from 'pg';
import {
  advanceContactJob,
  type ContactJob,
  type ContactJobCursor,
  endContactJob,
  findContactJob,
  startContactJob,
} from '../../db/contacts';
import { writeAudit } from '../../db/workspace';
import type { ContactJobInput, ContactJobProgress, ContactJobSlice } from '../../domain/contacts/contract';
import type { Database } from '../../platform/postgres';

/** The job was cancelled, or another attempt goes on with it: this batch is rolled back. */
class JobTakenOver extends Error {
  constructor() {
    super('the job was cancelled or taken over');
    this.name = 'JobTakenOver';
  }
}

export interface JobStep {
  cursor: ContactJobCursor;
  progress: ContactJobProgress;
}

/** What one kind of job does. */
export interface JobWork {
  /** Counts, and what has to be known before the first batch. */
  begin(job: ContactJob): Promise<JobStep>;
  /** False: the first batch has to wait. */
  mayGoOn(job: ContactJob): Promise<boolean>;
  /** One batch in one transaction; null: nothing is left. 'superseded': the job has nothing to do any more. */
  batch(tx: PoolClient, job: ContactJob): Promise<JobStep | 'superseded' | null>;
  /** In the transaction that ends the job as DONE. */
  finish(tx: PoolClient, job: ContactJob): Promise<void>;
}

export interface SliceControl {
  /** How long the slice may last, in milliseconds. */
  budgetMs: number;
  /** Called after every batch; throws to stop between two of them. */
  pulse(progress: ContactJobProgress): void;
}

const WAIT_MS = 100;

/** Works on a job over contacts for a while, from where its row says; each batch is applied whole and once. */
export async function runContactJobSlice(
  db: Database,
  { workspaceId, jobId }: ContactJobInput,
  work: JobWork,
  control: SliceControl,
): Promise<ContactJobSlice> {
  const until = performance.now() + control.budgetMs;
  await startContactJob(db, workspaceId, jobId);
  try {
    for (;;) {
      const job = await findContactJob(db, workspaceId, jobId);
      if (!job) throw new Error('the job does not exist');
      if (job.status !== 'RUNNING') return told(job);
      control.pulse(job.progress);
      if (performance.now() > until) return told(job);
      if (job.cursor === null) {
        const step = await work.begin(job);
        if (!(await advanceContactJob(db, job, step.cursor, step.progress))) throw new JobTakenOver();
      } else if (!(await work.mayGoOn(job))) {
        await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
      } else {
        await db.transaction((tx) => applyBatch(tx, job, work));
      }
    }
  } catch (error) {
    if (!(error instanceof JobTakenOver)) throw error;
    const job = await findContactJob(db, workspaceId, jobId);
    if (!job) throw error;
    return told(job);
  }
}

async function applyBatch(tx: PoolClient, job: ContactJob, work: JobWork): Promise<void> {
  const step = await work.batch(tx, job);
  if (step === 'superseded') return end(tx, job, 'CANCELLED');
  if (step !== null) {
    if (!(await advanceContactJob(tx, job, step.cursor, step.progress))) throw new JobTakenOver();
    return;
  }
  await work.finish(tx, job);
  await end(tx, job, 'DONE');
}

async function end(tx: PoolClient, job: ContactJob, status: 'DONE' | 'CANCELLED'): Promise<void> {
  if (!(await endContactJob(tx, { workspaceId: job.workspaceId, id: job.id, status }))) throw new JobTakenOver();
  await writeAudit(tx, {
    workspaceId: job.workspaceId,
    actor: { type: 'system' },
    action: status === 'DONE' ? 'contact-job.finish' : 'contact-job.cancel',
    entityType: 'contact_job',
    entityId: job.id,
    old: { status: 'RUNNING' },
    new: { status, kind: job.kind, progress: job.progress },
  });
}

function told({ status, progress }: ContactJob): ContactJobSlice {
  return { state: status === 'QUEUED' || status === 'RUNNING' ? 'CONTINUE' : status, progress };
}
