import type { CategoryTranslations } from '../../domain/consent';
import { one, type Queryable, sql } from '../../platform/postgres';
import { appendEvent } from '../events';
import { writeAudit } from '../workspace';
import { setCategoryPreference } from './categories';
import { findOrCreateContact } from './contacts';
import type { VisitorTrace } from './opt-in-requests';
import { leaveEverything, noteUnsubscribe } from './unsubscribes';

/** A message as its unsubscribe page needs it. */
export interface UnsubscribableDelivery {
  source_type: string;
  source_id: string;
  id: string;
  class: string;
  contact_id: string | null;
  /** Where there is no contact. */
  address: string | null;
  address_hash: Buffer | null;
  campaign_id: string | null;
  workspace_name: string;
  workspace_locale: string;
  category_id: string | null;
  category_name: string | null;
  category_translations: CategoryTranslations | null;
  purpose_id: string | null;
  purpose_name: string | null;
  purpose_kind: 'marketing' | 'transactional' | null;
  wording_version: number | null;
  /** What the contact has chosen so far. */
  contact_status: string | null;
  category_left: boolean;
}

/** The delivery of an unsubscribe link in this workspace, or null. */
export function findUnsubscribable(
  db: Queryable,
  workspaceId: string,
  reference: { sourceId: string; deliveryId: string },
): Promise<UnsubscribableDelivery | null> {
  return one(
    db,
    sql`SELECT d.source_type, d.source_id, d.id, d.class, coalesce(moved.merged_into, d.contact_id, byhash.id) AS contact_id, d.address, d.address_hash,
          m.campaign_id, w.name AS workspace_name,
          w.default_locale AS workspace_locale, m.category_id, k.name AS category_name, k.translations AS category_translations,
          m.purpose_id, p.name AS purpose_name, p.kind AS purpose_kind, p.wording_version,
          c.status AS contact_status, coalesce(NOT cp.subscribed, false) AS category_left
        FROM deliveries d
        JOIN workspaces w ON w.id = d.workspace_id
        JOIN messages m ON m.workspace_id = d.workspace_id AND m.id = d.message_id
        LEFT JOIN LATERAL (SELECT id FROM contacts WHERE d.contact_id IS NULL AND d.class <> 'test'
          AND workspace_id = d.workspace_id AND email_hash = d.address_hash ORDER BY id LIMIT 1) byhash ON true
        LEFT JOIN contacts moved ON moved.workspace_id = d.workspace_id AND moved.id = d.contact_id
        LEFT JOIN contacts c ON c.workspace_id = d.workspace_id AND c.id = coalesce(moved.merged_into, d.contact_id, byhash.id)
        LEFT JOIN preference_categories k ON k.workspace_id = m.workspace_id AND k.id = m.category_id
        LEFT JOIN purposes p ON p.workspace_id = m.workspace_id AND p.id = m.purpose_id
        LEFT JOIN category_preferences cp ON cp.workspace_id = d.workspace_id AND cp.contact_id = c.id AND cp.category_id = m.category_id
        WHERE d.workspace_id = ${workspaceId} AND d.source_id = ${reference.sourceId} AND d.id = ${reference.deliveryId}`,
  );
}

export type UnsubscribeChoice = 'everything' | 'category';

export interface Unsubscribe {
  workspaceId: string;
  delivery: UnsubscribableDelivery;
  choice: UnsubscribeChoice;
  /** LINK: the link in the mail or one-click; PREFERENCE_CENTER: the button there. */
  source?: 'LINK' | 'PREFERENCE_CENTER';
  visitor: VisitorTrace;
  httpRequestId: string;
}

/**
 * The effect of an unsubscribe link, in the caller's transaction; repeating it changes nothing more. "everything":
 * status UNSUBSCRIBED, which stops all bulk mail, and marketing consent is revoked. "category": only messages of that
 * category stop. Test mail goes to people of the workspace: its link has no effect.
 *
 * A transactional message may have gone to an address without a contact. No bulk mail can reach such an address now,
 * but a later import could make it a contact: so one is made and unsubscribed like any other. Suppressing the address
 * instead would also stop what its owner may need, such as receipts.
 */
export async function unsubscribe(tx: Queryable, input: Unsubscribe): Promise<void> {
  const { workspaceId, delivery, choice, source = 'LINK' } = input;
  if (delivery.class === 'test') return;
  const contactId = await contactOfDelivery(tx, workspaceId, delivery);
  if (contactId === null) return;
  // One at a time per contact: the checks below then see what an earlier click has done.
  const contact = await one<{ status: string }>(
    tx,
    sql`SELECT status FROM contacts WHERE workspace_id = ${workspaceId} AND id = ${contactId} FOR UPDATE`,
  );
  if (!contact) return;

  let changed: boolean;
  if (choice === 'category' && delivery.category_id !== null) {
    const categoryId = delivery.category_id;
    changed = await setCategoryPreference(tx, { workspaceId, contactId, categoryId, subscribed: false, source });
    if (changed) {
      await noteUnsubscribe(tx, { workspaceId, contactId, source, scope: 'CATEGORY', categoryId, delivery });
    }
  } else {
    const { purpose_id: purposeId } = delivery;
    changed = await leaveEverything(tx, {
      workspaceId,
      contactId,
      source,
      purposeId,
      delivery,
      visitor: input.visitor,
    });
  }
  const first = await recordEngagement(tx, workspaceId, delivery);
  if (!first && !changed) return;

  const data = {
    source_id: delivery.source_id,
    delivery_id: delivery.id,
    scope: choice,
    category_id: delivery.category_id,
  };
  await appendEvent(tx, {
    workspaceId,
    type: 'email_unsubscribed',
    contactId,
    campaignId: delivery.campaign_id,
    payload: data,
  });
  await writeAudit(tx, {
    workspaceId,
    actor: { type: 'public' },
    action: 'contact.unsubscribe',
    entityType: 'contact',
    entityId: contactId,
    old: { status: contact.status },
    new: { ...data, source },
    requestId: input.httpRequestId,
  });
}

/** The contact of a delivery; where it went to an address without one, that of the address, made when there is none. */
export async function contactOfDelivery(
  tx: Queryable,
  workspaceId: string,
  delivery: UnsubscribableDelivery,
): Promise<string | null> {
  if (delivery.contact_id !== null) return delivery.contact_id;
  if (delivery.address === null || delivery.address_hash === null) return null;
  const { contactId } = await findOrCreateContact(tx, {
    workspaceId,
    email: delivery.address,
    emailHash: delivery.address_hash,
    origin: 'SYSTEM',
  });
  return contactId;
}

/** At most one UNSUBSCRIBE per delivery; false when it is there already. */
async function recordEngagement(
  tx: Queryable,
  workspaceId: string,
  delivery: UnsubscribableDelivery,
): Promise<boolean> {
  const row = await one(
    tx,
    sql`INSERT INTO engagements (workspace_id, source_id, delivery_id, kind, actor, occurred_at)
        SELECT ${workspaceId}, ${delivery.source_id}, ${delivery.id}, 'UNSUBSCRIBE', 'unknown', sally_now()
        WHERE NOT EXISTS (SELECT 1 FROM engagements WHERE source_id = ${delivery.source_id}
          AND delivery_id = ${delivery.id} AND kind = 'UNSUBSCRIBE')
        RETURNING 1`,
  );
  return row !== null;
}
