import { execFile } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withLock } from './file-lock';
import { PROJECT, tsxArguments } from './tsx';

const run = promisify(execFile);
const BUNDLE = join(PROJECT, '.sally', 'workflow-bundle.js');

/** What a workflow bundle can contain: workflows import domain files only. */
const SOURCES = ['workflows', 'domain', 'package-lock.json'];

/**
 * The bundle of workflows/index.ts that the embedded stack, all test suites and all their worker processes share, for
 * `workflowBundle: { codePath }` of a Worker (processes get the path as SALLY_WORKFLOW_BUNDLE). Built once, again only
 * when a source is newer; safe to call from several processes.
 */
export async function workflowBundle(): Promise<{ codePath: string }> {
  if (isFresh()) return { codePath: BUNDLE };
  await withLock(`${BUNDLE}.lock`, async () => {
    if (isFresh()) return;
    // A process of its own: webpack inside a Jest environment is slow and meets Jest's module system.
    await run(process.execPath, tsxArguments('dev/workflow-bundle-main.ts', BUNDLE), { cwd: PROJECT });
  });
  return { codePath: BUNDLE };
}

function isFresh(): boolean {
  if (!existsSync(BUNDLE)) return false;
  const built = statSync(BUNDLE).mtimeMs;
  return SOURCES.every((source) => newest(join(PROJECT, source)) < built);
}

/** Time of the newest file in a folder, tests left out; 0 when it does not exist. */
function newest(path: string): number {
  if (!existsSync(path)) return 0;
  const found = statSync(path);
  if (!found.isDirectory()) return found.mtimeMs;
  let time = 0;
  for (const name of readdirSync(path)) {
    if (!name.endsWith('.test.ts')) time = Math.max(time, newest(join(path, name)));
  }
  return time;
}
