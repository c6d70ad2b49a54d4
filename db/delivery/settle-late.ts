import type { PoolClient } from 'pg';
import { one, sql } from '../../platform/postgres';
import { retakeUnits, returnUnits, unitsOfClaims } from './capacity';
import { countStream, OTHER_SLOT } from './claim';
import { returnFrequencyUnits } from './frequency';
import { tellOfClaims } from './receipts';

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
  /** The provider's own name of the message, where a reply or evidence tells it. */
  providerMessageId?: string | null;
  /** The Message-ID header finally used, with angle brackets; absent or null = ours stands. */
  rfcMessageId?: string | null;
  /** Process whose counter row takes the change. */
  processId: string;
}

interface LateRow extends Record<string, unknown> {
  status: string;
  claim_id: string | null;
  stream_id: string;
  stream_state: string;
  cap_date: string | null;
}

export type LateResult = 'applied' | 'moved-on' | 'already-recorded' | 'not-found';

/**
 * Applies a late truth in the caller's transaction: a row that is UNCONFIRMED (or still SENDING) under this claim
 * becomes what the truth says. So does one that was queued again in the meantime and that nobody has claimed since,
 * if it turns out to be accepted: it must not go twice. If the row has moved to another claim, the result is only
 * recorded; an acceptance beside another acceptance raises an alert, since the message went twice (design, section 4
 * "Settle").
 */
export async function settleLate(tx: PoolClient, truth: LateTruth): Promise<LateResult> {
  const row = await one<LateRow>(
    tx,
    sql`SELECT d.status, d.claim_id, d.stream_id, d.cap_date, s.state AS stream_state
        FROM deliveries d JOIN streams s ON s.id = d.stream_id
        WHERE d.source_id = ${truth.sourceId} AND d.id = ${truth.deliveryId} AND d.workspace_id = ${truth.workspaceId}
        FOR UPDATE OF d ${truth.outcome === 'QUEUED' ? sql`FOR NO KEY UPDATE OF s` : sql`FOR SHARE OF s`}`,
  );
  if (!row) return 'not-found';
  const underClaim = row.claim_id === truth.claimId && (row.status === 'UNCONFIRMED' || row.status === 'SENDING');
  const applies = underClaim || (row.status === 'QUEUED' && truth.outcome === 'SENT');
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
  // A row that was queued again had given its units back; the claim that it was accepted under holds them again.
  const ofClaim = [{ workspaceId: truth.workspaceId, claimId: truth.claimId, rows: 1 }];
  const retaken = row.status === 'QUEUED' ? await unitsOfClaims(tx, ofClaim) : [];
  const returns = status === 'QUEUED' || status === 'CANCELLED';
  await tx.query(sql`
    UPDATE deliveries SET status = ${status}, reason = ${status === 'CANCELLED' ? 'SOURCE_CANCELLED' : truth.reason},
      not_before = CASE WHEN ${status} = 'QUEUED' THEN sally_now() ELSE not_before END,
      cap_date = CASE WHEN ${returns} THEN NULL WHEN ${retaken.length > 0} THEN sally_now()::date ELSE cap_date END,
      claim_id = CASE WHEN ${row.status} = 'QUEUED' THEN ${truth.claimId} ELSE claim_id END,
      provider_message_id = coalesce(${truth.providerMessageId ?? null}, provider_message_id),
      rfc_message_id = coalesce(${truth.rfcMessageId ?? null}, rfc_message_id),
      sent_at = CASE WHEN ${status} = 'SENT' THEN sally_now() END
    WHERE source_id = ${truth.sourceId} AND id = ${truth.deliveryId}`);
  await tellOfClaims(tx, [truth.claimId]);
  if (status === 'QUEUED') await tx.query(sql`UPDATE streams SET idle = false WHERE id = ${row.stream_id} AND idle`);
  await countStream(tx, {
    workspaceId: truth.workspaceId,
    streamId: row.stream_id,
    processId: truth.processId,
    slot: OTHER_SLOT,
    sending: row.status === 'SENDING' ? -1 : 0,
    unconfirmed: row.status === 'UNCONFIRMED' ? -1 : 0,
    queued: (status === 'QUEUED' ? 1 : 0) - (row.status === 'QUEUED' ? 1 : 0),
    sent: status === 'SENT' ? 1 : 0,
    failed: status === 'FAILED' ? 1 : 0,
    cancelled: status === 'CANCELLED' ? 1 : 0,
  });
  // Last in the transaction, as in a claim: nobody waits long for the counter's row.
  if (returns) await returnFrequencyUnits(tx, truth.workspaceId, [truth.deliveryId]);
  await retakeUnits(tx, retaken);
  if (returns && row.cap_date) {
    await returnUnits(tx, await unitsOfClaims(tx, ofClaim));
  }
  return 'applied';
}

/** Opens an alert when the delivery has been begun again under another claim: it may be, or was, accepted twice. */
async function alertWhenTwice(tx: PoolClient, truth: LateTruth): Promise<void> {
  await tx.query(sql`
    SELECT sally_raise_alert(${truth.workspaceId}, 'double-acceptance', ${truth.deliveryId}, 'critical',
      'A message was accepted, which became known only after it had been sent again: its recipient may have it twice.',
      jsonb_build_object('source_id', ${truth.sourceId}::text, 'delivery_id', ${truth.deliveryId}::text))
    FROM deliveries WHERE source_id = ${truth.sourceId} AND id = ${truth.deliveryId}
      AND status IN ('SENDING', 'SENT', 'UNCONFIRMED')`);
}
