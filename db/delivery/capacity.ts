import type { PoolClient } from 'pg';
import {
  type CapacityLimit,
  type CapacityUnit,
  firstRollingHour,
  inTakingOrder,
  ROLLING_BUCKETS,
  windowOf,
} from '../../domain/delivery';
import { many, one, type Queryable, sql } from '../../platform/postgres';

/** What a claim wants. */
export interface CapacityRequest {
  workspaceId: string;
  limits: readonly CapacityLimit[];
  /** The rules' clock, and its local date in the zone of the limits. */
  now: Date;
  localDate: string;
  wanted: number;
}

export interface CapacityTaken {
  /** How many rows may go: the least that any of the limits has left. */
  count: number;
  /** What each of them holds. */
  units: CapacityUnit[];
  /** A limit that has nothing left now. */
  exhausted: CapacityLimit | null;
}

/**
 * Takes up to `wanted` units of every limit in the claim's transaction, as many of each. The counters are locked until
 * the commit, all in one order, so that no number of workers exceeds any of the limits (design, section 4 "Capacity").
 */
export async function takeCapacity(tx: PoolClient, request: CapacityRequest): Promise<CapacityTaken> {
  const limits = inTakingOrder(request.limits);
  if (limits.length === 0) return { count: request.wanted, units: [], exhausted: null };
  const units = limits.map((limit) => ({
    kind: limit.kind,
    resource: limit.resourceId,
    window: windowOf(limit.kind, request.now, request.localDate),
  }));
  const used = await lockUsed(tx, request, limits, units);
  let count = request.wanted;
  let exhausted: CapacityLimit | null = null;
  limits.forEach((limit, index) => {
    const free = Math.max(0, limit.limit - (used[index] ?? 0));
    if (free < request.wanted && free <= count) exhausted = limit;
    count = Math.min(count, free);
  });
  if (count > 0) await addUnits(tx, request.workspaceId, limits, units, count);
  return { count, units, exhausted };
}

/** Locks the counters and returns what is used of each, in the order of the limits. */
async function lockUsed(
  tx: PoolClient,
  { workspaceId, now }: CapacityRequest,
  limits: CapacityLimit[],
  units: CapacityUnit[],
): Promise<number[]> {
  const rows = await many<{ kind: string; resource_id: string; used: number }>(
    tx,
    sql`INSERT INTO capacity AS c (workspace_id, kind, resource_id, window_key, limit_units)
        SELECT ${workspaceId}, v.kind, v.resource_id, v.window_key, v.units
        FROM unnest(${limits.map((limit) => limit.kind)}::text[], ${limits.map((limit) => limit.resourceId)}::uuid[],
          ${units.map((unit) => (unit.kind === 'provider-hour' ? ROLLING_LOCK : unit.window))}::text[],
          ${limits.map((limit) => limit.limit)}::bigint[]) WITH ORDINALITY AS v (kind, resource_id, window_key, units, position)
        ORDER BY v.position
        ON CONFLICT (workspace_id, kind, resource_id, window_key) DO UPDATE SET limit_units = excluded.limit_units
        RETURNING c.kind, c.resource_id, c.used`,
  );
  const known = new Map(rows.map((row) => [`${row.kind} ${row.resource_id}`, row.used]));
  const used: number[] = [];
  for (const limit of limits) {
    used.push(
      limit.kind === 'provider-hour'
        ? await usedInRollingDay(tx, workspaceId, limit.resourceId, now)
        : (known.get(`${limit.kind} ${limit.resourceId}`) ?? 0),
    );
  }
  return used;
}

/** Window of the row that stands for all buckets of a rolling day: it is only locked. */
const ROLLING_LOCK = '';

/** Units taken in the last 24 hours, and in the rest of the hour before them. */
async function usedInRollingDay(db: Queryable, workspaceId: string, resourceId: string, now: Date): Promise<number> {
  const row = await one<{ used: number }>(
    db,
    sql`SELECT coalesce(sum(used), 0)::bigint AS used FROM (
          SELECT used FROM capacity WHERE workspace_id = ${workspaceId} AND kind = 'provider-hour' AND resource_id = ${resourceId}
            AND window_key >= ${firstRollingHour(now)} LIMIT ${ROLLING_BUCKETS + 24}) AS bucket`,
  );
  return row?.used ?? 0;
}

/** Those of some limits that have something left at this moment: looked at without a lock, to know what is worth a claim. */
export async function limitsWithRoom(
  db: Queryable,
  workspaceId: string,
  limits: readonly CapacityLimit[],
): Promise<CapacityLimit[]> {
  const rows = await many<{ position: number }>(
    db,
    sql`SELECT l.position::integer AS position
        FROM workspaces w
        CROSS JOIN unnest(${limits.map((limit) => limit.kind)}::text[], ${limits.map((limit) => limit.resourceId)}::uuid[],
          ${limits.map((limit) => limit.limit)}::bigint[]) WITH ORDINALITY AS l (kind, resource_id, units, position)
        CROSS JOIN LATERAL (SELECT CASE WHEN l.kind = 'provider-hour'
          THEN to_char((sally_now() - ${ROLLING_BUCKETS - 1} * interval '1 hour') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24')
          ELSE (sally_now() AT TIME ZONE w.time_zone)::date::text END AS first) AS counted
        WHERE w.id = ${workspaceId} AND l.units > coalesce((SELECT sum(c.used) FROM capacity c
          WHERE c.workspace_id = w.id AND c.kind = l.kind AND c.resource_id = l.resource_id
            AND c.window_key >= counted.first), 0)`,
  );
  return rows.flatMap(({ position }) => limits[position - 1] ?? []);
}

async function addUnits(
  tx: PoolClient,
  workspaceId: string,
  limits: CapacityLimit[],
  units: CapacityUnit[],
  count: number,
): Promise<void> {
  await tx.query(sql`
    INSERT INTO capacity AS c (workspace_id, kind, resource_id, window_key, limit_units, used)
    SELECT ${workspaceId}, v.kind, v.resource_id, v.window_key, v.units, ${count}
    FROM unnest(${units.map((unit) => unit.kind)}::text[], ${units.map((unit) => unit.resource)}::uuid[],
      ${units.map((unit) => unit.window)}::text[], ${limits.map((limit) => limit.limit)}::bigint[])
      WITH ORDINALITY AS v (kind, resource_id, window_key, units, position)
    ORDER BY v.position
    ON CONFLICT (workspace_id, kind, resource_id, window_key) DO UPDATE SET used = c.used + ${count}`);
}

/** Units that one row holds. */
export interface HeldUnits {
  workspaceId: string;
  units: readonly CapacityUnit[];
}

/** Gives units back to the windows that they were taken from; last in a transaction, and in the order of taking. */
export function returnUnits(tx: Queryable, returned: readonly HeldUnits[]): Promise<void> {
  return changeUsed(tx, returned, -1);
}

/**
 * Takes units again that had been given back, whatever is left of the limits: of a row that was queued again and turns
 * out to have been accepted.
 */
export function retakeUnits(tx: Queryable, held: readonly HeldUnits[]): Promise<void> {
  return changeUsed(tx, held, 1);
}

async function changeUsed(tx: Queryable, rows: readonly HeldUnits[], sign: 1 | -1): Promise<void> {
  const counts = new Map<string, { workspaceId: string; unit: CapacityUnit; count: number }>();
  for (const { workspaceId, units } of rows) {
    for (const unit of units) {
      const key = `${unit.kind} ${unit.resource} ${unit.window} ${workspaceId}`;
      const known = counts.get(key);
      if (known) known.count += 1;
      else counts.set(key, { workspaceId, unit, count: 1 });
    }
  }
  for (const [, { workspaceId, unit, count }] of [...counts].sort(([a], [b]) => (a < b ? -1 : 1))) {
    await tx.query(sql`
      UPDATE capacity SET used = used + ${sign * count} WHERE workspace_id = ${workspaceId} AND kind = ${unit.kind}
        AND resource_id = ${unit.resource} AND window_key = ${unit.window}`);
  }
}

/** The units that rows hold by their claims' groups: one element per row that holds any. */
export async function unitsOfClaims(
  tx: Queryable,
  claims: readonly { workspaceId: string; claimId: string; rows: number }[],
): Promise<HeldUnits[]> {
  if (claims.length === 0) return [];
  const groups = await many<{ claim_id: string; units: CapacityUnit[] }>(
    tx,
    sql`SELECT claim_id, units FROM delivery_groups
        WHERE claim_id = ANY (${claims.map((claim) => claim.claimId)}::uuid[]) AND units IS NOT NULL`,
  );
  const known = new Map(groups.map((group) => [group.claim_id, group.units]));
  return claims.flatMap(({ workspaceId, claimId, rows }) => {
    const units = known.get(claimId);
    return units ? Array.from({ length: rows }, () => ({ workspaceId, units })) : [];
  });
}

/** A counter that differs from the rows that hold its units. */
export interface CapacityImbalance {
  workspaceId: string;
  unit: CapacityUnit;
  used: number;
  held: number;
}

/**
 * The audit of capacity: used = units held by rows, for every counter (design, section 4 "Proof"). Groups are read from
 * `since` on, and so are counters whose window begins a day after it. Empty: all is in balance.
 */
export async function auditCapacity(db: Queryable, workspaceId: string, since: Date): Promise<CapacityImbalance[]> {
  const rows = await many<{
    kind: CapacityUnit['kind'];
    resource_id: string;
    window_key: string;
    used: number;
    held: number;
  }>(
    db,
    sql`WITH held AS (
          SELECT u.kind, u.resource::uuid AS resource_id, u."window" AS window_key, count(*) AS held
          FROM delivery_groups g
          CROSS JOIN LATERAL unnest(g.delivery_ids) WITH ORDINALITY AS r (id, position)
          JOIN deliveries d ON d.source_id = coalesce(g.source_ids[r.position], g.source_ids[1]) AND d.id = r.id
            AND d.claim_id = g.claim_id AND d.cap_date IS NOT NULL AND d.status NOT IN ('QUEUED', 'CANCELLED')
          CROSS JOIN LATERAL jsonb_to_recordset(g.units) AS u (kind text, resource text, "window" text)
          WHERE g.workspace_id = ${workspaceId} AND g.units IS NOT NULL AND g.claimed_at >= ${since}
          GROUP BY 1, 2, 3),
        used AS (
          SELECT kind, resource_id, window_key, used FROM capacity
          WHERE workspace_id = ${workspaceId} AND window_key >= ${new Date(since.getTime() + 86_400_000).toISOString().slice(0, 10)})
        SELECT kind, resource_id, window_key, coalesce(used.used, 0) AS used, coalesce(held.held, 0) AS held
        FROM used FULL JOIN held USING (kind, resource_id, window_key)
        WHERE coalesce(used.used, 0) <> coalesce(held.held, 0)
          AND window_key >= ${new Date(since.getTime() + 86_400_000).toISOString().slice(0, 10)}
        ORDER BY 1, 2, 3`,
  );
  return rows.map((row) => ({
    workspaceId,
    unit: { kind: row.kind, resource: row.resource_id, window: row.window_key },
    used: row.used,
    held: row.held,
  }));
}

/** A resource whose messages are paced evenly by the database's clock (GCRA). */
export interface RateLimit {
  workspaceId: string;
  kind: 'provider-second' | 'fallback-minute';
  resourceId: string;
  perSecond: number;
}

/** Slots that were taken, in milliseconds since 1970 of the database's own clock. */
export interface RateSlots {
  firstAtMs: number;
  /** When they were given. */
  nowMs: number;
}

/**
 * Reserves `count` slots, one every 1/perSecond. The row's own lock makes it exact over all processes; no slot is given
 * twice and none earlier than now.
 */
export async function takeRateSlots(tx: PoolClient, limit: RateLimit, count: number): Promise<RateSlots> {
  const seconds = count / limit.perSecond;
  const row = await one<{ first_in_ms: number; now_ms: number }>(
    tx,
    sql`INSERT INTO rate_slots AS r (workspace_id, kind, resource_id, next_slot_at)
        VALUES (${limit.workspaceId}, ${limit.kind}, ${limit.resourceId}, sally_now() + ${seconds} * interval '1 second')
        ON CONFLICT (workspace_id, kind, resource_id)
        DO UPDATE SET next_slot_at = greatest(r.next_slot_at, sally_now()) + ${seconds} * interval '1 second'
        RETURNING greatest(0, extract(epoch FROM next_slot_at - sally_now()) * 1000 - ${seconds * 1000})::float8 AS first_in_ms,
          (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now_ms`,
  );
  if (!row) throw new Error('a rate gave no slot');
  return { firstAtMs: row.now_ms + row.first_in_ms, nowMs: row.now_ms };
}

/** Milliseconds until the next free slot, without taking it. */
export async function nextRateSlotInMs(db: Queryable, limit: RateLimit): Promise<number> {
  const row = await one<{ in_ms: number }>(
    db,
    sql`SELECT greatest(0, extract(epoch FROM next_slot_at - sally_now()) * 1000)::float8 AS in_ms FROM rate_slots
        WHERE workspace_id = ${limit.workspaceId} AND kind = ${limit.kind} AND resource_id = ${limit.resourceId}`,
  );
  return row?.in_ms ?? 0;
}
