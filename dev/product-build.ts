import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withLock } from './file-lock';
import { newestSource } from './freshness';
import { PROJECT } from './tsx';

const run = promisify(execFile);
const BUILDS = join(PROJECT, '.sally', 'builds');
/** What server.ts and worker.ts are made of. */
const LAYERS = ['activities', 'api', 'channels', 'db', 'domain', 'platform', 'workflows'];
const SOURCES = [...LAYERS, 'server.ts', 'worker.ts', '.swcrc', 'package-lock.json'];
const OLD_MS = 6 * 3_600_000;

/**
 * The product as JavaScript, built as for the container image (`npm run build`): a process that is started from it is
 * ready seconds earlier than one that compiles its TypeScript first. Built once for a state of the sources, each state
 * in a folder of its own, so that nothing changes under a process that runs. Safe to call from several processes.
 * @returns the folder that holds server.js and worker.js
 */
export async function productBuild(): Promise<string> {
  const folder = join(BUILDS, String(Math.trunc(newestSource(SOURCES))));
  if (existsSync(folder)) return folder;
  await withLock(`${folder}.lock`, async () => {
    if (existsSync(folder)) return;
    removeOldBuilds();
    const unfinished = `${folder}.new`;
    rmSync(unfinished, { recursive: true, force: true });
    mkdirSync(unfinished, { recursive: true });
    const swc = join(PROJECT, 'node_modules', '@swc', 'cli', 'bin', 'swc.js');
    await run(
      process.execPath,
      [swc, ...LAYERS, 'server.ts', 'worker.ts', '--out-dir', unfinished, '--ignore', '**/*.test.ts', '--quiet'],
      { cwd: PROJECT },
    );
    cpSync(join(PROJECT, 'db', 'migrations'), join(unfinished, 'db', 'migrations'), { recursive: true });
    renameSync(unfinished, folder);
  });
  return folder;
}

/** Of states that nobody starts any more; what still runs has long loaded its files. */
function removeOldBuilds(): void {
  if (!existsSync(BUILDS)) return;
  for (const name of readdirSync(BUILDS)) {
    const path = join(BUILDS, name);
    if (Date.now() - statSync(path).mtimeMs > OLD_MS) rmSync(path, { recursive: true, force: true });
  }
}
