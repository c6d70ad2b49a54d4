import type { Keyring } from '../../platform/crypto';
import { type LinkReference, openLinkToken, signLinkToken } from './link-token';

const PURPOSE = 'invitation';

/** The link in an invitation's mail; made where the mail is rendered, so that it is stored nowhere. */
export function invitationUrl(keyring: Keyring, publicUrl: string, invitation: LinkReference, expiresAt: Date): string {
  return `${publicUrl.replace(/\/$/, '')}/invitations/${signLinkToken(keyring, PURPOSE, invitation, expiresAt)}`;
}

/** The invitation of such a link, or null; whether it is still open, its row says. */
export function openInvitationToken(keyring: Keyring, token: string): LinkReference | null {
  return openLinkToken(keyring, PURPOSE, token);
}
