import { Connection } from '@temporalio/client';
import type { temporal } from '@temporalio/proto';
import { insertProvider, sealCredentials } from '../db/senders';
import { Keyring } from '../platform/crypto';
import { Database } from '../platform/postgres';
import { CampaignWorld } from '../test/support/campaign-world';
import {
  type DurablePostgres,
  durablePostgres,
  ownTemporal,
  processEnvironment,
  type SpawnedProcess,
  spawnWorker,
  stopTestProcesses,
  testSecrets,
} from '../test/support/stack';
import { cpuSeconds, postgresCpuSeconds, requireSafeSettings, walBytes } from './measure';
import { SinkProcess } from './sink/client';

/** CPU seconds by process, WAL and Temporal actions at one moment. */
export interface Reading {
  at: number;
  delivery: number;
  control: number;
  postgres: number;
  temporal: number;
  sinkMs: number;
  wal: number;
}

/** What a campaign left at Temporal. */
export interface TemporalCost {
  actions: number;
  events: number;
  runs: number;
  /** Most events of one run. */
  longestHistory: number;
  largestHistoryBytes: number;
}

/** What signatures of a sending bench name. */
export const DKIM = { domain: 'sender.example', selector: 'bench' };

/** The whole product for a sending bench: durable Postgres, a real Temporal, workers, and a sink that counts. */
export class SendingStack {
  private constructor(
    readonly postgres: DurablePostgres,
    readonly database: string,
    readonly db: Database,
    readonly temporal: { address: string; pid: number },
    readonly sink: SinkProcess,
    readonly world: CampaignWorld,
    readonly control: SpawnedProcess,
    public delivery: SpawnedProcess,
    /** Delivery processes besides the first. */
    readonly others: readonly SpawnedProcess[],
    readonly env: Record<string, string>,
  ) {}

  /** Starts everything; `env` goes to the workers, `sinkFlags` to the sink. */
  static async start(
    contacts: number,
    options: {
      env?: Record<string, string>;
      sinkFlags?: string[];
      statements?: boolean;
      /** PEM of a key that Sally signs with: messages go through a provider of the workspace then. */
      dkimPrivateKey?: string;
      /** Whether Temporal is told priorities; default true. */
      fair?: boolean;
      /** Delivery processes; default 1. */
      processes?: number;
    } = {},
  ): Promise<SendingStack> {
    const postgres = await durablePostgres(
      options.statements
        ? {
            shared_preload_libraries: 'pg_stat_statements,auto_explain',
            'auto_explain.log_min_duration': '8ms',
            'auto_explain.log_analyze': 'on',
            'auto_explain.log_buffers': 'on',
          }
        : undefined,
    );
    const database = await postgres.database('bench');
    const temporal = await ownTemporal();
    const sink = await SinkProcess.start(options.sinkFlags);
    const secrets = testSecrets();
    const env = {
      ...(await processEnvironment({
        database,
        namespace: 'default',
        temporal: temporal.address,
        smtpUrl: `${sink.url}?tls=off`,
        secrets,
      })),
      LOG_LEVEL: 'warn',
      ALLOW_PRIVATE_SMTP: 'true',
      ...options.env,
    };
    const db = new Database({ url: database.workerUrl, applicationName: 'bench', connections: 4 });
    await requireSafeSettings(db);
    const world = await CampaignWorld.create(
      {
        workerUrl: database.workerUrl,
        temporalAddress: temporal.address,
        namespace: 'default',
        suppressionKey: secrets.SALLY_SUPPRESSION_KEY,
        fair: options.fair,
      },
      contacts,
    );
    if (options.dkimPrivateKey) {
      const settings = {
        host: '127.0.0.1',
        port: sink.port,
        tls: 'off' as const,
        verify_certificate: true,
        connections: Number(options.env?.SMTP_CONNECTIONS ?? 10),
        pipeline: 16,
        window: null,
        dkim: DKIM,
      };
      const credentials = { username: null, password: null, dkim_private_key: options.dkimPrivateKey };
      const values = {
        name: 'Signed',
        credentials: sealCredentials(new Keyring(secrets.SALLY_SECRETS), credentials),
        settings,
        maxSendsPerSecond: null,
        maxSendsPerDay: null,
        maxSendsPer24Hours: null,
        priority: 1,
        isDefault: true,
        isActive: true,
      };
      await insertProvider(db, world.workspaceId, 'SMTP', values, world.userId);
    }
    const control = await spawnWorker({ role: 'control', env });
    const delivery = await spawnWorker({ role: 'delivery', env });
    const others: SpawnedProcess[] = [];
    for (let n = 1; n < (options.processes ?? 1); n += 1) others.push(await spawnWorker({ role: 'delivery', env }));
    return new SendingStack(postgres, database.database, db, temporal, sink, world, control, delivery, others, env);
  }

  /** Starts the delivery worker again, perhaps with other settings; the old one must have ended. */
  async restartDelivery(env: Record<string, string> = {}, nodeFlags: string[] = []): Promise<void> {
    this.delivery = await spawnWorker({ role: 'delivery', env: { ...this.env, ...env }, nodeFlags });
  }

  /** Ends the delivery worker gracefully and waits for it. */
  async stopDelivery(): Promise<void> {
    await this.delivery.process.stop();
  }

  async read(): Promise<Reading> {
    const counts = await this.sink.counts();
    return {
      at: performance.now(),
      delivery: cpuSeconds([this.delivery, ...this.others].map(({ pid }) => pid)),
      control: cpuSeconds([this.control.pid]),
      postgres: postgresCpuSeconds(this.postgres.server.pid),
      temporal: cpuSeconds([this.temporal.pid]),
      sinkMs: counts.cpuMs.user + counts.cpuMs.system,
      wal: await walBytes(this.db),
    };
  }

  /** What Temporal holds of these workflows since a moment: all their runs, also those that continued as new. */
  async temporalCost(workflowIds: string[], since: Date): Promise<TemporalCost> {
    const connection = await Connection.connect({ address: this.temporal.address });
    try {
      const cost = { actions: 0, events: 0, runs: 0, longestHistory: 0, largestHistoryBytes: 0 };
      for (const workflowId of workflowIds) {
        for (const execution of await runsOf(connection, workflowId, since)) {
          const { events, bytes } = await historyOf(connection, execution);
          cost.runs += 1;
          cost.events += events.length;
          cost.longestHistory = Math.max(cost.longestHistory, events.length);
          cost.largestHistoryBytes = Math.max(cost.largestHistoryBytes, bytes);
          cost.actions += events.filter(isBillable).length;
        }
      }
      return cost;
    } finally {
      await connection.close();
    }
  }

  async stop(): Promise<void> {
    await this.world.close();
    await this.db.close();
    await this.sink.stop();
    await stopTestProcesses();
    await this.postgres.remove();
  }
}

type Execution = temporal.api.common.v1.IWorkflowExecution;
type HistoryEvent = temporal.api.history.v1.IHistoryEvent;
const NAMESPACE = 'default';

/** All runs of a workflow id that were started since a moment; waits until the list knows the latest one. */
async function runsOf(connection: Connection, workflowId: string, since: Date): Promise<Execution[]> {
  const service = connection.workflowService;
  const latest = await service.describeWorkflowExecution({ namespace: NAMESPACE, execution: { workflowId } });
  const latestRun = latest.workflowExecutionInfo?.execution?.runId;
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const { executions } = await service.listWorkflowExecutions({
      namespace: NAMESPACE,
      pageSize: 1_000,
      query: `WorkflowId = '${workflowId}' AND StartTime >= '${since.toISOString()}'`,
    });
    const runs = executions.flatMap(({ execution }) => execution ?? []);
    if (runs.some(({ runId }) => runId === latestRun)) return runs;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`Temporal does not list the latest run of ${workflowId}`);
}

async function historyOf(
  connection: Connection,
  execution: Execution,
): Promise<{ events: HistoryEvent[]; bytes: number }> {
  const events: HistoryEvent[] = [];
  const service = connection.workflowService;
  let nextPageToken: Uint8Array | null | undefined;
  do {
    const page = await service.getWorkflowExecutionHistory({ namespace: NAMESPACE, execution, nextPageToken });
    events.push(...(page.history?.events ?? []));
    ({ nextPageToken } = page);
  } while (nextPageToken?.length);
  const described = await service.describeWorkflowExecution({ namespace: NAMESPACE, execution });
  return { events, bytes: Number(described.workflowExecutionInfo?.historySizeBytes ?? 0) };
}

/** Billable actions: starts, signals, timers, activity tries. */
function isBillable(event: HistoryEvent): boolean {
  return [
    event.workflowExecutionStartedEventAttributes,
    event.workflowExecutionSignaledEventAttributes,
    event.timerStartedEventAttributes,
    event.activityTaskScheduledEventAttributes,
  ].some(Boolean);
}

/** CPU milliseconds per message between two readings, by process. */
export function cpuPerMessage(before: Reading, after: Reading, messages: number): Record<string, number> {
  const ms = (seconds: number) => Math.round((seconds / messages) * 1e6) / 1e3;
  return {
    delivery: ms(after.delivery - before.delivery),
    control: ms(after.control - before.control),
    postgres: ms(after.postgres - before.postgres),
    temporal: ms(after.temporal - before.temporal),
    sink: ms((after.sinkMs - before.sinkMs) / 1e3),
  };
}
