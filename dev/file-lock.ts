import { closeSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** True when a process with this id exists, whoever owns it. */
export function isProcessAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The process that holds the lock file, or undefined when nobody does (no file, or its writer is dead). */
export function lockHolder(path: string): number | undefined {
  const pid = Number.parseInt(textOf(path) ?? '', 10);
  return isProcessAlive(pid) ? pid : undefined;
}

/** Takes the lock file if it is free or was left by a dead process. Returns its release function, or undefined. */
export function tryLock(path: string): (() => void) | undefined {
  mkdirSync(dirname(path), { recursive: true });
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      const file = openSync(path, 'wx', 0o600);
      writeSync(file, `${process.pid}\n`);
      closeSync(file);
      return () => rmSync(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (lockHolder(path) !== undefined || textOf(path) === '') return undefined;
      removeDeadLock(path);
    }
  }
  return undefined;
}

/** Somebody died between taking this second lock and giving it back, which are a few microseconds apart. */
const OLD_GUARD_MS = 10_000;

/**
 * Removes a lock that is still a dead process's. One process at a time does so: between the look and the removal nobody
 * else can have replaced it by a lock of a living one.
 */
function removeDeadLock(path: string): void {
  const guard = `${path}.removal`;
  try {
    closeSync(openSync(guard, 'wx', 0o600));
  } catch {
    const since = statSync(guard, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - since > OLD_GUARD_MS) rmSync(guard, { force: true });
    return;
  }
  try {
    const text = textOf(path);
    if (text && !isProcessAlive(Number.parseInt(text, 10))) rmSync(path, { force: true });
  } finally {
    rmSync(guard, { force: true });
  }
}

/** What is in the lock file; nothing while its process is between open and write, undefined where there is no file. */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * Runs `work` while holding the lock file, waiting for other processes to release it.
 * @throws Error when the lock is not free after `timeoutMs`
 */
export async function withLock<T>(path: string, work: () => Promise<T>, timeoutMs = 120_000): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const release = tryLock(path);
    if (release) {
      try {
        return await work();
      } finally {
        release();
      }
    }
    if (Date.now() > deadline) throw new Error(`${path} is held by process ${lockHolder(path) ?? '(unknown)'}`);
    await sleep(50);
  }
}
