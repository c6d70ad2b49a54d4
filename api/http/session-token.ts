import jwt from 'jsonwebtoken';
import { z } from 'zod';
import type { Keyring } from '../../platform/crypto';

const payload = z.object({ sub: z.uuid(), epoch: z.number().int(), exp: z.number() });

/** How long a session lasts, in seconds. */
export const SESSION_SECONDS = 12 * 3600;

/** A session token (JWT, HS256 pinned, key id in the header). Not encrypted; it travels in a header only. */
export function signSession(keyring: Keyring, userId: string, epoch: number): string {
  const { kid, key } = keyring.current('session');
  return jwt.sign({ epoch }, key, { algorithm: 'HS256', keyid: kid, subject: userId, expiresIn: SESSION_SECONDS });
}

/** The user and session epoch of a valid token, or null. */
export function verifySession(keyring: Keyring, token: string): { userId: string; epoch: number } | null {
  const kid = jwt.decode(token, { complete: true })?.header.kid;
  const key = kid === undefined ? null : keyring.find('session', kid);
  if (!key) return null;
  try {
    const claims = payload.parse(jwt.verify(token, key, { algorithms: ['HS256'] }));
    return { userId: claims.sub, epoch: claims.epoch };
  } catch {
    return null;
  }
}
