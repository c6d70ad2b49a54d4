import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const MODULE = pathToFileURL(join(__dirname, 'install.mjs')).href;

let project: string;
beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'sally-test-'));
});
afterEach(() => rmSync(project, { recursive: true, force: true }));

/** Runs a piece of JavaScript that has the module's functions, in a process of its own (it is an ES module). */
async function evaluate(code: string): Promise<string> {
  const script = `import * as install from ${JSON.stringify(MODULE)};\n${code}`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script]);
  return stdout.trim();
}

function write(name: string, packages: object, age: number): void {
  const file = join(project, name);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, JSON.stringify({ packages }));
  const time = new Date(Date.now() - age);
  utimesSync(file, time, time);
}

const isInstalled = (): Promise<string> => evaluate(`console.log(install.isInstalled(${JSON.stringify(project)}))`);
const HIDDEN = 'node_modules/.package-lock.json';

test('node_modules must exist, and be newer than the lock file or hold the same packages', async () => {
  const packages = { 'node_modules/a': { version: '1.0.0' } };
  write('package-lock.json', { '': {}, ...packages, 'node_modules/b': { version: '2.0.0', optional: true } }, 10_000);
  expect(await isInstalled()).toBe('false');
  write(HIDDEN, packages, 5_000);
  expect(await isInstalled()).toBe('true');
  write(HIDDEN, packages, 20_000);
  expect(await isInstalled()).toBe('true');
  write(HIDDEN, { 'node_modules/a': { version: '0.9.0' } }, 20_000);
  expect(await isInstalled()).toBe('false');
  write(HIDDEN, { ...packages, 'node_modules/extra': { version: '1.0.0' } }, 20_000);
  expect(await isInstalled()).toBe('false');
});

test('only one process at a time holds the lock, and that of a dead one does not block', async () => {
  const lock = join(project, 'install.lock');
  const log = join(project, 'log');
  // No process has this id: the kernel's largest is 2^22.
  writeFileSync(lock, '99999999\n');
  const code = `
    import { appendFileSync } from 'node:fs';
    const release = await install.acquireLock(${JSON.stringify(lock)});
    appendFileSync(${JSON.stringify(log)}, 'in\\n');
    await new Promise((resolve) => setTimeout(resolve, 100));
    appendFileSync(${JSON.stringify(log)}, 'out\\n');
    release();`;
  await Promise.all([evaluate(code), evaluate(code), evaluate(code)]);
  expect(readFileSync(log, 'utf8')).toBe('in\nout\n'.repeat(3));
});
