import type { PoolClient } from 'pg';
import { MAX_ATTEMPTS } from '../../domain/delivery';
import { changed, type Database, many, type Queryable, sql } from '../../platform/postgres';
import { returnUnits, unitsOfClaims } from './capacity';
import { countStream, OTHER_SLOT } from './claim';

/** Registers a delivery process with its first lease. Leases run on the real clock, not on the rules' one. */
export async function registerProcess(db: Queryable, processId: string, leaseSeconds: number): Promise<void> {
  await db.query(sql`
    INSERT INTO delivery_processes (id, lease_until, lease_seconds)
    VALUES (${processId}, clock_timestamp() + ${leaseSeconds} * interval '1 second', ${leaseSeconds})`);
}

/** Extends the lease; false when it had ended or was taken away: everything held under it must be dropped. */
export async function renewLease(db: Queryable, processId: string): Promise<boolean> {
  const rows = await changed(
    db,
    sql`UPDATE delivery_processes
        SET renewed_at = clock_timestamp(), lease_until = clock_timestamp() + lease_seconds * interval '1 second'
        WHERE id = ${processId} AND released_at IS NULL AND lease_until > clock_timestamp()`,
  );
  return rows === 1;
}

/** A graceful stop: every row is settled, nobody needs to look after this process. */
export async function releaseProcess(db: Queryable, processId: string): Promise<void> {
  await db.query(
    sql`UPDATE delivery_processes SET released_at = clock_timestamp() WHERE id = ${processId} AND released_at IS NULL`,
  );
}

/** Processes whose lease holds: each polls a task queue of its own. */
export async function liveProcesses(db: Queryable): Promise<string[]> {
  const rows = await many<{ id: string }>(
    db,
    sql`SELECT id FROM delivery_processes WHERE released_at IS NULL AND lease_until > clock_timestamp() ORDER BY id`,
  );
  return rows.map((row) => row.id);
}

/** Processes whose lease has ended without a release. */
export async function expiredProcesses(db: Queryable): Promise<{ id: string; leaseSeconds: number }[]> {
  const rows = await many<{ id: string; lease_seconds: number }>(
    db,
    sql`SELECT id, lease_seconds FROM delivery_processes WHERE released_at IS NULL AND lease_until <= clock_timestamp()`,
  );
  return rows.map((row) => ({ id: row.id, leaseSeconds: row.lease_seconds }));
}

/**
 * Takes care of what an expired process left: its SENDING rows may be on the wire, so they become UNCONFIRMED, or
 * (opt-in and transactional) are queued again after another lease. Returns how many rows, null when another
 * process is at it.
 */
export function reapProcess(db: Database, processId: string, byProcess: string): Promise<number | null> {
  return db.transaction(async (tx) => {
    const locked = await many<{ lease_seconds: number }>(
      tx,
      sql`SELECT lease_seconds FROM delivery_processes WHERE id = ${processId} AND released_at IS NULL
            AND lease_until <= clock_timestamp() FOR UPDATE SKIP LOCKED`,
    );
    const [process] = locked;
    if (!process) return null;
    const claims = await many<{ claim_id: string }>(
      tx,
      sql`SELECT claim_id FROM delivery_groups WHERE process_id = ${processId} AND settled_at IS NULL`,
    );
    const rows = await loseClaims(
      tx,
      claims.map((claim) => claim.claim_id),
      process.lease_seconds,
      byProcess,
    );
    await tx.query(sql`UPDATE delivery_processes SET released_at = clock_timestamp() WHERE id = ${processId}`);
    return rows;
  });
}

/** Open groups of a process that began before `olderThanSeconds`; those it does not hold in memory are lost. */
export async function openGroups(db: Queryable, processId: string, olderThanSeconds: number): Promise<string[]> {
  const rows = await many<{ claim_id: string }>(
    db,
    sql`SELECT claim_id FROM delivery_groups WHERE process_id = ${processId} AND settled_at IS NULL
          AND claimed_at < sally_now() - ${olderThanSeconds} * interval '1 second'`,
  );
  return rows.map((row) => row.claim_id);
}

/** Marks the rows of claims whose outcome nobody will learn, closes their groups and counts. */
export async function loseClaims(
  tx: PoolClient,
  claimIds: string[],
  leaseSeconds: number,
  byProcess: string,
): Promise<number> {
  if (claimIds.length === 0) return 0;
  const rows = await many<{
    workspace_id: string;
    stream_id: string;
    claim_id: string;
    status: string;
    n: number;
    giving: number;
  }>(
    tx,
    sql`WITH held AS MATERIALIZED (
          SELECT g.claim_id, coalesce(g.source_ids[u.position], g.source_ids[1]) AS source_id, u.id
          FROM delivery_groups g CROSS JOIN LATERAL unnest(g.delivery_ids) WITH ORDINALITY AS u (id, position)
          WHERE g.claim_id = ANY (${claimIds}::uuid[]) AND g.settled_at IS NULL),
        lost AS (
          UPDATE deliveries d SET
            status = CASE WHEN again.yes THEN 'QUEUED' ELSE 'UNCONFIRMED' END,
            reason = 'PROCESS_LOST', attempts = d.attempts + 1,
            not_before = CASE WHEN again.yes THEN sally_now() + ${leaseSeconds} * interval '1 second' ELSE d.not_before END,
            cap_date = CASE WHEN again.yes THEN NULL ELSE d.cap_date END
          FROM held h CROSS JOIN LATERAL (
            SELECT x.class IN ('opt-in', 'transactional') AND x.attempts + 1 < ${MAX_ATTEMPTS} AS yes, x.cap_date
            FROM deliveries x WHERE x.source_id = h.source_id AND x.id = h.id) AS again
          WHERE d.source_id = h.source_id AND d.id = h.id AND d.claim_id = h.claim_id AND d.status = 'SENDING'
          RETURNING d.workspace_id, d.stream_id, d.claim_id, d.status, again.cap_date AS taken_on)
        SELECT workspace_id, stream_id, claim_id, status, count(*)::int AS n,
          (count(*) FILTER (WHERE status = 'QUEUED' AND taken_on IS NOT NULL))::int AS giving FROM lost GROUP BY 1, 2, 3, 4`,
  );
  for (const row of rows) {
    await countStream(tx, {
      workspaceId: row.workspace_id,
      streamId: row.stream_id,
      processId: byProcess,
      slot: OTHER_SLOT,
      sending: -row.n,
      queued: row.status === 'QUEUED' ? row.n : 0,
      unconfirmed: row.status === 'UNCONFIRMED' ? row.n : 0,
    });
    await tx.query(sql`
      UPDATE delivery_groups SET returned = returned + ${row.status === 'QUEUED' ? row.n : 0},
        unconfirmed = unconfirmed + ${row.status === 'UNCONFIRMED' ? row.n : 0}
      WHERE claim_id = ${row.claim_id}`);
  }
  await tx.query(
    sql`UPDATE delivery_groups SET settled_at = sally_now() WHERE claim_id = ANY (${claimIds}::uuid[]) AND settled_at IS NULL`,
  );
  // What is queued again gives its units back to the windows that they were taken from.
  const giving = rows.filter((row) => row.giving > 0);
  const claims = giving.map((row) => ({ workspaceId: row.workspace_id, claimId: row.claim_id, rows: row.giving }));
  await returnUnits(tx, await unitsOfClaims(tx, claims));
  return rows.reduce((sum, row) => sum + row.n, 0);
}
