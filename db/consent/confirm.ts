import { type Queryable, sql } from '../../platform/postgres';
import { writeAudit } from '../workspace';
import { recordConsent } from './consents';
import { applyPendingProfile, reactivateContact } from './contacts';
import {
  closeAsConfirmed,
  findOptInRequest,
  lockOptInContact,
  type OpenedRequest,
  type OptInRequestRow,
  openOptInRequest,
  type VisitorTrace,
} from './opt-in-requests';

interface FromLink {
  workspaceId: string;
  requestId: string;
  visitor: VisitorTrace;
  httpRequestId: string;
}

/** The request as it is after the attempt; `confirmedNow` only for the one call that changed it. */
export interface ConfirmResult {
  request: OptInRequestRow;
  confirmedNow: boolean;
}

/**
 * The confirming click: request, consent, proof, pending profile, status, event and audit in one transaction. A
 * second call finds the request confirmed and changes nothing, also after a later unsubscribe.
 * @returns null when there is no such request
 */
export async function confirmOptIn(tx: Queryable, link: FromLink): Promise<ConfirmResult | null> {
  const { workspaceId, requestId } = link;
  const found = await lockRequest(tx, workspaceId, requestId);
  if (!found) return null;
  if (found.status !== 'OPEN' || !(await closeAsConfirmed(tx, workspaceId, requestId))) {
    return { request: found, confirmedNow: false };
  }
  const contactId = found.contact_id;
  await recordConsent(tx, {
    workspaceId,
    contactId,
    purposeId: found.purpose_id,
    status: 'granted',
    source: 'double_opt_in',
    wordingVersion: found.wording_version,
    locale: found.locale,
    ...link.visitor,
    optInRequestId: requestId,
  });
  await applyPendingProfile(tx, { workspaceId, contactId, requestId, profile: found.profile });
  const reactivated = await reactivateContact(tx, workspaceId, contactId);
  await rejoinCategory(tx, workspaceId, contactId, found.purpose_id);
  await writeAudit(tx, {
    workspaceId,
    actor: { type: 'public' },
    action: 'consent.confirm',
    entityType: 'opt_in_request',
    entityId: requestId,
    old: { status: 'OPEN' },
    new: { status: 'CONFIRMED', contact_id: contactId, purpose_id: found.purpose_id, reactivated },
    requestId: link.httpRequestId,
  });
  return { request: { ...found, status: 'CONFIRMED' }, confirmedNow: true };
}

/** What asking for a new mail led to: `opened` is null when the link's request allows none. */
export interface RenewResult {
  request: OptInRequestRow;
  opened: OpenedRequest | null;
}

/**
 * "Send me a new mail" on an expired link: a new request with what the visitor typed then, or the one that is open.
 * Nothing is sent for a confirmed request, nor where the contact's address has changed since.
 */
export async function renewOptIn(tx: Queryable, link: FromLink): Promise<RenewResult | null> {
  const { workspaceId, requestId } = link;
  const found = await lockRequest(tx, workspaceId, requestId);
  if (!found) return null;
  const contact = await lockOptInContact(tx, workspaceId, found.contact_id);
  if (found.status === 'CONFIRMED' || !contact?.emailHash.equals(found.email_hash)) {
    return { request: found, opened: null };
  }
  const opened = await openOptInRequest(tx, {
    workspaceId,
    contact,
    purpose: { id: found.purpose_id, wording_version: found.purpose_wording_version },
    locale: found.locale,
    profile: found.profile,
    visitor: link.visitor,
  });
  await writeAudit(tx, {
    workspaceId,
    actor: { type: 'public' },
    action: 'consent.renew',
    entityType: 'opt_in_request',
    entityId: opened.requestId,
    new: { instead_of: requestId, request_opened: opened.opened },
    requestId: link.httpRequestId,
  });
  return { request: found, opened };
}

/** Locks the contact, then reads the request: the same order as a sign-up, so the two cannot deadlock. */
async function lockRequest(tx: Queryable, workspaceId: string, requestId: string): Promise<OptInRequestRow | null> {
  await tx.query(sql`SELECT 1 FROM contacts c WHERE c.workspace_id = ${workspaceId} AND c.id = (
    SELECT contact_id FROM opt_in_requests WHERE workspace_id = ${workspaceId} AND id = ${requestId}) FOR UPDATE`);
  return findOptInRequest(tx, workspaceId, requestId);
}

/**
 * Who left the category of this name and now opts in to the purpose of the same name wants its messages again; other
 * categories stay as the contact set them.
 */
async function rejoinCategory(tx: Queryable, workspaceId: string, contactId: string, purposeId: string): Promise<void> {
  await tx.query(sql`
    UPDATE category_preferences cp SET subscribed = true, source = 'LINK', updated_at = sally_now()
    FROM preference_categories c, purposes p
    WHERE cp.workspace_id = ${workspaceId} AND cp.contact_id = ${contactId} AND NOT cp.subscribed
      AND c.workspace_id = cp.workspace_id AND c.id = cp.category_id
      AND p.workspace_id = cp.workspace_id AND p.id = ${purposeId} AND p.key = c.key`);
}
