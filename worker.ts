import {
  type ActivityInterceptorsFactory,
  NativeConnection,
  type NativeConnectionOptions,
  Runtime,
  Worker,
  type WorkerOptions,
} from '@temporalio/worker';
import { createControlActivities } from './activities';
import { createDeliveryActivities, SendingProcess } from './activities/delivery';
import type { ActivityDependencies } from './activities/dependencies';
import { FailureInterceptor } from './activities/runtime/failure-interceptor';
import { keepSchedules } from './activities/runtime/schedules';
import { sdkLogging } from './activities/runtime/sdk-logger';
import { TraceInterceptor } from './activities/runtime/trace-interceptor';
import {
  CONTROL_TASK_QUEUE,
  DELIVERY_TASK_QUEUE,
  deliveryProcessTaskQueue,
  URGENT_DELIVERY_TASK_QUEUE,
} from './domain/shared/task-queues';
import { type Configuration, ConfigurationError, readConfiguration } from './platform/config';
import { AddressHasher, Keyring } from './platform/crypto';
import { createLogger, type Logger } from './platform/log';
import { serveOperations } from './platform/metrics';
import { Database, type DatabaseOptions, KEY_LOOKUPS_ONLY } from './platform/postgres';
import { createTemporalClient } from './platform/temporal';
import { ensureNamespace } from './platform/temporal-namespace';
import { startTracing } from './platform/tracing';

const ROLES = ['control', 'delivery', 'all'] as const;
type WorkerRole = (typeof ROLES)[number];

/** Longest wait for the replies to messages that are on the wire when the process is asked to stop. */
const STOP_GRACE_MS = 25_000;

function readRole(argv: string[]): WorkerRole {
  const given = argv[argv.indexOf('--role') + 1];
  const role = ROLES.find((candidate) => candidate === given);
  if (!argv.includes('--role')) return 'all';
  if (!role) throw new ConfigurationError(`--role must be one of ${ROLES.join(', ')}`);
  return role;
}

/** Temporal may come up after the worker, or go away for a while: tries until it answers. */
async function connect(options: NativeConnectionOptions, log: Logger): Promise<NativeConnection> {
  for (;;) {
    try {
      return await NativeConnection.connect(options);
    } catch (error) {
      log.warn({ err: error, address: options.address }, 'Temporal cannot be reached; trying again');
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  }
}

/** The workers of one process, with what they share. */
class WorkerProcess {
  private readonly stoppers: (() => Promise<void> | void)[] = [];
  private readonly runs: Promise<void>[] = [];
  private readonly workers: Worker[] = [];
  private sending: SendingProcess | null = null;

  constructor(
    private readonly config: Configuration,
    private readonly role: WorkerRole,
    private readonly deps: ActivityDependencies,
    private readonly connection: NativeConnection,
  ) {}

  async start(): Promise<void> {
    await this.waitForNamespace();
    if (this.role !== 'delivery') await this.startControl();
    if (this.role !== 'control') await this.startDelivery();
  }

  get ready(): boolean {
    return (
      this.workers.length > 0 &&
      this.workers.every((worker) => worker.getState() === 'RUNNING') &&
      (this.sending?.accepting ?? true)
    );
  }

  /** Resolves when all workers have ended; rejects when one fails. */
  async ended(): Promise<void> {
    await Promise.all(this.runs);
  }

  /** Begins nothing more, waits for replies, settles, releases the lease. */
  async stop(): Promise<void> {
    for (const stop of this.stoppers) await stop();
    // First the wire, then the workers: a drain that is still being heartbeated sees the process closing and ends.
    await this.sending?.close(STOP_GRACE_MS);
    for (const worker of this.workers) if (worker.getState() === 'RUNNING') worker.shutdown();
    await Promise.allSettled(this.runs);
    await this.sending?.deps.db.close();
  }

  /** Temporal's store may be new or lost: a worker of a namespace that does not exist would end at once. */
  private async waitForNamespace(): Promise<void> {
    for (;;) {
      try {
        return await ensureNamespace(this.deps.temporal, this.config.TEMPORAL_NAMESPACE);
      } catch (error) {
        this.deps.log.warn({ err: error }, 'the namespace is not ready; trying again');
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
    }
  }

  private async startControl(): Promise<void> {
    const bundle = this.config.SALLY_WORKFLOW_BUNDLE;
    // A bundle made beforehand contains its interceptors already.
    const workflowModules = bundle ? [] : [require.resolve('./workflows/trace-propagation')];
    await this.run(
      {
        ...(bundle ? { workflowBundle: { codePath: bundle } } : { workflowsPath: require.resolve('./workflows') }),
        taskQueue: CONTROL_TASK_QUEUE,
        activities: createControlActivities(this.deps),
        maxCachedWorkflows: 500,
      },
      workflowModules,
    );
    this.stoppers.push(keepSchedules(this.deps.temporal, this.config, this.deps.log));
  }

  private async startDelivery(): Promise<void> {
    // Everything on the sending path is a look-up by key, whatever the statistics say.
    const db = openDatabase(this.config, this.deps.log, 'sally-delivery', {
      settings: KEY_LOOKUPS_ONLY,
      pipeline: true,
    });
    const deps = { ...this.deps, db };
    this.sending = new SendingProcess(deps);
    await this.startLease(this.sending);
    const slots = this.config.DELIVERY_SLOTS;
    const activities = createDeliveryActivities(deps, this.sending, slots);
    const options = {
      activities,
      maxConcurrentActivityTaskExecutions: slots,
      maxHeartbeatThrottleInterval: '2 seconds',
    } as const;
    await this.run({ ...options, taskQueue: DELIVERY_TASK_QUEUE });
    await this.run({ ...options, taskQueue: URGENT_DELIVERY_TASK_QUEUE });
    await this.run({ ...options, taskQueue: deliveryProcessTaskQueue(this.sending.lease.processId) });
  }

  private async startLease(sending: SendingProcess): Promise<void> {
    for (;;) {
      try {
        return await sending.start();
      } catch (error) {
        this.deps.log.warn({ err: error }, 'no lease could be taken; trying again');
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
    }
  }

  private async run(
    options: Omit<WorkerOptions, 'connection' | 'namespace' | 'interceptors'>,
    workflowModules: string[] = [],
  ): Promise<void> {
    const traces: ActivityInterceptorsFactory = (context) => ({ inbound: new TraceInterceptor(context.info) });
    const failures: ActivityInterceptorsFactory = (context) => ({
      inbound: new FailureInterceptor(this.deps.log, context.info.activityType),
    });
    const worker = await Worker.create({
      connection: this.connection,
      namespace: this.config.TEMPORAL_NAMESPACE,
      shutdownGraceTime: '5 seconds',
      shutdownForceTime: '20 seconds',
      interceptors: { activity: [traces, failures], workflowModules },
      ...options,
    });
    this.workers.push(worker);
    this.runs.push(worker.run());
  }
}

function openDatabase(
  config: Configuration,
  log: Logger,
  name: string,
  options: Pick<DatabaseOptions, 'settings' | 'pipeline'> = {},
): Database {
  if (!config.DATABASE_URL_WORKER) {
    throw new ConfigurationError(
      'DATABASE_URL_WORKER is not set: workers connect as sally_worker (docs/configuration.md).',
    );
  }
  return new Database({
    url: config.DATABASE_URL_WORKER,
    applicationName: name,
    connections: 20,
    ...options,
    onIdleError: (error) => log.warn({ err: error }, 'an idle database connection broke'),
  });
}

async function main(): Promise<void> {
  const config = readConfiguration(process.env);
  const role = readRole(process.argv);
  const log = createLogger({ name: `sally-worker-${role}`, level: config.LOG_LEVEL });
  if (config.SALLY_WITHOUT)
    log.warn({ without: config.SALLY_WITHOUT }, 'sending is not fair: SALLY_WITHOUT is for benches');
  const tracing = startTracing({ service: `sally-worker-${role}`, endpoint: config.OTEL_EXPORTER_OTLP_ENDPOINT });
  // Signals are ours: the wire has to be quiet before the SDK's workers go.
  const { logger, logging } = sdkLogging(log);
  Runtime.install({ shutdownSignals: [], logger, telemetryOptions: { logging } });
  const db = openDatabase(config, log, `sally-worker-${role}`);
  const temporal = createTemporalClient({
    address: config.TEMPORAL_ADDRESS,
    namespace: config.TEMPORAL_NAMESPACE,
    fair: config.SALLY_WITHOUT !== 'engine-fairness',
  });
  const deps: ActivityDependencies = {
    config,
    log,
    db,
    temporal: temporal.client,
    keyring: new Keyring(config.SALLY_SECRETS),
    addressHasher: new AddressHasher(config.SALLY_SUPPRESSION_KEY),
  };
  let workers: WorkerProcess | null = null;
  const operations = await serveOperations({
    host: config.METRICS_HOST,
    port: config.METRICS_PORT,
    ready: async () => workers?.ready ?? false,
  });
  let stopping = false;
  const stop = async (reason: string, exitCode: number): Promise<void> => {
    if (stopping) return;
    stopping = true;
    log.info({ reason }, 'stopping');
    await workers?.stop();
    await operations.close();
    await Promise.allSettled([db.close(), temporal.close(), tracing.close()]);
    process.exit(exitCode);
  };
  process.on('SIGTERM', () => void stop('SIGTERM', 0));
  process.on('SIGINT', () => void stop('SIGINT', 0));
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'unhandled rejection'));

  const connection = await connect({ address: config.TEMPORAL_ADDRESS }, log);
  const running = new WorkerProcess(config, role, deps, connection);
  await running.start();
  workers = running;
  log.info({ role, operationsPort: operations.port }, 'worker is running');
  await running.ended().catch((error: unknown) => {
    log.fatal({ err: error }, 'a worker failed');
    return stop('a worker failed', 1);
  });
}

if (require.main === module) {
  main().catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  });
}
