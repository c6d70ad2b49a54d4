import type { PoolClient } from 'pg';
import { one, sql } from '../../platform/postgres';
import { countStream, OTHER_SLOT } from './claim';

/** A truth that comes after its group was closed. */
export interface LateTruth {
  workspaceId: string;
  sourceId: string;
  deliveryId: string;
  claimId: string;
  origin: 'REPLY' | 'EVIDENCE' | 'OPERATOR' | 'POLICY';
  outcome: 'SENT' | 'FAILED' | 'QUEUED';
  reason: string | null;
  actorId: string | null;
  /** Process whose counter row takes the change. */
  processId: string;
}

export type LateResult = 'applied' | 'moved-on' | 'already-recorded' | 'not-found';

/**
 * Applies a late truth in the caller's transaction: a row that is UNCONFIRMED (or still SENDING) under this claim
 * becomes what the truth says. If the row has moved to another claim, the result is only recorded; an acceptance
 * beside another acceptance raises an alert, since the message went twice (design, section 4 "Settle").
 */
export async function settleLate(tx: PoolClient, truth: LateTruth): Promise<LateResult> {
  const row = await one<{ status: string; claim_id: string | null; stream_id: string; stream_state: string }>(
    tx,
    sql`SELECT d.status, d.claim_id, d.stream_id, s.state AS stream_state
        FROM deliveries d JOIN streams s ON s.id = d.stream_id
        WHERE d.source_id = ${truth.sourceId} AND d.id = ${truth.deliveryId} AND d.workspace_id = ${truth.workspaceId}
        FOR UPDATE OF d FOR SHARE OF s`,
  );
  if (!row) return 'not-found';
  const applies = row.claim_id === truth.claimId && (row.status === 'UNCONFIRMED' || row.status === 'SENDING');
  if (!applies && row.claim_id === truth.claimId && row.status === truth.outcome) return 'already-recorded';
  await tx.query(sql`
    INSERT INTO late_settlements (workspace_id, source_id, delivery_id, claim_id, stream_id, origin, outcome, applied, actor_id)
    VALUES (${truth.workspaceId}, ${truth.sourceId}, ${truth.deliveryId}, ${truth.claimId}, ${row.stream_id}, ${truth.origin},
      ${truth.outcome}, ${applies}, ${truth.actorId})`);
  if (!applies) {
    if (truth.outcome === 'SENT' && row.claim_id !== truth.claimId) await alertWhenTwice(tx, truth);
    return 'moved-on';
  }
  const status = truth.outcome === 'QUEUED' && row.stream_state === 'CANCELLED' ? 'CANCELLED' : truth.outcome;
  await tx.query(sql`
    UPDATE deliveries SET status = ${status}, reason = ${truth.reason},
      not_before = CASE WHEN ${status} = 'QUEUED' THEN sally_now() ELSE not_before END,
      sent_at = CASE WHEN ${status} = 'SENT' THEN sally_now() END
    WHERE source_id = ${truth.sourceId} AND id = ${truth.deliveryId}`);
  await countStream(tx, {
    workspaceId: truth.workspaceId,
    streamId: row.stream_id,
    processId: truth.processId,
    slot: OTHER_SLOT,
    sending: row.status === 'SENDING' ? -1 : 0,
    unconfirmed: row.status === 'UNCONFIRMED' ? -1 : 0,
    queued: status === 'QUEUED' ? 1 : 0,
    sent: status === 'SENT' ? 1 : 0,
    failed: status === 'FAILED' ? 1 : 0,
    cancelled: status === 'CANCELLED' ? 1 : 0,
  });
  return 'applied';
}

/** Opens an alert when another claim of the same delivery was accepted too. */
async function alertWhenTwice(tx: PoolClient, truth: LateTruth): Promise<void> {
  await tx.query(sql`
    SELECT sally_raise_alert(${truth.workspaceId}, 'double-acceptance', ${truth.deliveryId}, 'critical',
      'A message was accepted twice: its first acceptance became known only after it had been sent again.',
      jsonb_build_object('source_id', ${truth.sourceId}::text, 'delivery_id', ${truth.deliveryId}::text))
    FROM deliveries WHERE source_id = ${truth.sourceId} AND id = ${truth.deliveryId} AND status = 'SENT'`);
}
