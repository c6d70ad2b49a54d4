import { execFile } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withLock } from './file-lock';
import { newestSource } from './freshness';
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
  return existsSync(BUNDLE) && newestSource(SOURCES) < statSync(BUNDLE).mtimeMs;
}
