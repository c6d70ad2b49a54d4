import { one, type Queryable, sql } from '../../platform/postgres';
import { writeAudit } from '../workspace';
import { recordConsent } from './consents';
import { lockOptInContact, type OpenedRequest, openOptInRequest, type VisitorTrace } from './opt-in-requests';

export interface Resubscription {
  workspaceId: string;
  contactId: string;
  /** Purpose of the message whose link was used, if any. */
  purposeId: string | null;
  locale: string;
  visitor: VisitorTrace;
  httpRequestId: string;
}

/**
 * "Subscribe me again" in the preference centre: a double opt-in like any sign-up, since a link in a mail may have been
 * forwarded. For the purpose of the message, else the one that was left last, else the workspace's first. Nothing
 * changes before the confirmation.
 * @returns null when there is no purpose to sign up for, or no such contact
 */
export async function askToResubscribe(tx: Queryable, asked: Resubscription): Promise<OpenedRequest | null> {
  const { workspaceId, contactId, locale, visitor } = asked;
  const contact = await lockOptInContact(tx, workspaceId, contactId);
  const purpose = await one<{ id: string; wording_version: number }>(
    tx,
    sql`SELECT p.id, p.wording_version FROM purposes p
        LEFT JOIN consents c ON c.workspace_id = p.workspace_id AND c.purpose_id = p.id AND c.contact_id = ${contactId}
          AND c.channel = 'email' AND c.status = 'denied'
        WHERE p.workspace_id = ${workspaceId} AND p.kind = 'marketing' AND p.archived_at IS NULL
        ORDER BY p.id IS NOT DISTINCT FROM ${asked.purposeId} DESC, c.revoked_at DESC NULLS LAST, p.id LIMIT 1`,
  );
  if (!contact || !purpose) return null;
  const opened = await openOptInRequest(tx, { workspaceId, contact, purpose, locale, profile: {}, visitor });
  await recordConsent(tx, {
    workspaceId,
    contactId,
    purposeId: purpose.id,
    status: 'pending',
    source: 'sign_up',
    wordingVersion: purpose.wording_version,
    locale,
    ...visitor,
    optInRequestId: opened.requestId,
  });
  await writeAudit(tx, {
    workspaceId,
    actor: { type: 'public' },
    action: 'contact.resubscribe',
    entityType: 'opt_in_request',
    entityId: opened.requestId,
    new: { contact_id: contactId, purpose_id: purpose.id, request_opened: opened.opened },
    requestId: asked.httpRequestId,
  });
  return opened;
}
