import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { dirname, join, parse } from 'node:path';

/** An existing account without privileges, to run Postgres as: it refuses to run as root. */
export interface UnprivilegedUser {
  uid: number;
  gid: number;
}

/** Accounts that exist on practically every Unix; the first one found is used. No account is ever created. */
const CANDIDATES = ['postgres', 'nobody', 'daemon'];

/**
 * Undefined unless we are root; then the account to run as.
 * @throws Error when none of the usual accounts exists
 */
export function unprivilegedUser(): UnprivilegedUser | undefined {
  if (process.platform === 'win32' || process.getuid?.() !== 0) return undefined;
  const accounts = new Map<string, UnprivilegedUser>();
  for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
    const [name, , uid, gid] = line.split(':');
    if (name && uid && gid) accounts.set(name, { uid: Number(uid) >>> 0, gid: Number(gid) >>> 0 });
  }
  for (const name of CANDIDATES) {
    const account = accounts.get(name);
    if (account && account.uid !== 0) return account;
  }
  throw new Error(
    `Postgres cannot run as root, and none of the accounts ${CANDIDATES.join(', ')} exists. ` +
      'Run as an ordinary user, or set DATABASE_URL to a server that is already running.',
  );
}

/** True when every other user can reach `path`: all folders above it can be passed through by anybody. */
export function isReachableByOthers(path: string): boolean {
  const { root } = parse(path);
  for (let folder = path; folder !== root; folder = dirname(folder)) {
    try {
      if ((statSync(folder).mode & 0o005) !== 0o005) return false;
    } catch {
      // Does not exist yet: it will be made by us, with a fitting mode.
    }
  }
  return true;
}

/**
 * Where the unprivileged account keeps what belongs to `path`: `path` itself if that account can reach it, else a
 * folder under /var/lib that is always the same for this path. (A home directory of root is usually mode 0700.)
 */
export function placeForUnprivileged(path: string): string {
  if (isReachableByOthers(dirname(path))) return path;
  const key = createHash('sha256').update(path).digest('hex').slice(0, 16);
  return join('/var/lib/sally', key);
}
