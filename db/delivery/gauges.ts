import { type Database, many, one, sql } from '../../platform/postgres';

/** How much waits on the lanes of a kind, over all workspaces. */
export interface LaneGauge {
  kind: string;
  queued: number;
  /** Age of the oldest due row in seconds; 0 when nothing is due. */
  oldestDueSeconds: number;
}

/**
 * Depth and age by lane kind. Campaigns are counted by their run counters, and the oldest row is found by one index
 * look-up per stream and mailbox-provider group: a million waiting rows cost no more than ten.
 */
export async function laneGauges(db: Database): Promise<LaneGauge[]> {
  const rows = await many<{ kind: string; queued: number; oldest: number }>(
    db,
    sql`WITH groups AS (SELECT DISTINCT mx_group FROM mail_domains UNION SELECT 'other'),
        open AS (SELECT s.id, s.lane_id, s.source_type, l.kind FROM streams s JOIN lanes l ON l.id = s.lane_id
          WHERE s.state = 'ACTIVE' AND NOT s.idle),
        waiting AS (
          SELECT o.kind, CASE WHEN o.source_type = 'CAMPAIGN'
              THEN (SELECT coalesce(sum(c.queued), 0) FROM run_counters c WHERE c.stream_id = o.id)
              ELSE (SELECT count(*) FROM deliveries d WHERE d.lane_id = o.lane_id AND d.stream_id = o.id AND d.status = 'QUEUED')
            END AS queued,
            (SELECT min(first.not_before) FROM groups g CROSS JOIN LATERAL (
               SELECT d.not_before FROM deliveries d WHERE d.lane_id = o.lane_id AND d.stream_id = o.id
                 AND d.mx_group = g.mx_group AND d.status = 'QUEUED' ORDER BY d.not_before LIMIT 1) AS first) AS oldest
          FROM open o)
        SELECT k.kind, coalesce(sum(w.queued), 0)::bigint AS queued,
          coalesce(greatest(0, extract(epoch FROM sally_now() - min(w.oldest))), 0)::float8 AS oldest
        FROM (VALUES ('opt-in'), ('transactional'), ('pool'), ('mailboxes')) AS k (kind) LEFT JOIN waiting w ON w.kind = k.kind
        GROUP BY k.kind`,
  );
  return rows.map((row) => ({ kind: row.kind, queued: row.queued, oldestDueSeconds: row.oldest }));
}

/** State of every breaker: 0 closed, 1 half open, 2 open. Neither identity nor IP = the provider's own. */
export async function breakerGauges(
  db: Database,
): Promise<{ providerId: string; identityId: string | null; ipId: string | null; state: number }[]> {
  const rows = await many<{ provider_id: string; identity_id: string | null; ip_id: string | null; state: number }>(
    db,
    sql`SELECT provider_id, nullif(identity_id, '00000000-0000-0000-0000-000000000000') AS identity_id,
          nullif(ip_id, '00000000-0000-0000-0000-000000000000') AS ip_id, max(CASE state WHEN 'OPEN' THEN 2 WHEN 'HALF_OPEN' THEN 1 ELSE 0 END) AS state
        FROM breakers GROUP BY provider_id, breakers.identity_id, breakers.ip_id`,
  );
  return rows.map((row) => ({
    providerId: row.provider_id,
    identityId: row.identity_id,
    ipId: row.ip_id,
    state: row.state,
  }));
}

/** How far events can be read at a moment: below the oldest transaction that is open, in any database of the server. */
export interface HorizonSample {
  /** The oldest transaction that is open (pg_snapshot_xmin); `next` where none is. */
  oldest: string;
  next: string;
}

/** Needs no privilege: what other roles' sessions do is not shown to sally_worker. */
export async function readHorizon(db: Database): Promise<HorizonSample> {
  const row = await one<{ oldest: string; next: string }>(
    db,
    sql`SELECT pg_snapshot_xmin(s)::text AS oldest, pg_snapshot_xmax(s)::text AS next FROM pg_current_snapshot() AS s`,
  );
  if (!row) throw new Error('the database shows no snapshot');
  return row;
}
