import { type Queryable, sql } from '../../platform/postgres';
import { appendEvent } from '../events';

/** An address that a server said does not exist. */
export interface RefusedAddress {
  workspaceId: string;
  sourceId: string;
  deliveryId: string;
  contactId: string | null;
  addressHash: Buffer;
  hint: string;
  providerId: string;
  routeId: string;
  smtpCode: number | null;
  enhancedCode: string | null;
  /** What else speaks for it: the soft bounces that were counted. */
  evidence?: Record<string, unknown>;
}

/**
 * Suppresses an address in its workspace and marks the contact BOUNCED, once. Held back, without touching the
 * contact, while the breaker of the provider, the sender or the dedicated IP is open: then the sample is suspect. Suppression does not cross
 * workspaces. One transaction, which the caller opens.
 */
export async function suppressRefused(tx: Queryable, refused: RefusedAddress): Promise<void> {
  const { rows } = await tx.query<{ state: string }>(sql`
    INSERT INTO suppressions (workspace_id, address_hash, hint, reason, source, state, evidence)
    SELECT ${refused.workspaceId}, ${refused.addressHash}, ${refused.hint}, 'BOUNCE', 'DELIVERY',
      CASE WHEN EXISTS (SELECT 1 FROM breakers WHERE workspace_id = ${refused.workspaceId}
        AND provider_id = ${refused.providerId} AND state <> 'CLOSED'
        AND (identity_id, ip_id) IN (SELECT '00000000-0000-0000-0000-000000000000'::uuid, '00000000-0000-0000-0000-000000000000'::uuid
          UNION ALL SELECT identity_id, '00000000-0000-0000-0000-000000000000' FROM routes WHERE id = ${refused.routeId}
          UNION ALL SELECT '00000000-0000-0000-0000-000000000000', ip_id FROM routes WHERE id = ${refused.routeId})) THEN 'HELD' ELSE 'ACTIVE' END,
      jsonb_build_object('source_id', ${refused.sourceId}::text, 'delivery_id', ${refused.deliveryId}::text,
        'smtp_code', ${refused.smtpCode}::int, 'enhanced_code', ${refused.enhancedCode}::text)
        || ${JSON.stringify(refused.evidence ?? {})}::jsonb
    ON CONFLICT DO NOTHING RETURNING state`);
  if (rows[0]?.state !== 'ACTIVE' || refused.contactId === null) return;
  // An UNSUBSCRIBED contact keeps that, since a held suppression sets BOUNCED back to ACTIVE; the suppression
  // stops its mail anyway. The address may have been changed while the message was under way: only the address that bounced is blamed.
  const bounced = await tx.query(sql`
    UPDATE contacts SET status = 'BOUNCED', version = version + 1, updated_at = sally_now()
    WHERE workspace_id = ${refused.workspaceId} AND id = ${refused.contactId} AND email_hash = ${refused.addressHash}
      AND status = 'ACTIVE'`);
  if (bounced.rowCount !== 1) return;
  await appendEvent(tx, {
    workspaceId: refused.workspaceId,
    type: 'email_bounced',
    contactId: refused.contactId,
    payload: {
      source_id: refused.sourceId,
      delivery_id: refused.deliveryId,
      enhanced_code: refused.enhancedCode,
    },
  });
}
