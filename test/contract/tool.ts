import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { withLock } from '../../dev/file-lock';
import { cacheDirectory } from '../../dev/temporal-cli';

const run = promisify(execFile);
const VERSION = '4.32.5';
/** What schemathesis 4.32 asks for. */
const OLDEST_PYTHON = [3, 11] as const;

/** How to start schemathesis. */
export interface Tool {
  command: string;
  args: string[];
  env: Record<string, string>;
}

/** There is no schemathesis, and no way to get it. */
export class ToolIsMissing extends Error {}

/**
 * schemathesis: SALLY_SCHEMATHESIS, or the pinned version with the pinned packages below it (requirements.txt), which pip
 * puts into the user's cache the first time.
 * @throws ToolIsMissing without Python, pip or an index that answers
 */
export async function findSchemathesis(say: (line: string) => void): Promise<Tool> {
  const { SALLY_SCHEMATHESIS } = process.env;
  if (SALLY_SCHEMATHESIS) return { command: SALLY_SCHEMATHESIS, args: [], env: {} };
  const python = await findPython();
  if (!python) throw new ToolIsMissing(`There is no Python ${OLDEST_PYTHON.join('.')} or newer with pip here.`);
  // Compiled packages belong to one version of Python.
  const folder = join(cacheDirectory(), `schemathesis-${VERSION}-python-${python.version}-${process.arch}`);
  await withLock(`${folder}.lock`, () => install(python.command, folder, say), 600_000);
  return { command: python.command, args: ['-m', 'schemathesis.cli'], env: { PYTHONPATH: folder } };
}

async function findPython(): Promise<{ command: string; version: string } | undefined> {
  const question = 'import pip, sys; print("%d.%d" % sys.version_info[:2])';
  for (const command of ['python3', 'python']) {
    const answer = await run(command, ['-c', question]).catch(() => null);
    const [major = 0, minor = 0] = answer?.stdout.trim().split('.').map(Number) ?? [];
    if (major === OLDEST_PYTHON[0] && minor >= OLDEST_PYTHON[1]) return { command, version: `${major}.${minor}` };
  }
  return undefined;
}

/** Installs into a folder beside, then renames: a folder with the right name is complete. */
async function install(python: string, folder: string, say: (line: string) => void): Promise<void> {
  if (existsSync(folder)) return;
  say(`Installing schemathesis ${VERSION} with pip`);
  const beside = mkdtempSync(join(dirname(folder), 'schemathesis-'));
  const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-input', '--no-deps'];
  args.push('--only-binary=:all:', '--target', beside, '--requirement', join(__dirname, 'requirements.txt'));
  try {
    await run(python, args, { timeout: 300_000, maxBuffer: 16 * 1024 * 1024 });
    renameSync(beside, folder);
  } catch (error) {
    rmSync(beside, { recursive: true, force: true });
    const told =
      typeof error === 'object' && error !== null && 'stderr' in error ? String(error.stderr) : String(error);
    throw new ToolIsMissing(`pip could not install schemathesis ${VERSION}: ${told.trim().split('\n').at(-1)}`);
  }
}
