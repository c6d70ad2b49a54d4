import { mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { lockHolder, tryLock } from './file-lock';
import { removePostgresData } from './postgres';
import { allSettledOrThrow, ProcessGroup } from './processes';
import { openSecrets, type StackSecrets } from './secrets';
import { Supervisor } from './service';
import { readStackFile, removeStackFile, type StackFile, writeStackFile } from './stack-file';
import { openMail, openPostgres, openTemporal } from './stack-parts';
import { startProduct } from './stack-product';
import { PROJECT } from './tsx';
import { workflowBundle } from './workflow-bundle';

export interface StackOptions {
  /** Holds data, secrets, logs and stack.json. Default `.sally` in the project. */
  directory?: string;
  /** Removes the data of earlier starts first. */
  reset?: boolean;
  /** Refuses SMTP_URL and SMTP_HOST: for sample data with addresses at real mailbox providers. */
  ownInboxOnly?: boolean;
  /** Starts a part again when it ends by itself. Default true. */
  supervise?: boolean;
  /** More variables for the API and the workers. */
  env?: Record<string, string>;
  /** Stops what is starting when it is aborted; `startStack` then rejects. */
  signal?: AbortSignal;
  /** Shows what happens, a line at a time. */
  say?: (line: string) => void;
}

export interface Stack {
  apiUrl: string;
  /** Null where mail goes to a transport of the environment. */
  inboxUrl: string | null;
  smtpUrl: string | null;
  temporalAddress: string;
  temporalUi: string;
  namespace: string;
  databaseUrls: { admin: string; owner: string; api: string; worker: string };
  /** Migrations applied by this start. */
  migrations: string[];
  secrets: StackSecrets;
  /** stack.json as it is now; process ids change when a part is started again. */
  file(): StackFile;
  /** Adds what the caller has made to stack.json. */
  describe(made: { workspaceId: string; apiKey: string }): void;
  /** API → workers (drain) → inbox → Temporal → Postgres. */
  stop(): Promise<void>;
  /** Ends everything at once. */
  kill(): void;
}

/** Another process runs this stack. */
export class StackRunningError extends Error {}

/** The folder of the stack: SALLY_DIRECTORY or `.sally` in the project. */
export function stackDirectory(): string {
  return process.env.SALLY_DIRECTORY ? resolve(process.env.SALLY_DIRECTORY) : join(PROJECT, '.sally');
}

/**
 * Finds or starts Postgres, Temporal and the mail inbox, migrates, starts the API and both workers, and waits until
 * all of them are ready. DATABASE_URL, TEMPORAL_ADDRESS and SMTP_URL or SMTP_HOST replace the embedded parts.
 * @throws StackRunningError when this folder's stack is already up
 * @throws Error with the end of the log of the part that failed; everything that was started is stopped again
 */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const directory = options.directory ?? stackDirectory();
  mkdirSync(directory, { recursive: true });
  const paths = {
    lock: join(directory, 'launcher.lock'),
    file: join(directory, 'stack.json'),
    secrets: join(directory, 'secrets.json'),
    postgres: join(directory, 'postgres'),
    temporal: join(directory, 'temporal.db'),
    logs: join(directory, 'logs'),
  };
  if (options.ownInboxOnly && (process.env.SMTP_URL || process.env.SMTP_HOST)) {
    throw new Error('SMTP_URL or SMTP_HOST is set, but this mail may only go to the built-in inbox. Unset it.');
  }
  const unlock = tryLock(paths.lock);
  if (!unlock) throw alreadyRunning(paths.lock, paths.file);
  const processes = new ProcessGroup(paths.logs);
  const abort = (): void => void processes.stopAll();
  options.signal?.addEventListener('abort', abort);
  try {
    removeStackFile(paths.file);
    if (options.reset) resetData(paths);
    return await assemble(options, paths, processes, unlock);
  } catch (error) {
    await processes.stopAll();
    unlock();
    throw error;
  } finally {
    options.signal?.removeEventListener('abort', abort);
  }
}

interface Paths {
  file: string;
  secrets: string;
  postgres: string;
  temporal: string;
  logs: string;
}

function alreadyRunning(lock: string, file: string): StackRunningError {
  const running = readStackFile(file);
  const holder = lockHolder(lock) ?? 'unknown';
  const where = running ? ` Its API is at ${running.api}; ${file} says where the rest is.` : ' It is still starting.';
  return new StackRunningError(
    `Sally already runs in this folder (process ${holder}).${where} Stop it with Ctrl-C there (or kill ${holder}) first.`,
  );
}

function resetData(paths: Paths): void {
  removePostgresData(paths.postgres);
  for (const suffix of ['', '-wal', '-shm']) rmSync(paths.temporal + suffix, { force: true });
  rmSync(paths.secrets, { force: true });
  rmSync(paths.logs, { recursive: true, force: true });
  mkdirSync(paths.logs, { recursive: true });
}

async function assemble(
  options: StackOptions,
  paths: Paths,
  processes: ProcessGroup,
  unlock: () => void,
): Promise<Stack> {
  const say = options.say ?? (() => {});
  const secrets = openSecrets(paths.secrets);
  const [bundle, postgres, temporal, mail] = await allSettledOrThrow([
    workflowBundle(),
    openPostgres(paths.postgres, processes, secrets),
    openTemporal(paths.temporal, processes, say),
    openMail(processes),
  ]);
  const { database } = postgres;
  if (database.applied.length > 0) say(`Applied ${database.applied.length} migrations`);
  const product = await startProduct(processes, {
    database,
    secrets,
    temporal: temporal.addresses,
    smtpUrl: mail.addresses?.smtp ?? null,
    env: { SALLY_WORKFLOW_BUNDLE: bundle.codePath, ...options.env },
  });
  const made: { workspaceId: string | null; apiKey: string | null } = { workspaceId: null, apiKey: null };
  const file = (): StackFile => ({
    api: product.apiUrl,
    inbox: mail.addresses,
    temporal: temporal.addresses,
    postgres: { url: database.apiUrl, ownerUrl: database.ownerUrl, workerUrl: database.workerUrl },
    ...made,
    metrics: product.metrics,
    logs: paths.logs,
    pids: {
      launcher: process.pid,
      api: product.api.pid,
      workers: { control: product.control.pid, delivery: product.delivery.pid },
      inbox: mail.service?.pid ?? null,
      temporal: temporal.service?.pid ?? null,
      postgres: postgres.service?.pid ?? null,
    },
  });
  const write = (): void => writeStackFile(paths.file, file());
  write();
  const supervisor = new Supervisor(say, write);
  if (options.supervise ?? true) {
    for (const service of [
      postgres.service,
      temporal.service,
      mail.service,
      product.api,
      product.control,
      product.delivery,
    ]) {
      if (service) supervisor.watch(service);
    }
  }
  return {
    apiUrl: product.apiUrl,
    inboxUrl: mail.addresses?.http ?? null,
    smtpUrl: mail.addresses?.smtp ?? null,
    temporalAddress: temporal.addresses.address,
    temporalUi: temporal.addresses.ui,
    namespace: temporal.addresses.namespace,
    databaseUrls: {
      admin: database.adminUrl,
      owner: database.ownerUrl,
      api: database.apiUrl,
      worker: database.workerUrl,
    },
    migrations: database.applied,
    secrets,
    file,
    describe: (what) => {
      Object.assign(made, what);
      write();
    },
    stop: async () => {
      supervisor.stop();
      await processes.stopAll();
      removeStackFile(paths.file);
      unlock();
    },
    kill: () => {
      supervisor.stop();
      processes.killAll();
      removeStackFile(paths.file);
      unlock();
    },
  };
}
