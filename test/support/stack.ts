import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time';
import { findPort, isPortFree } from '../../dev/ports';
import { type EmbeddedPostgres, removePostgresData, startPostgres } from '../../dev/postgres';
import { answersOk, type ManagedProcess, ProcessGroup, STOP_ORDER, waitUntilReady } from '../../dev/processes';
import { productBuild } from '../../dev/product-build';
import { type EmbeddedTemporal, SEARCH_ATTRIBUTES, startTemporal } from '../../dev/temporal';
import { readTestStack, TEST_DIRECTORY, type TestStackAddresses, testStackSchema } from '../../dev/test-stack';
import { PROJECT } from '../../dev/tsx';
import { workflowBundle } from '../../dev/workflow-bundle';
import { createDatabaseFromTemplate, type TestDatabase } from './test-database';
import { LONGEST_MS } from './until';

export { workflowBundle } from '../../dev/workflow-bundle';
export type { TestDatabase } from './test-database';

let addresses: Promise<TestStackAddresses> | undefined;

/** The shared Postgres and Temporal; the first call of a test run starts them. */
export function testStack(): Promise<TestStackAddresses> {
  addresses ??= askForStack();
  return addresses;
}

async function askForStack(): Promise<TestStackAddresses> {
  const { SALLY_TEST_STACK, SALLY_TEST_STACK_URL } = process.env;
  if (SALLY_TEST_STACK) return readTestStack(SALLY_TEST_STACK);
  if (!SALLY_TEST_STACK_URL)
    throw new Error('Tests of the stack need Jest’s globalSetup (test/support/global-setup.ts)');
  const response = await fetch(SALLY_TEST_STACK_URL);
  const body = await response.text();
  if (!response.ok) throw new Error(body);
  return testStackSchema.parse(JSON.parse(body));
}

/** A fresh, fully migrated database (about 0.1 s) and how to drop it. `name` shows in its name. */
export async function testDatabase(name: string): Promise<TestDatabase> {
  const { postgres } = await testStack();
  return createDatabaseFromTemplate(postgres.adminUrl, postgres.passwords, name);
}

/** host:port of the shared Temporal server. */
export async function temporalAddress(): Promise<string> {
  return (await testStack()).temporal.address;
}

/**
 * A namespace of the suite's own with the search attributes registered (about 0.03 s), so that task queues, workflow
 * ids and Schedules may have their real names.
 */
export async function testNamespace(name = 'suite', address?: string): Promise<string> {
  const namespace = `${name}-${randomBytes(6).toString('hex')}`;
  const connection = await Connection.connect({ address: address ?? (await temporalAddress()) });
  try {
    await connection.workflowService.registerNamespace({
      namespace,
      workflowExecutionRetentionPeriod: msToTs('7 days'),
    });
    const searchAttributes = Object.fromEntries(SEARCH_ATTRIBUTES.map((attribute) => [attribute, KEYWORD]));
    await retry(() => connection.operatorService.addSearchAttributes({ namespace, searchAttributes }));
    // Until the server has read its namespaces again, it refuses workflows that carry the attributes, as it does this.
    const query = SEARCH_ATTRIBUTES.map((attribute) => `${attribute} = 'none'`).join(' AND ');
    await retry(() => connection.workflowService.countWorkflowExecutions({ namespace, query }));
  } finally {
    await connection.close();
  }
  return namespace;
}

/** temporal.api.enums.v1.IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD */
const KEYWORD = 2;

/** A new namespace is known to all services of the server a moment after it was registered. */
async function retry<T>(call: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + LONGEST_MS;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Keys for the processes of one suite. */
export function testSecrets(): { SALLY_SECRETS: string; SALLY_SUPPRESSION_KEY: string } {
  const key = (): string => randomBytes(32).toString('base64url');
  return { SALLY_SECRETS: `test:${key()}`, SALLY_SUPPRESSION_KEY: key() };
}

/** The environment that server.ts and worker.ts need for this database and namespace. */
export async function processEnvironment(options: {
  database: Pick<TestDatabase, 'apiUrl' | 'workerUrl'>;
  namespace: string;
  temporal?: string;
  smtpUrl?: string;
  secrets?: { SALLY_SECRETS: string; SALLY_SUPPRESSION_KEY: string };
}): Promise<Record<string, string>> {
  return {
    DATABASE_URL_API: options.database.apiUrl,
    DATABASE_URL_WORKER: options.database.workerUrl,
    TEMPORAL_ADDRESS: options.temporal ?? (await temporalAddress()),
    TEMPORAL_NAMESPACE: options.namespace,
    ...(options.smtpUrl ? { SMTP_URL: options.smtpUrl } : {}),
    ...(options.secrets ?? testSecrets()),
    LOG_LEVEL: 'info',
  };
}

/** Everything that this test file has started; ended by `stopTestProcesses` or, at the latest, with the file. */
let processes: ProcessGroup | undefined;
let counter = 0;

function testProcesses(): ProcessGroup {
  processes ??= new ProcessGroup(join(TEST_DIRECTORY, `run-${process.pid}`, 'logs'));
  return processes;
}

/** Stops what `spawnApi`, `spawnWorker`, `durablePostgres` and `ownTemporal` have started. For `afterAll`. */
export async function stopTestProcesses(): Promise<void> {
  const all = processes;
  processes = undefined;
  await all?.stopAll();
}

/** A process of the product that a test may signal, kill and start again. */
export interface SpawnedProcess {
  process: ManagedProcess;
  pid: number;
  /** Where /readyz, /healthz and (of a worker) /metrics answer; of an API process, its root. */
  url: string;
}

type Overrides = Record<string, string | undefined>;

/** Starts the worker in a role with this environment and waits for its /readyz. */
export async function spawnWorker(options: {
  role: 'control' | 'delivery' | 'all';
  env: Overrides;
  /** Working directory: API and workers share no disk. */
  cwd?: string;
  /** For profiles: `--cpu-prof`. */
  nodeFlags?: string[];
}): Promise<SpawnedProcess> {
  const { codePath } = await workflowBundle();
  return spawnProduct({
    ...options,
    name: `worker-${options.role}`,
    order: STOP_ORDER.worker,
    script: 'worker.js',
    args: ['--role', options.role],
    env: (port) => ({ METRICS_PORT: String(port), SALLY_WORKFLOW_BUNDLE: codePath, ...options.env }),
  });
}

/** Starts the API with this environment and waits for its /readyz. */
export function spawnApi(options: { env: Overrides; cwd?: string; nodeFlags?: string[] }): Promise<SpawnedProcess> {
  return spawnProduct({
    ...options,
    name: 'api',
    order: STOP_ORDER.api,
    script: 'server.js',
    args: [],
    env: (port) => ({ PORT: String(port), PUBLIC_URL: `http://127.0.0.1:${port}`, ...options.env }),
  });
}

/** Of the sources as they were when this file's first process was started: all its processes are of one kind. */
let build: Promise<string> | undefined;

async function spawnProduct(options: {
  name: string;
  order: number;
  script: string;
  args: string[];
  env: (port: number) => Overrides;
  cwd?: string;
  nodeFlags?: string[];
}): Promise<SpawnedProcess> {
  build ??= productBuild();
  const script = join(await build, options.script);
  for (let attempt = 1; ; attempt += 1) {
    const port = await findPort();
    counter += 1;
    const managed = await testProcesses().start({
      name: `${options.name}-${counter}`,
      command: process.execPath,
      args: [...(options.nodeFlags ?? []), script, ...options.args],
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...options.env(port) },
      cwd: options.cwd ?? PROJECT,
      order: options.order,
      graceMs: 30_000,
    });
    const url = `http://127.0.0.1:${port}`;
    try {
      await waitUntilReady(managed, () => answersOk(`${url}/readyz`), 120_000);
      return { process: managed, pid: managed.pid, url };
    } catch (error) {
      // Somebody took the port between the look and the bind.
      if (attempt >= 3 || !managed.exit || (await isPortFree(port))) throw error;
    }
  }
}

/** A Postgres of the suite's own with safe settings, to be restarted, frozen or crashed. */
export interface DurablePostgres {
  server: EmbeddedPostgres;
  /** A migrated database on it. */
  database(name: string): Promise<TestDatabase>;
  /** Stops it and removes its data. */
  remove(): Promise<void>;
}

export async function durablePostgres(settings?: Record<string, string>): Promise<DurablePostgres> {
  counter += 1;
  const dataDir = join(TEST_DIRECTORY, `run-${process.pid}`, `durable-${counter}`, 'postgres');
  const server = await startPostgres({
    processes: testProcesses(),
    dataDir,
    durable: true,
    name: `postgres-${counter}`,
    settings,
  });
  const password = (): string => randomBytes(18).toString('base64url');
  const passwords = { owner: password(), api: password(), worker: password() };
  return {
    server,
    database: (name) => createDatabaseFromTemplate(server.adminUrl, passwords, name),
    remove: async () => {
      await server.stop();
      removePostgresData(dataDir);
    },
  };
}

/** A Temporal dev server of the suite's own, to be stopped, frozen or wiped (without `dbFile` a restart is a wipe). */
export async function ownTemporal(
  options: { dbFile?: string; timeSkipping?: boolean } = {},
): Promise<EmbeddedTemporal> {
  counter += 1;
  return startTemporal({ processes: testProcesses(), headless: true, name: `temporal-${counter}`, ...options });
}
