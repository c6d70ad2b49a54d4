import jwt from 'jsonwebtoken';
import { z } from 'zod';
import type { Keyring } from '../../platform/crypto';
import { uuidFromBytes, uuidToBytes } from '../../platform/ids';

/** What a link is for: a token of one purpose never opens as another. */
export type LinkPurpose = 'opt-in-confirm' | 'preferences' | 'invitation' | 'gate';

const ALGORITHM = 'HS256';
/** A token of ours has about 250 characters; nothing longer is looked at. */
const MAX_LENGTH = 600;
const UUID_BYTES = 16;

const claims = z.strictObject({ purpose: z.string(), exp: z.number().optional(), sub: z.string() });

/** A workspace and something in it. */
export interface LinkReference {
  workspaceId: string;
  id: string;
}

/**
 * The token of a link (design, section 7): a JWT, HS256 pinned, key id in the header, with nothing but purpose, expiry
 * where the link expires, and the ids under AES-256-GCM.
 */
export function signLinkToken(
  keyring: Keyring,
  purpose: LinkPurpose,
  reference: LinkReference,
  expiresAt: Date | null,
): string {
  const { kid, key } = keyring.current('token-signature');
  const ids = Buffer.concat([uuidToBytes(reference.workspaceId), uuidToBytes(reference.id)]);
  const sub = keyring.seal('token-subject', ids).toString('base64url');
  const payload = expiresAt ? { purpose, exp: Math.ceil(expiresAt.getTime() / 1_000), sub } : { purpose, sub };
  return jwt.sign(payload, key, { algorithm: ALGORITHM, keyid: kid, noTimestamp: true });
}

/**
 * The reference and the moment of expiry, or null when the token is cut, altered, of another purpose or of an unknown
 * key. Whether it has expired is the caller's to judge: the row behind it decides besides.
 */
export function openLinkToken(
  keyring: Keyring,
  purpose: LinkPurpose,
  token: string,
): (LinkReference & { expiresAt: Date | null }) | null {
  if (token.length > MAX_LENGTH) return null;
  try {
    const kid = jwt.decode(token, { complete: true })?.header.kid;
    const key = kid === undefined ? null : keyring.find('token-signature', kid);
    if (!key) return null;
    const verified = claims.parse(jwt.verify(token, key, { algorithms: [ALGORITHM], ignoreExpiration: true }));
    if (verified.purpose !== purpose) return null;
    // Base64url may have spare bits; only the canonical spelling is the token.
    if (token.split('.').some((part) => Buffer.from(part, 'base64url').toString('base64url') !== part)) return null;
    const ids = keyring.open('token-subject', Buffer.from(verified.sub, 'base64url'));
    if (ids?.length !== 2 * UUID_BYTES) return null;
    return {
      workspaceId: uuidFromBytes(ids.subarray(0, UUID_BYTES)),
      id: uuidFromBytes(ids.subarray(UUID_BYTES)),
      expiresAt: verified.exp === undefined ? null : new Date(verified.exp * 1_000),
    };
  } catch {
    return null;
  }
}
