import type { KeyPurpose, Keyring } from '../../platform/crypto';
import { uuidFromBytes } from '../../platform/ids';

/** What a link in a sent message carries, encrypted: nothing of it can be read from the URL. */
export interface MessageReference {
  sourceId: string;
  deliveryId: string;
  messageId: string;
}

/** Tracking (pixel and clicks) and unsubscribing have tokens of their own: one never opens as the other. */
export type MessageTokenPurpose = Extract<KeyPurpose, 'message-tracking' | 'message-unsubscribe'>;

/** Compact authenticated, encrypted token of 103 characters (design, section 7). */
export function sealMessageToken(keyring: Keyring, purpose: MessageTokenPurpose, reference: MessageReference): string {
  const plaintext = Buffer.from(
    (reference.sourceId + reference.deliveryId + reference.messageId).replaceAll('-', ''),
    'hex',
  );
  return keyring.seal(purpose, plaintext).toString('base64url');
}

/** The reference, or null when the token is cut, altered or of another purpose. */
export function openMessageToken(
  keyring: Keyring,
  purpose: MessageTokenPurpose,
  token: string,
): MessageReference | null {
  if (!/^[A-Za-z0-9_-]{103}$/.test(token)) return null;
  const sealed = Buffer.from(token, 'base64url');
  // Base64url of 77 bytes has spare bits; only the canonical spelling is the token.
  if (sealed.toString('base64url') !== token) return null;
  const plaintext = keyring.open(purpose, sealed);
  if (plaintext?.length !== 48) return null;
  return {
    sourceId: uuidFromBytes(plaintext.subarray(0, 16)),
    deliveryId: uuidFromBytes(plaintext.subarray(16, 32)),
    messageId: uuidFromBytes(plaintext.subarray(32, 48)),
  };
}
