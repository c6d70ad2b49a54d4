import jwt from 'jsonwebtoken';
import { z } from 'zod';
import type { Keyring } from '../../platform/crypto';
import { uuidFromBytes, uuidToBytes } from '../../platform/ids';

const PURPOSE = 'opt-in-confirm';
const ALGORITHM = 'HS256';
/** A token of ours has about 250 characters; nothing longer is looked at. */
const MAX_LENGTH = 600;

const claims = z.strictObject({ purpose: z.literal(PURPOSE), exp: z.number(), sub: z.string() });

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
 * The token of a confirmation link (design, section 7): a JWT, HS256 pinned, key id in the header, with nothing but
 * purpose, expiry and the ids under AES-256-GCM. It is made where the mail is rendered, from the delivery's
 * source_id and expires_at, so that no link that confirms is ever stored.
 */
export function signOptInToken(keyring: Keyring, reference: OptInReference, expiresAt: Date): string {
  const { kid, key } = keyring.current('token-signature');
  const ids = Buffer.concat([uuidToBytes(reference.workspaceId), uuidToBytes(reference.requestId)]);
  const sub = keyring.seal('token-subject', ids).toString('base64url');
  const exp = Math.ceil(expiresAt.getTime() / 1_000);
  return jwt.sign({ purpose: PURPOSE, exp, sub }, key, { algorithm: ALGORITHM, keyid: kid, noTimestamp: true });
}

/** The reference, or null when the token is cut, altered, of another purpose or of an unknown key. */
export function openOptInToken(keyring: Keyring, token: string, now: Date): OptInToken | null {
  if (token.length > MAX_LENGTH) return null;
  try {
    const kid = jwt.decode(token, { complete: true })?.header.kid;
    const key = kid === undefined ? null : keyring.find('token-signature', kid);
    if (!key) return null;
    const verified = jwt.verify(token, key, { algorithms: [ALGORITHM], ignoreExpiration: true });
    const { exp, sub } = claims.parse(verified);
    // Base64url may have spare bits; only the canonical spelling is the token.
    if (token.split('.').some((part) => Buffer.from(part, 'base64url').toString('base64url') !== part)) return null;
    const ids = keyring.open('token-subject', Buffer.from(sub, 'base64url'));
    if (ids?.length !== 32) return null;
    return {
      workspaceId: uuidFromBytes(ids.subarray(0, 16)),
      requestId: uuidFromBytes(ids.subarray(16, 32)),
      expired: exp * 1_000 <= now.getTime(),
    };
  } catch {
    return null;
  }
}

/** The link in a confirmation mail or reminder. */
export function optInUrl(keyring: Keyring, publicUrl: string, reference: OptInReference, expiresAt: Date): string {
  return `${publicUrl.replace(/\/$/, '')}/confirm/${signOptInToken(keyring, reference, expiresAt)}`;
}
