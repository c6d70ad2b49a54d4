import { type BreakerReason, type BreakerState, probeDelayMs } from '../../domain/delivery';
import { changed, type Database, many, one, type Queryable, sql } from '../../platform/postgres';

export interface BreakerRow {
  providerId: string;
  state: BreakerState;
  reason: BreakerReason | null;
  /** Milliseconds until the next probe; 0 = due. */
  probeInMs: number;
}

/** Breakers of a workspace that are not closed. */
export async function openBreakers(db: Queryable, workspaceId: string): Promise<BreakerRow[]> {
  const rows = await many<{
    provider_id: string;
    state: BreakerState;
    reason: BreakerReason | null;
    probe_in_ms: number;
  }>(
    db,
    sql`SELECT provider_id, state, reason, greatest(0, extract(epoch FROM probe_at - sally_now()) * 1000)::float8 AS probe_in_ms
        FROM breakers WHERE workspace_id = ${workspaceId} AND state <> 'CLOSED'`,
  );
  return rows.map((row) => ({
    providerId: row.provider_id,
    state: row.state,
    reason: row.reason,
    probeInMs: row.probe_in_ms,
  }));
}

/**
 * Opens a breaker, or opens it again after a failed probe with twice the wait; raises the alert and holds the
 * suppressions of a suspect sample. One transaction.
 */
export async function openBreaker(
  db: Database,
  open: { workspaceId: string; providerId: string; reason: BreakerReason; sample: string[] },
): Promise<void> {
  await db.transaction(async (tx) => {
    const current = await one<{ state: BreakerState; failures: number }>(
      tx,
      sql`INSERT INTO breakers (workspace_id, provider_id) VALUES (${open.workspaceId}, ${open.providerId})
          ON CONFLICT (workspace_id, provider_id) DO UPDATE SET updated_at = sally_now() RETURNING state, failures`,
    );
    if (current?.state !== 'OPEN') {
      const failures = (current?.failures ?? 0) + 1;
      await tx.query(sql`
        UPDATE breakers SET state = 'OPEN', reason = ${open.reason}, failures = ${failures},
          opened_at = CASE WHEN state = 'CLOSED' THEN sally_now() ELSE opened_at END,
          probe_at = sally_now() + ${probeDelayMs(open.reason, failures)} * interval '1 millisecond', updated_at = sally_now()
        WHERE workspace_id = ${open.workspaceId} AND provider_id = ${open.providerId}`);
      await tx.query(sql`
        SELECT sally_raise_alert(${open.workspaceId}, 'breaker-open', ${open.providerId}, 'critical',
          ${BREAKER_MESSAGES[open.reason]}, jsonb_build_object('provider_id', ${open.providerId}::text, 'reason', ${open.reason}::text))`);
    }
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

/** Takes the one probe of an open breaker: true for the process that may send a single message now. */
export async function takeProbe(db: Queryable, workspaceId: string, providerId: string): Promise<boolean> {
  const rows = await changed(
    db,
    // A probe whose process died is due again after a minute.
    sql`UPDATE breakers SET state = 'HALF_OPEN', probe_at = sally_now() + interval '1 minute', updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND provider_id = ${providerId} AND state <> 'CLOSED' AND probe_at <= sally_now()`,
  );
  return rows === 1;
}

/**
 * A probe was refused for good. A breaker that had opened for refusals opens again, with twice the wait: one recipient is
 * lost per wait, and never a sample. For any other reason the answer is what was missing, and the breaker closes.
 */
export async function failProbe(
  db: Database,
  probe: { workspaceId: string; providerId: string; deliveryId: string },
): Promise<'opened' | 'closed'> {
  const { workspaceId, providerId } = probe;
  const row = await one<{ reason: BreakerReason | null }>(
    db,
    sql`SELECT reason FROM breakers WHERE workspace_id = ${workspaceId} AND provider_id = ${providerId} AND state <> 'CLOSED'`,
  );
  if (row?.reason === 'PERMANENT_FAILURES') {
    await openBreaker(db, { workspaceId, providerId, reason: row.reason, sample: [probe.deliveryId] });
    return 'opened';
  }
  await closeBreaker(db, workspaceId, providerId);
  return 'closed';
}

/** A probe was answered: closes the breaker and resolves its alert. */
export async function closeBreaker(db: Database, workspaceId: string, providerId: string): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.query(sql`
      UPDATE breakers SET state = 'CLOSED', reason = NULL, failures = 0, opened_at = NULL, probe_at = NULL, updated_at = sally_now()
      WHERE workspace_id = ${workspaceId} AND provider_id = ${providerId} AND state <> 'CLOSED'`);
    await tx.query(sql`
      UPDATE alerts SET resolved_at = sally_now()
      WHERE workspace_id = ${workspaceId} AND kind = 'breaker-open' AND cause = ${providerId} AND resolved_at IS NULL`);
  });
}
