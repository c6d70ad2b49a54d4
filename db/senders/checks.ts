import type { CheckProviderResult } from '../../domain/senders';
import { changed, one, type Queryable, sql } from '../../platform/postgres';

/** Makes the job of one check; its workflow is started after the commit. */
export async function createCheckJob(
  tx: Queryable,
  job: { workspaceId: string; providerId: string; createdBy: string },
): Promise<string> {
  const row = await one<{ id: string }>(
    tx,
    sql`INSERT INTO jobs (workspace_id, kind, input, created_by)
        VALUES (${job.workspaceId}, 'checkProvider', ${JSON.stringify({ provider_id: job.providerId })}, ${job.createdBy})
        RETURNING id`,
  );
  if (!row) throw new Error('a job could not be made');
  return row.id;
}

/** Marks a check's job as running; null when it has ended already or is none. */
export async function beginCheckJob(
  db: Queryable,
  workspaceId: string,
  jobId: string,
): Promise<{ providerId: string } | null> {
  const row = await one<{ provider_id: string }>(
    db,
    sql`UPDATE jobs SET status = 'RUNNING', started_at = coalesce(started_at, sally_now())
        WHERE workspace_id = ${workspaceId} AND id = ${jobId} AND kind = 'checkProvider' AND status IN ('QUEUED', 'RUNNING')
        RETURNING input->>'provider_id' AS provider_id`,
  );
  return row ? { providerId: row.provider_id } : null;
}

/** What a check has stored before, for an activity that is repeated after its end. */
export async function readCheckResult(
  db: Queryable,
  workspaceId: string,
  jobId: string,
): Promise<CheckProviderResult | null> {
  const row = await one<{ status: 'OK' | 'FAILED'; cause: string | null }>(
    db,
    sql`SELECT result->>'status' AS status, result->>'cause' AS cause FROM jobs
        WHERE workspace_id = ${workspaceId} AND id = ${jobId} AND result IS NOT NULL`,
  );
  return row ? { status: row.status, cause: row.cause } : null;
}

/**
 * Ends a check: the job's result and the provider's health in one transaction. `message` is for the operator and
 * holds neither secrets nor addresses. The provider's version stays: nothing that it is used with has changed.
 */
export async function finishCheckJob(
  tx: Queryable,
  check: {
    workspaceId: string;
    jobId: string;
    providerId: string;
    result: CheckProviderResult;
    message: string | null;
  },
): Promise<void> {
  const ended = await changed(
    tx,
    sql`UPDATE jobs SET status = 'DONE', finished_at = sally_now(), result = ${JSON.stringify(check.result)}
        WHERE workspace_id = ${check.workspaceId} AND id = ${check.jobId} AND status IN ('QUEUED', 'RUNNING')`,
  );
  if (ended === 0) return;
  await tx.query(sql`
    UPDATE providers SET last_check_at = sally_now(), last_check_status = ${check.result.status}, last_error = ${check.message}
    WHERE workspace_id = ${check.workspaceId} AND id = ${check.providerId}`);
}
