import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time';
import { SallyArea, SallyEntity, SallyStatus, SallyWorkspace } from '../platform/temporal';
import { findPort, isPortFree, LOOPBACK } from './ports';
import { type ManagedProcess, type ProcessGroup, STOP_ORDER, waitUntilReady } from './processes';
import { findTemporalCli } from './temporal-cli';

/** Names of the search attributes that every workflow carries. All are keywords. */
export const SEARCH_ATTRIBUTES = [SallyWorkspace, SallyArea, SallyEntity, SallyStatus].map((key) => key.name);
export const DEFAULT_NAMESPACE = 'default';
/** How long closed executions stay readable, and by that their ids unusable for reuse policies. */
const RETENTION = '7 days';

export interface TemporalOptions {
  processes: ProcessGroup;
  /** SQLite file that keeps the executions over a restart; in memory when absent. */
  dbFile?: string;
  /** First choices; free ones are taken when they are in use. */
  port?: number;
  uiPort?: number;
  /** Lets workflows that ask for it skip their waiting time. Tests only. */
  timeSkipping?: boolean;
  /** No web interface: saves memory in tests. */
  headless?: boolean;
  /** Log file and message name; default `temporal`. */
  name?: string;
  /** Shows progress of a download. */
  say?: (line: string) => void;
}

/** A running dev server. A restart keeps the address; without `dbFile` it comes back empty. */
export class EmbeddedTemporal {
  constructor(
    readonly address: string,
    readonly uiUrl: string,
    private process: ManagedProcess,
    private readonly launch: () => Promise<ManagedProcess>,
  ) {}

  readonly namespace = DEFAULT_NAMESPACE;

  get pid(): number {
    return this.process.pid;
  }

  get name(): string {
    return this.process.name;
  }

  /** The server process of this moment. */
  current(): ManagedProcess {
    return this.process;
  }

  async stop(): Promise<void> {
    await this.process.stop();
  }

  async kill(): Promise<void> {
    await this.process.kill();
  }

  /** Starts it again after `stop` or `kill`, at the same address. */
  async start(): Promise<void> {
    if (this.process.exit) this.process = await this.launch();
  }

  /** Stops and starts it. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  freeze(): void {
    this.process.signal('SIGSTOP');
  }

  thaw(): void {
    this.process.signal('SIGCONT');
  }
}

/**
 * Starts `temporal server start-dev` on loopback ports and waits until its namespace `default` is usable, has the
 * search attributes and keeps closed executions for 7 days.
 * @throws Error with the end of its log, or with the ways to get a CLI
 */
export async function startTemporal(options: TemporalOptions): Promise<EmbeddedTemporal> {
  const cli = await findTemporalCli(options.say);
  if (options.dbFile) mkdirSync(dirname(options.dbFile), { recursive: true });
  for (let attempt = 1; ; attempt += 1) {
    const port = await findPort(options.port);
    const uiPort = await findPort(options.uiPort);
    const httpPort = await findPort();
    const metricsPort = await findPort();
    const ports = { port, uiPort, httpPort, metricsPort };
    const launch = async (): Promise<ManagedProcess> => {
      const process = await options.processes.start({
        name: options.name ?? 'temporal',
        command: cli,
        args: serverArguments(options, ports),
        order: STOP_ORDER.temporal,
        graceMs: 10_000,
      });
      await waitUntilReady(process, () => prepareNamespace(`${LOOPBACK}:${port}`));
      return process;
    };
    try {
      const process = await launch();
      return new EmbeddedTemporal(`${LOOPBACK}:${port}`, `http://${LOOPBACK}:${uiPort}`, process, launch);
    } catch (error) {
      // Whoever took a port between the probe and the bind may have let go of it again: the server's own words count.
      const refused = error instanceof Error && /address already in use/i.test(error.message);
      const taken =
        refused || !(await isPortFree(port)) || !(await isPortFree(uiPort)) || !(await isPortFree(httpPort));
      if (attempt >= 5 || !taken) throw error;
    }
  }
}

function serverArguments(
  options: TemporalOptions,
  ports: { port: number; uiPort: number; httpPort: number; metricsPort: number },
): string[] {
  const args = ['server', 'start-dev', '--ip', LOOPBACK, '--port', String(ports.port)];
  args.push('--http-port', String(ports.httpPort), '--metrics-port', String(ports.metricsPort));
  args.push('--log-level', 'warn', '--log-format', 'json');
  if (options.headless) args.push('--headless');
  else args.push('--ui-port', String(ports.uiPort), '--ui-disable-news-fetch');
  if (options.dbFile) {
    // Its default pragmas wait for the disk at every step: five times slower. Losing the store is harmless by design.
    args.push(
      '--db-filename',
      options.dbFile,
      '--sqlite-pragma',
      'journal_mode=WAL',
      '--sqlite-pragma',
      'synchronous=0',
    );
  }
  for (const name of SEARCH_ATTRIBUTES) args.push('--search-attribute', `${name}=Keyword`);
  for (const value of dynamicConfig(options.timeSkipping ?? false)) args.push('--dynamic-config-value', value);
  return args;
}

function dynamicConfig(timeSkipping: boolean): string[] {
  // Fairness keys are accepted and ignored unless this is on.
  const values = ['matching.enableFairness=true'];
  if (timeSkipping) {
    values.push('frontend.WorkflowTimeSkippingEnabled=true');
    values.push('frontend.WorkflowTimeSkippingMaxSkipPerSession=100000');
    values.push('history.timerProcessorMaxTimeShift="1ms"');
    // A namespace made for one test suite is usable at once.
    values.push('system.namespaceCacheRefreshInterval="200ms"');
  }
  return values;
}

/** True once the namespace answers with its search attributes; sets its retention. */
async function prepareNamespace(address: string): Promise<boolean> {
  const connection = await Connection.connect({ address, connectTimeout: '2 seconds' });
  try {
    const namespace = DEFAULT_NAMESPACE;
    const known = await connection.operatorService.listSearchAttributes({ namespace });
    if (!SEARCH_ATTRIBUTES.every((name) => known.customAttributes && name in known.customAttributes)) return false;
    await connection.workflowService.updateNamespace({
      namespace,
      config: { workflowExecutionRetentionTtl: msToTs(RETENTION) },
    });
    return true;
  } finally {
    await connection.close();
  }
}
