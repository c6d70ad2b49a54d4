import { RETENTION_DEFAULTS, RETENTION_KINDS, type RetentionKind } from '../../domain/contacts/retention';
import { changed, many, type Queryable, type Statement, sql } from '../../platform/postgres';

/** Name in workspace_jobs. */
const JOB = 'enforce-retention';
/** Rows of one statement: short transactions keep the horizon moving. */
const BATCH = 2_000;

/** Days that each kind of data is kept in a workspace; null = for ever. */
export type RetentionPeriods = Record<RetentionKind, number | null>;

export async function retentionPeriods(db: Queryable, workspaceId: string): Promise<RetentionPeriods> {
  const rows = await many<{ kind: string; days: number | null }>(
    db,
    sql`SELECT kind, days FROM retention_periods WHERE workspace_id = ${workspaceId}`,
  );
  const periods: RetentionPeriods = { ...RETENTION_DEFAULTS };
  for (const kind of RETENTION_KINDS) {
    const own = rows.find((row) => row.kind === kind);
    if (own) periods[kind] = own.days;
  }
  return periods;
}

export async function retentionDays(db: Queryable, workspaceId: string, kind: RetentionKind): Promise<number | null> {
  return (await retentionPeriods(db, workspaceId))[kind];
}

export async function setRetentionDays(
  tx: Queryable,
  workspaceId: string,
  kind: RetentionKind,
  days: number | null,
): Promise<void> {
  await tx.query(sql`
    INSERT INTO retention_periods (workspace_id, kind, days) VALUES (${workspaceId}, ${kind}, ${days})
    ON CONFLICT (workspace_id, kind) DO UPDATE SET days = excluded.days, updated_at = sally_now()`);
}

/** Workspaces where it has not been done for their local date yet. */
export async function workspacesDueForRetention(db: Queryable): Promise<string[]> {
  const rows = await many<{ id: string }>(
    db,
    sql`SELECT w.id FROM workspaces w
        LEFT JOIN workspace_jobs j ON j.workspace_id = w.id AND j.job = ${JOB}
        WHERE j.local_date IS DISTINCT FROM (sally_now() AT TIME ZONE w.time_zone)::date
        ORDER BY j.ran_at NULLS FIRST, w.id LIMIT 500`,
  );
  return rows.map(({ id }) => id);
}

/** Notes that it was done for the workspace's local date. */
export async function noteRetention(
  tx: Queryable,
  workspaceId: string,
  removed: Record<string, number>,
): Promise<void> {
  await tx.query(sql`
    INSERT INTO workspace_jobs (workspace_id, job, local_date, details)
    SELECT id, ${JOB}, (sally_now() AT TIME ZONE time_zone)::date, ${JSON.stringify(removed)} FROM workspaces WHERE id = ${workspaceId}
    ON CONFLICT (workspace_id, job) DO UPDATE SET local_date = excluded.local_date, ran_at = sally_now(), details = excluded.details`);
}

/** One batch of what is older than `days` of a kind; fewer rows than `BATCH` mean that nothing is left. */
function batchOf(kind: RetentionKind, workspaceId: string, days: number): Statement {
  const before = sql`sally_now() - make_interval(days => ${days}::integer)`;
  switch (kind) {
    case 'exports':
      // A file carries its own time, set when it was complete.
      return sql`WITH over AS MATERIALIZED (
          SELECT j.id FROM jobs j WHERE j.workspace_id = ${workspaceId} AND j.kind IN ('exportContact', 'exportContacts')
            AND coalesce((j.result->>'expiresAt')::timestamptz, j.finished_at) <= sally_now()
            AND EXISTS (SELECT 1 FROM export_chunks c WHERE c.workspace_id = j.workspace_id AND c.job_id = j.id) LIMIT ${BATCH}),
        gone AS (DELETE FROM export_chunks c USING over WHERE c.workspace_id = ${workspaceId} AND c.job_id = over.id)
        UPDATE jobs j SET result = coalesce(j.result, '{}') || '{"removed": "EXPIRED"}' FROM over
        WHERE j.workspace_id = ${workspaceId} AND j.id = over.id`;
    case 'uploads':
      return sql`DELETE FROM uploads WHERE workspace_id = ${workspaceId} AND id IN (
          SELECT u.id FROM uploads u WHERE u.workspace_id = ${workspaceId} AND u.created_at < ${before}
            AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.workspace_id = u.workspace_id AND j.status IN ('QUEUED', 'RUNNING')
              AND j.input->>'uploadId' = u.id::text)
          LIMIT ${BATCH})`;
    case 'import_rejections':
      return sql`DELETE FROM import_rejections r USING (
          SELECT r.job_id, r.row_number FROM import_rejections r
          JOIN jobs j ON j.workspace_id = r.workspace_id AND j.id = r.job_id AND j.finished_at < ${before}
          WHERE r.workspace_id = ${workspaceId} LIMIT ${BATCH}) over
        WHERE r.workspace_id = ${workspaceId} AND r.job_id = over.job_id AND r.row_number = over.row_number`;
    case 'idempotency_keys':
      return sql`DELETE FROM idempotency_keys k USING (
          SELECT operation, key FROM idempotency_keys WHERE workspace_id = ${workspaceId} AND created_at < ${before} LIMIT ${BATCH}) over
        WHERE k.workspace_id = ${workspaceId} AND k.operation = over.operation AND k.key = over.key`;
    case 'delivery_addresses':
      return sql`UPDATE deliveries d SET address = NULL, recipient_name = NULL, context = NULL FROM (
          SELECT source_id, id FROM deliveries WHERE workspace_id = ${workspaceId}
            AND source_id < sally_uuid_v7_floor(${before}) AND created_at < ${before}
            AND (status IN ('SENT', 'FAILED', 'CANCELLED') OR (status = 'UNCONFIRMED' AND reason = 'NO_EVIDENCE'))
            AND num_nonnulls(address, recipient_name, context) > 0 LIMIT ${BATCH}) over
        WHERE d.source_id = over.source_id AND d.id = over.id`;
    case 'delivery_diagnostics':
      return sql`UPDATE delivery_attempts a SET diagnostic = NULL FROM (
          SELECT source_id, delivery_id, claim_id FROM delivery_attempts
          WHERE workspace_id = ${workspaceId} AND at < ${before} AND diagnostic IS NOT NULL LIMIT ${BATCH}) over
        WHERE a.source_id = over.source_id AND a.delivery_id = over.delivery_id AND a.claim_id = over.claim_id`;
    case 'unconfirmed_sign_ups':
      return sql`UPDATE opt_in_requests q SET profile = '{}', ip_address = NULL, user_agent = NULL FROM (
          SELECT id FROM opt_in_requests WHERE workspace_id = ${workspaceId} AND status IN ('EXPIRED', 'CANCELLED')
            AND updated_at < ${before} AND (profile <> '{}' OR num_nonnulls(ip_address, user_agent) > 0) LIMIT ${BATCH}) over
        WHERE q.workspace_id = ${workspaceId} AND q.id = over.id`;
    case 'event_keys':
      return sql`DELETE FROM event_keys k USING (
          SELECT client_event_id FROM event_keys WHERE workspace_id = ${workspaceId} AND received_at < ${before}
          ORDER BY received_at LIMIT ${BATCH}) over
        WHERE k.workspace_id = ${workspaceId} AND k.client_event_id = over.client_event_id`;
  }
}

/** Removes a batch of what a kind has kept for its time; true: there may be more. */
export async function removeExpired(
  tx: Queryable,
  workspaceId: string,
  kind: RetentionKind,
  days: number,
): Promise<{ removed: number; more: boolean }> {
  const removed = await changed(tx, batchOf(kind, workspaceId, days));
  return { removed, more: removed >= BATCH };
}
