import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { isProcessAlive } from './file-lock';
import { findPort, isPortFree, LOOPBACK } from './ports';
import { findPostgresBinaries } from './postgres-binaries';
import { type Cluster, openCluster, postgresEnvironment, SUPERUSER } from './postgres-cluster';
import { type ManagedProcess, type ProcessGroup, STOP_ORDER } from './processes';
import { placeForUnprivileged, unprivilegedUser } from './unprivileged';

const run = promisify(execFile);

export interface PostgresOptions {
  processes: ProcessGroup;
  /** Holds the cluster and its password. As root it may lie elsewhere, see `placeForUnprivileged`. */
  dataDir: string;
  /** First choice; a free one near it, or any, is taken when it is in use. */
  port?: number;
  /**
   * False only for tests: fsync, full_page_writes and synchronous_commit off, so that a crash of the machine (not of
   * Postgres) may damage the cluster. Fault tests and benches leave it on. Default true.
   */
  durable?: boolean;
  /** Log file and message name; default `postgres`. */
  name?: string;
  /** More `-c name=value` settings. */
  settings?: Record<string, string>;
}

const START_TIMEOUT_MS = 60_000;

/** A running embedded Postgres. `restart` keeps the port, so that clients reconnect to the same address. */
export class EmbeddedPostgres {
  #process: ManagedProcess;

  constructor(
    private readonly cluster: Cluster,
    private readonly options: PostgresOptions,
    process: ManagedProcess,
    readonly port: number,
  ) {
    this.#process = process;
  }

  /** Superuser URL of the database `postgres`. For provisioning only: the product never uses it. */
  get adminUrl(): string {
    return `postgres://${SUPERUSER}:${this.cluster.password}@${LOOPBACK}:${this.port}/postgres`;
  }

  /** Process id of the postmaster. */
  get pid(): number {
    return this.#process.pid;
  }

  get name(): string {
    return this.#process.name;
  }

  /** The server process of this moment. */
  current(): ManagedProcess {
    return this.#process;
  }

  /** Where the cluster lies. */
  get clusterDirectory(): string {
    return this.cluster.directory;
  }

  /** Ends it by `pg_ctl -m fast`: open transactions are rolled back, everything is on disk. */
  async stop(): Promise<void> {
    await this.#process.stop();
  }

  /** Crashes it: SIGQUIT ("immediate") to the postmaster, no checkpoint; the next start recovers from the WAL. */
  async crash(): Promise<void> {
    this.#process.signal('SIGQUIT');
    await this.#process.waitForExit();
  }

  /** Starts it again after `stop` or `crash`, on the same port. */
  async start(): Promise<void> {
    if (!this.#process.exit) return;
    const deadline = Date.now() + 10_000;
    while (!(await isPortFree(this.port)) && Date.now() < deadline) await sleep(50);
    this.#process = await launch(this.cluster, this.options, this.port);
  }

  /** Stops and starts it. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Stops every process of the server with SIGSTOP: connections stay open and nothing answers. */
  async freeze(): Promise<void> {
    await this.#signalAll('SIGSTOP');
  }

  /** Lets it go on after `freeze`. */
  async thaw(): Promise<void> {
    await this.#signalAll('SIGCONT');
  }

  async #signalAll(signal: NodeJS.Signals): Promise<void> {
    // The postmaster first: it can't fork new backends while we go through its children.
    for (const pid of [this.pid, ...(await childrenOf(this.pid))]) {
      try {
        process.kill(pid, signal);
      } catch {
        // This backend ended in the meantime.
      }
    }
  }
}

/**
 * Starts a real Postgres on a loopback port, making its cluster first where there is none. The data survive a stop;
 * remove `dataDir` to start over.
 * @throws Error with the end of Postgres's log; when another process already runs this cluster
 */
export async function startPostgres(options: PostgresOptions): Promise<EmbeddedPostgres> {
  const user = unprivilegedUser();
  const binaries = findPostgresBinaries(user !== undefined);
  const cluster = await openCluster(binaries, user, options);
  for (let attempt = 1; ; attempt += 1) {
    const port = await findPort(options.port);
    try {
      const process = await launch(cluster, options, port);
      return new EmbeddedPostgres(cluster, options, process, port);
    } catch (error) {
      // Somebody took the port between the probe and the bind.
      if (attempt >= 5 || (await isPortFree(port))) throw error;
    }
  }
}

/** Removes a cluster made by `startPostgres` with the same `dataDir`. It must not be running. */
export function removePostgresData(dataDir: string): void {
  rmSync(dataDir, { recursive: true, force: true });
  if (unprivilegedUser()) rmSync(placeForUnprivileged(dataDir), { recursive: true, force: true });
}

async function launch(cluster: Cluster, options: PostgresOptions, port: number): Promise<ManagedProcess> {
  clearStalePidFile(cluster);
  const { binaries, user, directory } = cluster;
  const args = ['-D', directory];
  for (const [name, value] of Object.entries(settings(options, port))) args.push('-c', `${name}=${value}`);
  const stopCommand = async (): Promise<void> => {
    const stop = ['stop', '-D', directory, '-m', 'fast', '-w', '-t', '60'];
    await run(binaries.pgCtl, stop, { ...user, cwd: directory, env: postgresEnvironment() });
  };
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const process = await options.processes.start({
      name: options.name ?? 'postgres',
      command: binaries.postgres,
      args,
      env: postgresEnvironment(),
      cwd: directory,
      ...user,
      order: STOP_ORDER.postgres,
      stopSignal: 'SIGINT',
      graceMs: 65_000,
      stopCommand,
    });
    while (!process.exit && Date.now() < deadline && !isReady(directory, process.pid)) await sleep(15);
    if (!process.exit && isReady(directory, process.pid)) return process;
    // After a crash the old backends may need a moment to notice that their postmaster is gone.
    const oldBackends = /pre-existing shared memory block/.test(process.logTail(5));
    if (process.exit && oldBackends && Date.now() < deadline) {
      await sleep(250);
      continue;
    }
    await process.stop();
    throw new Error(`Postgres did not start\n${process.logTail()}`);
  }
}

/** The postmaster writes its state into line 8 of postmaster.pid: cheaper to read than to try a connection. */
function isReady(directory: string, pid: number): boolean {
  const lines = readPidFile(directory);
  return Number(lines[0]) === pid && lines[7]?.trim() === 'ready';
}

function readPidFile(directory: string): string[] {
  try {
    return readFileSync(join(directory, 'postmaster.pid'), 'utf8').split('\n');
  } catch {
    return [];
  }
}

/**
 * Removes the postmaster.pid of a server that is gone. Postgres does that itself unless the process id was given to
 * another process of the same user meanwhile; then it would refuse to start for ever.
 * @throws Error when the cluster is really running
 */
function clearStalePidFile({ directory }: Cluster): void {
  const pid = Number(readPidFile(directory)[0]);
  if (!Number.isInteger(pid)) return;
  if (isProcessAlive(pid) && runsCluster(pid, directory)) {
    throw new Error(`The Postgres cluster in ${directory} is already run by process ${pid}. Stop that one first.`);
  }
  rmSync(join(directory, 'postmaster.pid'), { force: true });
}

function runsCluster(pid: number, directory: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(directory);
  } catch {
    // No /proc (macOS, Windows): trust that a live process is the one that wrote the file.
    return process.platform !== 'linux';
  }
}

function settings(options: PostgresOptions, port: number): Record<string, string> {
  const durable = options.durable ?? true;
  return {
    listen_addresses: LOOPBACK,
    port: String(port),
    unix_socket_directories: '',
    max_connections: '200',
    shared_buffers: '256MB',
    max_wal_size: '4GB',
    min_wal_size: '256MB',
    checkpoint_timeout: '15min',
    timezone: 'UTC',
    log_timezone: 'UTC',
    lc_messages: 'C',
    jit: 'off',
    dynamic_shared_memory_type: hasRoomyShm() ? 'posix' : 'mmap',
    // DETAIL lines and statements hold addresses; the log must not.
    log_error_verbosity: 'terse',
    log_min_error_statement: 'panic',
    log_checkpoints: 'off',
    ...(durable
      ? {}
      : { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off', autovacuum_naptime: '5min' }),
    ...options.settings,
  };
}

/** Containers often get 64 MB of /dev/shm, too little for parallel queries. */
function hasRoomyShm(): boolean {
  if (process.platform !== 'linux') return true;
  try {
    const { bavail, bsize } = statfsSync('/dev/shm');
    return bavail * bsize > 256 * 1024 * 1024;
  } catch {
    return false;
  }
}

async function childrenOf(parent: number): Promise<number[]> {
  const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid=']).catch(() => ({ stdout: listProc() }));
  const children: number[] = [];
  for (const line of stdout.split('\n')) {
    const [pid, ppid] = line.trim().split(/\s+/).map(Number);
    if (ppid === parent && pid) children.push(pid);
  }
  return children;
}

/** What `ps -A -o pid=,ppid=` prints, for images without ps. */
function listProc(): string {
  const lines: string[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      // "pid (command) state ppid …"; the command may hold spaces and brackets.
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      lines.push(`${name} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]}`);
    } catch {
      // Ended meanwhile.
    }
  }
  return lines.join('\n');
}
