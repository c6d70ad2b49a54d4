import type { Keyring } from '../../platform/crypto';
import { openLinkToken, signLinkToken } from '../consent';

/** Which grant a link is about. */
export interface GateReference {
  workspaceId: string;
  grantId: string;
}

/**
 * The link in a gate's mail. Made where the mail is rendered, from the delivery's source_id and expires_at, so that no
 * link that opens something is ever stored.
 */
export function gateUrl(keyring: Keyring, publicUrl: string, grant: GateReference, expiresAt: Date): string {
  const reference = { workspaceId: grant.workspaceId, id: grant.grantId };
  return `${publicUrl.replace(/\/$/, '')}/gates/${signLinkToken(keyring, 'gate', reference, expiresAt)}`;
}

/** The grant of a link, or null when it is cut, altered, of another purpose or of an unknown key; its row decides the rest. */
export function openGateToken(keyring: Keyring, token: string): GateReference | null {
  const opened = openLinkToken(keyring, 'gate', token);
  return opened && { workspaceId: opened.workspaceId, grantId: opened.id };
}
