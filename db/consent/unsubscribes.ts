import type { UnsubscribeSource } from '../../domain/consent';
import { many, one, type Queryable, sql } from '../../platform/postgres';
import { recordConsent } from './consents';
import type { VisitorTrace } from './opt-in-requests';

/** A leaving, for analytics. COMPLAINT and BOUNCE are noted by the database itself (trigger contacts_lost). */
export interface NewUnsubscribe {
  workspaceId: string;
  contactId: string;
  source: UnsubscribeSource;
  scope: 'ALL' | 'CATEGORY';
  categoryId?: string | null;
  delivery?: { source_id: string; id: string; campaign_id: string | null } | null;
}

export async function noteUnsubscribe(tx: Queryable, leaving: NewUnsubscribe): Promise<void> {
  const { workspaceId, contactId, source, scope, categoryId = null, delivery = null } = leaving;
  await tx.query(sql`
    INSERT INTO unsubscribes (workspace_id, contact_id, source, scope, category_id, source_id, delivery_id, campaign_id)
    VALUES (${workspaceId}, ${contactId}, ${source}, ${scope}, ${categoryId}, ${delivery?.source_id ?? null},
      ${delivery?.id ?? null}, ${delivery?.campaign_id ?? null})`);
}

export interface LeaveEverything {
  workspaceId: string;
  /** Its row is locked. */
  contactId: string;
  source: Extract<UnsubscribeSource, 'LINK' | 'PREFERENCE_CENTER' | 'API'>;
  /** A marketing purpose that is denied even if the contact never said anything about it: that of the message. */
  purposeId: string | null;
  delivery?: NewUnsubscribe['delivery'];
  visitor: VisitorTrace;
  actorId?: string | null;
}

/**
 * No bulk mail any more: status UNSUBSCRIBED, and every marketing consent by e-mail is revoked, so that a later opt-in
 * for one purpose wakes no other. Transactional consent stays, since nobody asks here to get no receipts; a bounce or
 * complaint says more about the address than a leaving and stays, too.
 * @returns whether anything changed
 */
export async function leaveEverything(tx: Queryable, leaving: LeaveEverything): Promise<boolean> {
  const { workspaceId, contactId, source } = leaving;
  const left = await one(
    tx,
    sql`UPDATE contacts SET status = 'UNSUBSCRIBED', version = version + 1, updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${contactId} AND status = 'ACTIVE' RETURNING 1`,
  );
  const purposes = await many<{ id: string; wording_version: number }>(
    tx,
    sql`SELECT p.id, p.wording_version FROM purposes p
        LEFT JOIN consents c ON c.workspace_id = p.workspace_id AND c.purpose_id = p.id AND c.contact_id = ${contactId}
          AND c.channel = 'email'
        WHERE p.workspace_id = ${workspaceId} AND p.kind = 'marketing' AND c.status IS DISTINCT FROM 'denied'
          AND (c.status IS NOT NULL OR p.id = ${leaving.purposeId})
        ORDER BY p.id`,
  );
  for (const purpose of purposes) {
    await recordConsent(tx, {
      workspaceId,
      contactId,
      purposeId: purpose.id,
      status: 'denied',
      source: 'unsubscribe',
      wordingVersion: purpose.wording_version,
      ...leaving.visitor,
      actorId: leaving.actorId ?? null,
    });
  }
  const changed = left !== null || purposes.length > 0;
  if (changed) await noteUnsubscribe(tx, { ...leaving, scope: 'ALL', source });
  return changed;
}

export interface UnsubscribeRow {
  id: string;
  contact_id: string;
  source: UnsubscribeSource;
  scope: 'ALL' | 'CATEGORY';
  category_id: string | null;
  delivery_id: string | null;
  campaign_id: string | null;
  occurred_at: Date;
}

/** Leavings, newest first, one more than `limit`. */
export function listUnsubscribes(
  db: Queryable,
  workspaceId: string,
  page: { before: string | null; limit: number; source: UnsubscribeSource | null; campaignId: string | null },
): Promise<UnsubscribeRow[]> {
  return many(
    db,
    sql`SELECT id, contact_id, source, scope, category_id, delivery_id, campaign_id, occurred_at FROM unsubscribes
        WHERE workspace_id = ${workspaceId} AND (${page.before}::uuid IS NULL OR id < ${page.before}::uuid)
          AND (${page.source}::text IS NULL OR source = ${page.source})
          AND (${page.campaignId}::uuid IS NULL OR campaign_id = ${page.campaignId})
        ORDER BY id DESC LIMIT ${page.limit + 1}`,
  );
}
