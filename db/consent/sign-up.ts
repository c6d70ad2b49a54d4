import type { Queryable } from '../../platform/postgres';
import { writeAudit } from '../workspace';
import { recordConsent } from './consents';
import { findOrCreateContact } from './contacts';
import {
  lockOptInContact,
  type OpenedRequest,
  openOptInRequest,
  type PendingProfile,
  type VisitorTrace,
} from './opt-in-requests';
import type { PurposeRow } from './purposes';

export interface SignUp {
  workspaceId: string;
  /** Normalised. */
  email: string;
  emailHash: Buffer;
  purpose: PurposeRow;
  profile: PendingProfile;
  visitor: VisitorTrace;
  /** Of the HTTP request, for the audit. */
  requestId: string;
}

/**
 * A visitor's sign-up, in the caller's transaction: contact (if new), open request, proof, audit. An existing
 * contact's profile, consent and status stay as they are until the address's owner confirms.
 */
export async function signUp(tx: Queryable, input: SignUp): Promise<OpenedRequest> {
  const { workspaceId, purpose } = input;
  const { contactId, created } = await findOrCreateContact(tx, { ...input, origin: 'SIGN_UP' });
  const contact = await lockOptInContact(tx, workspaceId, contactId);
  if (!contact) throw new Error('the contact is gone');
  const locale = input.profile.locale ?? null;
  const opened = await openOptInRequest(tx, { ...input, contact, locale });
  await recordConsent(tx, {
    workspaceId,
    contactId,
    purposeId: purpose.id,
    status: 'pending',
    source: 'sign_up',
    wordingVersion: purpose.wording_version,
    locale,
    ...input.visitor,
    optInRequestId: opened.requestId,
  });
  await writeAudit(tx, {
    workspaceId,
    actor: { type: 'public' },
    action: 'contact.sign_up',
    entityType: 'opt_in_request',
    entityId: opened.requestId,
    new: { contact_id: contactId, purpose: purpose.key, contact_created: created, request_opened: opened.opened },
    requestId: input.requestId,
  });
  return opened;
}
