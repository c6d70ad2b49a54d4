import { hash, verify } from '@node-rs/argon2';

/** Argon2id (the library's default algorithm) with the parameters of OWASP's Password Storage Cheat Sheet; memory in KiB. */
const OPTIONS = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** Hash of a password in PHC form, with a random salt. Runs on libuv's thread pool. */
export function hashPassword(password: string): Promise<string> {
  return hash(password, OPTIONS);
}

let nobody: Promise<string> | undefined;

/**
 * Whether `password` is the one of `stored`. With `stored` null (no such person) it does the same work and says no, so
 * that neither the answer nor its time tells whether somebody exists.
 */
export async function verifyPassword(stored: string | null, password: string): Promise<boolean> {
  nobody ??= hashPassword('nobody has this password');
  const matches = await verify(stored ?? (await nobody), password);
  return matches && stored !== null;
}
