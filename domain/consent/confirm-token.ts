import type { Keyring } from '../../platform/crypto';
import { openLinkToken, signLinkToken } from './link-token';

const PURPOSE = 'opt-in-confirm';

/** Which request a confirmation link is about. */
export interface OptInReference {
  workspaceId: string;
  requestId: string;
}

/** What a genuine link says; `expired` by the caller's clock, the request's row decides besides. */
export interface OptInToken extends OptInReference {
  expired: boolean;
}

/**
 * The token of a confirmation link. It is made where the mail is rendered, from the delivery's source_id and
 * expires_at, so that no link that confirms is ever stored.
 */
export function signOptInToken(keyring: Keyring, reference: OptInReference, expiresAt: Date): string {
  return signLinkToken(keyring, PURPOSE, { workspaceId: reference.workspaceId, id: reference.requestId }, expiresAt);
}

/** The reference, or null when the token is cut, altered, of another purpose or of an unknown key. */
export function openOptInToken(keyring: Keyring, token: string, now: Date): OptInToken | null {
  const opened = openLinkToken(keyring, PURPOSE, token);
  if (!opened?.expiresAt) return null;
  return { workspaceId: opened.workspaceId, requestId: opened.id, expired: opened.expiresAt <= now };
}

/** The link in a confirmation mail or reminder. */
export function optInUrl(keyring: Keyring, publicUrl: string, reference: OptInReference, expiresAt: Date): string {
  return `${publicUrl.replace(/\/$/, '')}/confirm/${signOptInToken(keyring, reference, expiresAt)}`;
}
