import {
  type BreakerReason,
  type BreakerState,
  type BreakerWay,
  breakerScope,
  type OpenBreaker,
  probeDelayMs,
  providerReasons,
} from '../../domain/delivery';
import { changed, type Database, many, one, type Queryable, type Statement, sql } from '../../platform/postgres';

/** Stands for no From address, and for no dedicated IP; both are so in a provider's own breaker. */
const NONE = '00000000-0000-0000-0000-000000000000';

export interface BreakerRow extends OpenBreaker {
  providerId: string;
  state: BreakerState;
  openedAt: Date | null;
  probeAt: Date | null;
  /** Milliseconds until the next probe; 0 = due. */
  probeInMs: number;
  /** Openings in a row. */
  failures: number;
}

/** Breakers of a workspace that are not closed. */
export async function openBreakers(db: Queryable, workspaceId: string): Promise<BreakerRow[]> {
  const rows = await many<{
    provider_id: string;
    email: string | null;
    ip_id: string | null;
    state: BreakerState;
    reason: BreakerReason | null;
    opened_at: Date | null;
    probe_at: Date | null;
    probe_in_ms: number;
    failures: number;
  }>(
    db,
    sql`SELECT b.provider_id, i.email, nullif(b.ip_id, ${NONE}) AS ip_id, b.state, b.reason, b.opened_at, b.probe_at, b.failures,
          greatest(0, extract(epoch FROM b.probe_at - sally_now()) * 1000)::float8 AS probe_in_ms
        FROM breakers b LEFT JOIN sending_identities i ON i.workspace_id = b.workspace_id AND i.id = b.identity_id
        WHERE b.workspace_id = ${workspaceId} AND b.state <> 'CLOSED' ORDER BY b.provider_id, b.identity_id, b.ip_id`,
  );
  return rows.map((row) => ({
    providerId: row.provider_id,
    fromEmail: row.email,
    ipId: row.ip_id,
    state: row.state,
    reason: row.reason,
    openedAt: row.opened_at,
    probeAt: row.probe_at,
    probeInMs: row.probe_in_ms,
    failures: row.failures,
  }));
}

/** A route that a message took or would take: its provider's breaker, its sender's and its dedicated IP's bind it. */
export interface BreakerRoute {
  workspaceId: string;
  providerId: string;
  routeId: string;
  ip: BreakerWay['ip'];
}

const identityOf = (route: BreakerRoute): Statement =>
  sql`(SELECT identity_id FROM routes WHERE id = ${route.routeId})`;

/** The breakers that bind a route; the provider's own does for what the route's IP has in common with the provider. */
const ofRoute = (route: BreakerRoute): Statement => sql`workspace_id = ${route.workspaceId}
  AND provider_id = ${route.providerId} AND CASE
    WHEN identity_id <> ${NONE} THEN identity_id = ${identityOf(route)}
    WHEN ip_id <> ${NONE} THEN ip_id = ${route.ip?.id ?? null}
    ELSE reason IS NULL OR reason = ANY (${providerReasons(route.ip)}::text[]) END`;

/**
 * Opens a breaker, or opens it again after a failed probe with twice the wait; raises the alert and holds the
 * suppressions of a suspect sample. One transaction.
 */
export async function openBreaker(
  db: Database,
  open: BreakerRoute & { reason: BreakerReason; sample: string[] },
): Promise<void> {
  const scope = breakerScope(open.reason, open.ip);
  const identity = scope === 'sender' ? identityOf(open) : sql`${NONE}::uuid`;
  const ip = scope === 'ip' && open.ip ? open.ip.id : NONE;
  await db.transaction(async (tx) => {
    const current = await one<Stored>(
      tx,
      sql`INSERT INTO breakers (workspace_id, provider_id, identity_id, ip_id)
          VALUES (${open.workspaceId}, ${open.providerId}, ${identity}, ${ip})
          ON CONFLICT (workspace_id, provider_id, identity_id, ip_id) DO UPDATE SET updated_at = sally_now()
          RETURNING identity_id, ip_id, state, reason, failures`,
    );
    if (current && !isOpenFor(current, open)) await writeOpened(tx, open, current);
    if (open.sample.length > 0) {
      await tx.query(sql`
        UPDATE suppressions SET state = 'HELD' WHERE workspace_id = ${open.workspaceId}
          AND evidence ->> 'delivery_id' = ANY (${open.sample}::text[])`);
      await tx.query(sql`
        UPDATE contacts c SET status = 'ACTIVE', version = c.version + 1, updated_at = sally_now()
        FROM suppressions s WHERE s.workspace_id = ${open.workspaceId} AND s.state = 'HELD'
          AND s.evidence ->> 'delivery_id' = ANY (${open.sample}::text[])
          AND c.workspace_id = s.workspace_id AND c.email_hash = s.address_hash AND c.status = 'BOUNCED'`);
    }
  });
}

/** A breaker's row as it was before. */
interface Stored {
  identity_id: string;
  ip_id: string;
  state: BreakerState;
  reason: BreakerReason | null;
  failures: number;
}

/** A breaker that is open for what does not hold this way back (an IP with a log-in of its own) opens for this, too. */
function isOpenFor(
  { state, reason }: Stored,
  { ip, reason: met }: { ip: BreakerWay['ip']; reason: BreakerReason },
): boolean {
  return state === 'OPEN' && (reason === null || breakerScope(reason, ip) === breakerScope(met, ip));
}

async function writeOpened(
  tx: Queryable,
  { workspaceId, providerId, reason }: BreakerRoute & { reason: BreakerReason },
  { identity_id: identityId, ip_id: ipId, failures: before }: Stored,
): Promise<void> {
  const failures = before + 1;
  await tx.query(sql`
    UPDATE breakers SET state = 'OPEN', reason = ${reason}, failures = ${failures},
      opened_at = CASE WHEN state = 'CLOSED' THEN sally_now() ELSE opened_at END,
      probe_at = sally_now() + ${probeDelayMs(reason, failures)} * interval '1 millisecond', updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND provider_id = ${providerId} AND identity_id = ${identityId} AND ip_id = ${ipId}`);
  const part = [identityId, ipId].find((id) => id !== NONE);
  const message = ipId === NONE ? BREAKER_MESSAGES[reason] : `Through a dedicated IP: ${BREAKER_MESSAGES[reason]}`;
  await tx.query(sql`
    SELECT sally_raise_alert(${workspaceId}, 'breaker-open', ${part === undefined ? providerId : `${providerId}/${part}`},
      'critical', ${message}, jsonb_build_object('provider_id', ${providerId}::text, 'reason', ${reason}::text,
        'identity_id', nullif(${identityId}::text, ${NONE}::text), 'dedicated_ip_id', nullif(${ipId}::text, ${NONE}::text)))`);
}

const BREAKER_MESSAGES: Record<BreakerReason, string> = {
  AUTHENTICATION:
    'The mail server refuses our user name or password. Nothing is sent through it until a probe succeeds; check the credentials.',
  TLS: 'The mail server has no valid certificate or no TLS. Nothing is sent through it until a probe succeeds.',
  CONNECT: 'The mail server cannot be reached. Sending goes on by itself when a probe succeeds.',
  PROTOCOL:
    'The mail server answers with something that is not SMTP. Nothing is sent through it until a probe succeeds.',
  PERMANENT_FAILURES:
    'More than one in five of the last messages was refused for good. The sender is more likely to blame than the recipients: their suppressions are held for review.',
};

/**
 * Takes the one probe of a route's open breakers: true for the process that may send a single message now. False when
 * one of them is not due yet.
 */
export async function takeProbe(db: Queryable, route: BreakerRoute): Promise<boolean> {
  const rows = await changed(
    db,
    // A probe whose process died is due again after a minute.
    sql`WITH open AS MATERIALIZED (SELECT identity_id, ip_id, probe_at FROM breakers WHERE ${ofRoute(route)} AND state <> 'CLOSED' FOR UPDATE)
        UPDATE breakers b SET state = 'HALF_OPEN', probe_at = sally_now() + interval '1 minute', updated_at = sally_now()
        FROM open WHERE b.workspace_id = ${route.workspaceId} AND b.provider_id = ${route.providerId}
          AND b.identity_id = open.identity_id AND b.ip_id = open.ip_id AND NOT EXISTS (SELECT 1 FROM open WHERE probe_at > sally_now())`,
  );
  return rows > 0;
}

/**
 * A probe was refused for good. A sender's breaker, which had opened for refusals, opens again with twice the wait: one
 * recipient is lost per wait, and never a sample. For the provider's own an answer is what was missing: it closes.
 */
export async function failProbe(
  db: Database,
  probe: BreakerRoute & { deliveryId: string },
): Promise<'opened' | 'closed'> {
  const row = await one(
    db,
    sql`SELECT 1 FROM breakers WHERE ${ofRoute(probe)} AND state <> 'CLOSED' AND reason = 'PERMANENT_FAILURES'`,
  );
  await closeProviderBreaker(db, probe);
  if (row === null) return 'closed';
  const { deliveryId, ...route } = probe;
  await openBreaker(db, { ...route, reason: 'PERMANENT_FAILURES', sample: [deliveryId] });
  return 'opened';
}

/** A probe was accepted: closes the breakers of its route and resolves their alerts. */
export function closeBreaker(db: Database, route: BreakerRoute): Promise<void> {
  return closeBreakers(db, route, sql`true`);
}

/** A probe was put off: the provider answers again, and what had opened for want of answers closes. */
export function closeProviderBreaker(db: Database, route: BreakerRoute): Promise<void> {
  return closeBreakers(db, route, sql`reason IS DISTINCT FROM 'PERMANENT_FAILURES'`);
}

async function closeBreakers(db: Database, route: BreakerRoute, which: Statement): Promise<void> {
  await db.transaction(async (tx) => {
    const closed = await many<{ cause: string }>(
      tx,
      sql`UPDATE breakers SET state = 'CLOSED', reason = NULL, failures = 0, opened_at = NULL, probe_at = NULL, updated_at = sally_now()
          WHERE ${ofRoute(route)} AND state <> 'CLOSED' AND ${which}
          RETURNING concat_ws('/', provider_id, nullif(identity_id, ${NONE}), nullif(ip_id, ${NONE})) AS cause`,
    );
    await tx.query(sql`
      UPDATE alerts SET resolved_at = sally_now() WHERE workspace_id = ${route.workspaceId} AND kind = 'breaker-open'
        AND cause = ANY (${closed.map((row) => row.cause)}::text[]) AND resolved_at IS NULL`);
  });
}
