import { closeSync, linkSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
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
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
  const pid = Number.parseInt(text, 10);
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
      if (lockHolder(path) !== undefined || isJustBeingWritten(path)) return undefined;
      removeDeadLock(path);
    }
  }
  return undefined;
}

/**
 * Moves the file away before it is removed: between our look at it and our removal another process may have replaced
 * it by its own, which then goes back.
 */
function removeDeadLock(path: string): void {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
    if (lockHolder(aside) !== undefined || isJustBeingWritten(aside)) linkSync(aside, path);
  } catch {
    // Another process was faster.
  }
  rmSync(aside, { force: true });
}

/** An empty lock file belongs to a process between its open and its write. */
function isJustBeingWritten(path: string): boolean {
  try {
    return readFileSync(path, 'utf8') === '';
  } catch {
    return false;
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
