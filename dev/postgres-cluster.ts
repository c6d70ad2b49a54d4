import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { PostgresBinaries } from './postgres-binaries';
import { placeForUnprivileged, type UnprivilegedUser } from './unprivileged';

const run = promisify(execFile);

/** The superuser of a cluster. */
export const SUPERUSER = 'postgres';

/** The files of one Postgres server, and what runs them. */
export interface Cluster {
  binaries: PostgresBinaries;
  user: UnprivilegedUser | undefined;
  /** PGDATA */
  directory: string;
  password: string;
}

/** The cluster in `dataDir` (as root it may lie elsewhere), made first where there is none. */
export async function openCluster(
  binaries: PostgresBinaries,
  user: UnprivilegedUser | undefined,
  options: { dataDir: string; durable?: boolean },
): Promise<Cluster> {
  const dataDir = user ? placeForUnprivileged(options.dataDir) : options.dataDir;
  const major = Number.parseInt(binaries.version, 10);
  const directory = join(dataDir, `cluster-${major}`);
  const passwordFile = join(dataDir, 'password');
  // Everybody may pass through, nobody else may read what is in the cluster (0700) and the password (0600).
  mkdirSync(dataDir, { recursive: true, mode: 0o755 });
  if (!existsSync(passwordFile))
    writeFileSync(passwordFile, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 });
  if (user) chownSync(passwordFile, user.uid, user.gid);
  const password = readFileSync(passwordFile, 'utf8').trim();
  if (!existsSync(directory))
    await initialise(binaries, user, dataDir, directory, passwordFile, options.durable ?? true);
  return { binaries, user, directory, password };
}

/** Runs initdb beside the final place, then renames, so that an interrupted initdb leaves no half cluster. */
async function initialise(
  binaries: PostgresBinaries,
  user: UnprivilegedUser | undefined,
  dataDir: string,
  directory: string,
  passwordFile: string,
  durable: boolean,
): Promise<void> {
  for (const name of readdirSync(dataDir)) {
    if (name.startsWith('unfinished-')) rmSync(join(dataDir, name), { recursive: true, force: true });
  }
  const unfinished = join(dataDir, `unfinished-${process.pid}`);
  mkdirSync(unfinished, { mode: 0o700 });
  if (user) chownSync(unfinished, user.uid, user.gid);
  const args = ['-D', unfinished, '-U', SUPERUSER, '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '-E', 'UTF8'];
  args.push('--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8');
  if (!durable) args.push('--no-sync');
  try {
    await run(binaries.initdb, args, { ...user, cwd: dataDir, env: postgresEnvironment() });
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    throw new Error(`initdb failed: ${error instanceof Error ? error.message : String(error)}`);
  }
  chmodSync(unfinished, 0o700);
  renameSync(unfinished, directory);
}

/** Nothing of our environment (PG*, LANG, secrets) may change how Postgres behaves. */
export function postgresEnvironment(): NodeJS.ProcessEnv {
  const { PATH, SystemRoot, TEMP } = process.env;
  return { PATH, SystemRoot, TEMP, LC_ALL: 'C', TZ: 'UTC' };
}
