import { type Database, many, one, sql } from '../../platform/postgres';
import { countStream, OTHER_SLOT } from './claim';

/** Rows of one statement: short transactions keep the horizon moving. */
const BATCH = 2_000;
/** Counter row of what the watchdog changes. */
export const WATCHDOG_PROCESS = '00000000-0000-7000-8000-000000000001';

interface Change {
  workspace_id: string;
  stream_id: string;
  n: number;
}

/** Cancels rows that still wait in cancelled streams: whatever returned to the queue after the run's own sweep. */
export function cancelLeftovers(db: Database): Promise<number> {
  return sweep(
    db,
    'cancelled',
    `
    WITH gone AS MATERIALIZED (
      SELECT d.source_id, d.id FROM streams s CROSS JOIN LATERAL (
        SELECT source_id, id FROM deliveries d WHERE d.lane_id = s.lane_id AND d.stream_id = s.id AND d.status = 'QUEUED'
        LIMIT ${BATCH} FOR UPDATE SKIP LOCKED) AS d
      WHERE s.state = 'CANCELLED' LIMIT ${BATCH}),
    changed AS (
      UPDATE deliveries d SET status = 'CANCELLED', reason = 'SOURCE_CANCELLED' FROM gone g
      WHERE d.source_id = g.source_id AND d.id = g.id AND d.status = 'QUEUED' RETURNING d.workspace_id, d.stream_id)
    SELECT workspace_id, stream_id, count(*)::int AS n FROM changed GROUP BY 1, 2`,
  );
}

/** Fails rows that waited beyond their or their stream's expiry, whatever keeps them (window, breaker, pause). */
export function expireRows(db: Database): Promise<number> {
  return sweep(
    db,
    'failed',
    `
    WITH over AS MATERIALIZED (
      SELECT d.source_id, d.id FROM streams s CROSS JOIN LATERAL (
        SELECT source_id, id FROM deliveries d WHERE d.lane_id = s.lane_id AND d.stream_id = s.id AND d.status = 'QUEUED'
          AND least(d.expires_at, s.expires_at) <= sally_now()
        LIMIT ${BATCH} FOR UPDATE SKIP LOCKED) AS d
      -- A campaign's rows share its stream's expiry: its queue is looked at only once that has passed.
      WHERE s.state <> 'CANCELLED' AND (s.source_type <> 'CAMPAIGN' OR s.expires_at <= sally_now()) LIMIT ${BATCH}),
    changed AS (
      UPDATE deliveries d SET status = 'FAILED', reason = 'EXPIRED' FROM over o
      WHERE d.source_id = o.source_id AND d.id = o.id AND d.status = 'QUEUED' RETURNING d.workspace_id, d.stream_id)
    SELECT workspace_id, stream_id, count(*)::int AS n FROM changed GROUP BY 1, 2`,
  );
}

async function sweep(db: Database, into: 'cancelled' | 'failed', text: string): Promise<number> {
  let total = 0;
  for (;;) {
    const swept = await db.transaction(async (tx) => {
      const { rows } = await tx.query<Change>(text);
      for (const row of rows) {
        await countStream(tx, {
          workspaceId: row.workspace_id,
          streamId: row.stream_id,
          processId: WATCHDOG_PROCESS,
          slot: OTHER_SLOT,
          queued: -row.n,
          [into]: row.n,
        });
      }
      return rows.reduce((sum, row) => sum + row.n, 0);
    });
    total += swept;
    if (swept < BATCH) return total;
  }
}

/** After 24 hours without evidence an unknown outcome is final; the row stays UNCONFIRMED, and an alert says so. */
export async function finaliseUnconfirmed(db: Database): Promise<number> {
  const rows = await many<{ workspace_id: string; stream_id: string; n: number }>(
    db,
    sql`WITH final AS (
          UPDATE deliveries SET reason = 'NO_EVIDENCE'
          WHERE status = 'UNCONFIRMED' AND reason IS DISTINCT FROM 'NO_EVIDENCE' AND last_attempt_at < sally_now() - interval '24 hours'
          RETURNING workspace_id, stream_id)
        SELECT workspace_id, stream_id, count(*)::int AS n FROM final GROUP BY 1, 2`,
  );
  for (const row of rows) {
    await db.query(sql`
      SELECT sally_raise_alert(${row.workspace_id}, 'unconfirmed', ${row.stream_id}, 'warning',
        'Messages whose outcome stayed unknown for 24 hours. Settle them as sent or not sent (docs/operations.md).',
        jsonb_build_object('stream_id', ${row.stream_id}::text, 'messages', ${row.n}::int))`);
  }
  return rows.reduce((sum, row) => sum + row.n, 0);
}

/** Alerts about streams whose rows have been due for more than a day. */
export async function alertLongWaiting(db: Database): Promise<void> {
  await db.query(sql`
    SELECT sally_raise_alert(s.workspace_id, 'waiting-long', s.id::text, 'warning',
      'Messages have been due for more than 24 hours and were not sent. Look at the sender, its breaker and its limits.',
      jsonb_build_object('stream_id', s.id::text))
    FROM streams s CROSS JOIN LATERAL (
      SELECT 1 FROM deliveries d WHERE d.lane_id = s.lane_id AND d.stream_id = s.id AND d.status = 'QUEUED'
        AND d.not_before < sally_now() - interval '24 hours' LIMIT 1) AS late
    WHERE s.state = 'ACTIVE' AND NOT s.idle
      AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.workspace_id = s.workspace_id AND a.kind = 'waiting-long'
        AND a.cause = s.id::text AND a.resolved_at IS NULL)`);
}

/** Alerts about From addresses without an aligned provider, when nothing of what waited for one is left. */
export async function resolveUnaligned(db: Database): Promise<void> {
  await db.query(sql`
    UPDATE alerts a SET resolved_at = sally_now()
    WHERE a.kind = 'sender-unaligned' AND a.resolved_at IS NULL AND NOT EXISTS (
      SELECT 1 FROM streams s JOIN deliveries d ON d.lane_id = s.lane_id AND d.stream_id = s.id AND d.status = 'QUEUED'
      WHERE s.id = (a.details->>'stream_id')::uuid AND s.state <> 'CANCELLED')`);
}

/**
 * Makes the partitions of this and the next five months; returns how many were missing. Making one locks its parent and
 * what that refers to, while others hold one of them and want the next: it gives way before Postgres would take somebody
 * for a deadlock's victim (after a second), and is tried again.
 * @throws lock_not_available (55P03) when it had to give way
 */
export async function ensurePartitions(db: Database): Promise<number> {
  return db.transaction(async (tx) => {
    await tx.query("SET LOCAL lock_timeout = '300ms'");
    const row = await one<{ made: number }>(tx, sql`SELECT sally_ensure_partitions(sally_now(), 6) AS made`);
    return row?.made ?? 0;
  });
}

/** Jobs whose workflow must exist. */
export function openJobs(db: Database): Promise<{ workspace_id: string; id: string; kind: string }[]> {
  return many(
    db,
    sql`SELECT workspace_id, id, kind FROM jobs WHERE status IN ('QUEUED', 'RUNNING') AND created_at < sally_now() - interval '10 seconds' LIMIT 500`,
  );
}
