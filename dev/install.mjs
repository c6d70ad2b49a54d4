/**
 * Installs the dependencies with `npm ci` where node_modules is absent or does not match package-lock.json, and is
 * silent otherwise. Every npm script that people run begins with it, so `git clone` and `npm run demo` is all it takes.
 *
 * Plain JavaScript with node: modules only: it runs before anything is installed. Several processes may start at once
 * (a test run beside a demo): one installs, the others wait for it.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, statSync, utimesSync, writeSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const MIN_NODE = [20, 19];
const WAIT_MS = 15 * 60_000;

/**
 * True when node_modules holds what package-lock.json asks for. File times decide; where they do not (a fresh
 * checkout beside kept node_modules), the packages are compared one by one.
 * @param {string} project folder of package.json
 */
export function isInstalled(project) {
  const wanted = join(project, 'package-lock.json');
  const installed = join(project, 'node_modules', '.package-lock.json');
  const installedAt = modified(installed);
  if (installedAt === undefined) return false;
  const wantedAt = modified(wanted);
  if (wantedAt === undefined || wantedAt <= installedAt) return true;
  if (!sameContents(packagesOf(wanted), packagesOf(installed))) return false;
  const now = new Date();
  // Next time the file times are enough.
  utimesSync(installed, now, now);
  return true;
}

function modified(file) {
  try {
    return statSync(file).mtimeMs;
  } catch {
    return undefined;
  }
}

function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages ?? {};
  } catch {
    return {};
  }
}

/** Packages for other platforms are in the lock file but never installed. */
function sameContents(wanted, installed) {
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '') continue;
    const found = installed[path];
    if (!found && !entry.optional) return false;
    if (found && found.version !== entry.version) return false;
  }
  return Object.keys(installed).every((path) => path in wanted);
}

/**
 * Takes the lock file, waiting for a living holder; one left by a dead process is removed.
 * @param {string} path
 * @returns {Promise<() => void>} releases it
 */
export async function acquireLock(path, waitMs = WAIT_MS) {
  mkdirSync(dirname(path), { recursive: true });
  const deadline = Date.now() + waitMs;
  let told = false;
  for (;;) {
    try {
      const file = openSync(path, 'wx', 0o600);
      writeSync(file, `${process.pid}\n`);
      closeSync(file);
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const holder = holderOf(path);
    if (holder === 'absent') continue;
    if (holder === 'dead') {
      removeDeadLock(path);
      await sleep(20);
      continue;
    }
    if (Date.now() > deadline) throw new Error(`Another installation (process ${holder}) holds ${path}.`);
    if (!told) console.error('Waiting for another installation of the dependencies to finish');
    told = true;
    await sleep(200);
  }
}

function holderOf(path) {
  let text;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return 'absent';
  }
  // Empty: its writer is between open and write.
  if (text === '') return 'starting';
  const pid = Number(text);
  try {
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    return error.code === 'EPERM' ? pid : 'dead';
  }
}

/** Somebody died between taking this second lock and giving it back, which are a few microseconds apart. */
const OLD_GUARD_MS = 10_000;

/**
 * Removes a lock that is still a dead process's. One process at a time does so: between the look and the removal nobody
 * else can have replaced it by a lock of a living one.
 */
function removeDeadLock(path) {
  const guard = `${path}.removal`;
  try {
    closeSync(openSync(guard, 'wx', 0o600));
  } catch {
    if (Date.now() - (modified(guard) ?? Date.now()) > OLD_GUARD_MS) rmSync(guard, { force: true });
    return;
  }
  try {
    if (holderOf(path) === 'dead') rmSync(path, { force: true });
  } finally {
    rmSync(guard, { force: true });
  }
}

/**
 * Runs `npm ci` with the npm that runs us, if there is one. Where a registry does not carry the packages of other
 * platforms, no lock file made there can satisfy `npm ci`; `npm install --no-save` takes the same locked versions.
 */
function npmCi(project) {
  const { npm_execpath } = process.env;
  const options = { cwd: project, stdio: ['ignore', 'inherit', 'inherit'] };
  const npm = (...args) => {
    const result = npm_execpath?.endsWith('.js')
      ? spawnSync(process.execPath, [npm_execpath, ...args, '--no-audit', '--no-fund'], options)
      : spawnSync('npm', [...args, '--no-audit', '--no-fund'], { ...options, shell: process.platform === 'win32' });
    if (result.error) throw new Error(`npm could not be started: ${result.error.message}`);
    return result.status === 0;
  };
  if (npm('ci')) return;
  console.error('npm ci refused the lock file; installing its versions with npm install');
  if (!npm('install', '--no-save')) {
    throw new Error('npm install failed; its messages are above. Nothing was started.');
  }
}

async function main() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < MIN_NODE[0] || (major === MIN_NODE[0] && minor < MIN_NODE[1])) {
    throw new Error(`Sally needs Node ${MIN_NODE.join('.')} or newer; this is ${process.version}.`);
  }
  const project = resolve(dirname(fileURLToPath(import.meta.url)), '..');
  if (isInstalled(project)) return;
  const release = await acquireLock(join(project, '.sally', 'install.lock'));
  try {
    if (isInstalled(project)) return;
    console.error('Installing the dependencies (npm ci); this happens once');
    npmCi(project);
  } finally {
    release();
  }
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    console.error(error.message);
    process.exit(1);
  });
}
