import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Shutdown order: what depends on others ends first. Processes of one order end together. */
export const STOP_ORDER = { api: 1, worker: 2, inbox: 3, temporal: 4, postgres: 5 } as const;

export interface ProcessOptions {
  /** Shown in messages; also the name of the log file. */
  name: string;
  command: string;
  args: string[];
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Run as this user (only where we are root). */
  uid?: number;
  gid?: number;
  order: number;
  /** What asks the process to end: SIGTERM, but SIGINT for Postgres ("fast"). */
  stopSignal?: NodeJS.Signals;
  /** How long it may take to end, in milliseconds, before SIGKILL. */
  graceMs?: number;
  /** Replaces the signal for a process that has a stop command of its own. Its failure falls back to the signal. */
  stopCommand?: () => Promise<void>;
}

/** How a process ended. */
export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** One child with its log file. */
export class ManagedProcess {
  readonly exited: Promise<Exit>;
  /** Undefined while it runs. */
  exit: Exit | undefined;

  constructor(
    readonly options: ProcessOptions,
    readonly pid: number,
    readonly logFile: string,
    private readonly child: ChildProcess,
  ) {
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.exit = { code, signal };
        resolve(this.exit);
      });
    });
  }

  get name(): string {
    return this.options.name;
  }

  /** Sends a signal; harmless when the process has ended. */
  signal(signal: NodeJS.Signals): void {
    if (this.exit) return;
    try {
      process.kill(this.pid, signal);
    } catch {
      // Ended between the check and the call.
    }
  }

  /** Waits until it has ended, by whatever cause. (`exited` alone would not keep our own process alive.) */
  waitForExit(): Promise<Exit> {
    this.child.ref();
    return this.exited;
  }

  /** Ends it as a crash would, and waits until it is gone. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.waitForExit();
  }

  /** Asks it to end, waits for its grace period, then forces it. */
  async stop(): Promise<Exit> {
    if (this.exit) return this.exit;
    const { stopSignal = 'SIGTERM', graceMs = 10_000, stopCommand } = this.options;
    const exited = this.waitForExit();
    // A process stopped by SIGSTOP would not see its signal.
    this.signal('SIGCONT');
    const asked = stopCommand ? stopCommand().catch(() => this.signal(stopSignal)) : this.signal(stopSignal);
    const force = setTimeout(() => this.signal('SIGKILL'), graceMs);
    await asked;
    const exit = await exited;
    clearTimeout(force);
    return exit;
  }

  /** The last lines of its log, each with the process name in front. */
  logTail(lines = 20): string {
    let text = '';
    try {
      text = readFileSync(this.logFile, 'utf8');
    } catch {
      return `[${this.name}] no log at ${this.logFile}`;
    }
    const tail = text.trimEnd().split('\n').slice(-lines);
    return tail.map((line) => `[${this.name}] ${line}`).join('\n');
  }
}

/**
 * The child processes of one stack. Children run in process groups of their own, so that a terminal's Ctrl-C reaches
 * only us and the shutdown has an order; a watchdog process ends them should we die without stopping them.
 */
export class ProcessGroup {
  readonly #processes = new Set<ManagedProcess>();
  #watchdog: ChildProcess | undefined;
  #stopping: Promise<void> | undefined;

  constructor(readonly logDirectory: string) {
    mkdirSync(logDirectory, { recursive: true });
  }

  /** @throws Error when the command cannot be started at all, or the group is already being stopped */
  async start(options: ProcessOptions): Promise<ManagedProcess> {
    if (this.#stopping) throw new Error(`${options.name} is not started any more: everything is being stopped`);
    const watchdog = this.#startWatchdog();
    const logFile = join(this.logDirectory, `${options.name}.log`);
    const log = openSync(logFile, 'a', 0o600);
    const child = spawn(options.command, options.args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.gid }),
      stdio: ['ignore', log, log],
      detached: process.platform !== 'win32',
      windowsHide: true,
    });
    closeSync(log);
    const pid = await new Promise<number>((resolve, reject) => {
      child.once('error', (error) => reject(new Error(`${options.name} did not start: ${error.message}`)));
      child.once('spawn', () => resolve(child.pid ?? 0));
    });
    child.unref();
    const managed = new ManagedProcess(options, pid, logFile, child);
    this.#processes.add(managed);
    const { order, stopSignal = 'SIGTERM', graceMs = 10_000 } = options;
    this.#tell(watchdog, { op: 'watch', pid, order, signal: stopSignal, graceMs });
    managed.exited.then(() => {
      this.#processes.delete(managed);
      this.#tell(watchdog, { op: 'forget', pid });
    });
    return managed;
  }

  /** Stops everything in order. Safe to call twice; nothing can be started afterwards. */
  stopAll(): Promise<void> {
    this.#stopping ??= this.#stopInOrder();
    return this.#stopping;
  }

  /** Kills everything at once: the second Ctrl-C. */
  killAll(): void {
    for (const managed of this.#processes) {
      // SIGQUIT makes Postgres end at once but cleanly enough to free its shared memory; SIGKILL would not.
      managed.signal(managed.options.order === STOP_ORDER.postgres ? 'SIGQUIT' : 'SIGKILL');
    }
  }

  async #stopInOrder(): Promise<void> {
    const orders = [...new Set([...this.#processes].map((managed) => managed.options.order))].sort((a, b) => a - b);
    for (const order of orders) {
      const now = [...this.#processes].filter((managed) => managed.options.order === order);
      await Promise.all(now.map((managed) => managed.stop()));
    }
    if (this.#watchdog) this.#tell(this.#watchdog, { op: 'bye' });
    this.#watchdog = undefined;
  }

  #startWatchdog(): ChildProcess {
    if (this.#watchdog) return this.#watchdog;
    const watchdog = spawn(process.execPath, [join(__dirname, 'watchdog.mjs')], {
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { PATH: process.env.PATH },
      detached: process.platform !== 'win32',
      windowsHide: true,
    });
    watchdog.unref();
    // Neither the watchdog nor its pipe may keep a finished program from ending.
    const pipe = watchdog.stdin as (NodeJS.WritableStream & { unref?: () => void }) | null;
    pipe?.unref?.();
    watchdog.stdin?.on('error', () => {});
    this.#watchdog = watchdog;
    return watchdog;
  }

  #tell(watchdog: ChildProcess, command: object): void {
    watchdog.stdin?.write(`${JSON.stringify(command)}\n`);
  }
}

/**
 * Polls `probe` until it is true, the process ends or the time is over.
 * @throws Error with the end of the process's log
 */
export async function waitUntilReady(
  managed: ManagedProcess,
  probe: () => Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (let wait = 20; ; wait = Math.min(wait * 1.5, 250)) {
    if (managed.exit) {
      throw new Error(
        `${managed.name} ended (${describeExit(managed.exit)}) before it was ready\n${managed.logTail()}`,
      );
    }
    if (await probe().catch(() => false)) return;
    if (Date.now() > deadline) {
      throw new Error(`${managed.name} was not ready after ${timeoutMs / 1000} s\n${managed.logTail()}`);
    }
    await sleep(wait);
  }
}

/** True once `GET url` answers 2xx. */
export async function answersOk(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
  await response.body?.cancel();
  return response.ok;
}

export function describeExit(exit: Exit): string {
  return exit.signal ? `signal ${exit.signal}` : `exit code ${exit.code}`;
}

/** Waits for all, so that none is still starting when the caller stops everything because another has failed. */
export async function allSettledOrThrow<T extends readonly unknown[]>(
  work: {
    [K in keyof T]: Promise<T[K]>;
  },
): Promise<T> {
  await Promise.allSettled(work);
  return Promise.all(work) as Promise<T>;
}
