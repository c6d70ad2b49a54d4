import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SinkProcess } from '../../bench/sink/client';
import type { EmbeddedTemporal } from '../../dev/temporal';
import { CampaignWorld } from '../support/campaign-world';
import {
  type DurablePostgres,
  durablePostgres,
  ownTemporal,
  processEnvironment,
  type SpawnedProcess,
  spawnWorker,
  stopTestProcesses,
  type TestDatabase,
  testSecrets,
} from '../support/stack';

/** W of the fault tests: what one kill may leave unknown. */
export const WINDOW = 64;
export const LEASE_SECONDS = 3;
/** For processes that are to live: a busy machine lets one stand still for longer than a short lease lasts. */
export const LONG_LEASE = { DELIVERY_LEASE_SECONDS: '30' };

/** A product of its own that may be killed part by part: Postgres with safe settings, Temporal, workers, a sink. */
export class FaultStack {
  delivery: SpawnedProcess[] = [];
  private readonly logFiles = new Set<string>();
  private readonly worlds: CampaignWorld[] = [];

  private constructor(
    readonly postgres: DurablePostgres,
    readonly database: TestDatabase,
    readonly temporal: EmbeddedTemporal,
    private readonly temporalFolder: string,
    readonly sink: SinkProcess,
    readonly env: Record<string, string>,
    private readonly suppressionKey: string,
  ) {}

  /** Starts all but delivery workers; what a failed start leaves behind is ended. */
  static async start(env: Record<string, string> = {}): Promise<FaultStack> {
    try {
      return await FaultStack.startAll(env);
    } catch (error) {
      await stopTestProcesses();
      throw error;
    }
  }

  private static async startAll(env: Record<string, string>): Promise<FaultStack> {
    const temporalFolder = mkdtempSync(join(tmpdir(), 'sally-faults-'));
    const [postgres, temporal] = await Promise.all([
      durablePostgres(),
      ownTemporal({ dbFile: join(temporalFolder, 'temporal.db') }),
    ]);
    const sink = await SinkProcess.start();
    const database = await postgres.database('faults');
    const secrets = testSecrets();
    const environment = {
      ...(await processEnvironment({
        database,
        namespace: 'default',
        temporal: temporal.address,
        smtpUrl: `${sink.url}?tls=off`,
        secrets,
      })),
      DELIVERY_LEASE_SECONDS: String(LEASE_SECONDS),
      DELIVERY_WINDOW: String(WINDOW),
      WATCHDOG_SECONDS: '2',
      ...env,
    };
    const stack = new FaultStack(
      postgres,
      database,
      temporal,
      temporalFolder,
      sink,
      environment,
      secrets.SALLY_SUPPRESSION_KEY,
    );
    stack.logFiles.add((await spawnWorker({ role: 'control', env: environment })).process.logFile);
    return stack;
  }

  /** A workspace of its own with contacts; it reaches Postgres directly, whatever way the workers take. */
  async world(contacts: number): Promise<CampaignWorld> {
    const world = await CampaignWorld.create(
      {
        workerUrl: this.database.workerUrl,
        temporalAddress: this.temporal.address,
        namespace: 'default',
        suppressionKey: this.suppressionKey,
      },
      contacts,
    );
    this.worlds.push(world);
    return world;
  }

  /** Starts one more delivery worker and waits until it is ready. */
  async startDelivery(env: Record<string, string> = {}): Promise<SpawnedProcess> {
    const worker = await spawnWorker({ role: 'delivery', env: { ...this.env, ...env } });
    this.delivery.push(worker);
    this.logFiles.add(worker.process.logFile);
    return worker;
  }

  /** Ends all delivery workers gracefully. */
  async stopDelivery(): Promise<void> {
    const all = this.delivery;
    this.delivery = [];
    await Promise.all(all.map((worker) => worker.process.stop()));
  }

  /** Empties Temporal's store: it comes back at the same address and knows nothing. */
  async wipeTemporal(): Promise<void> {
    await this.temporal.stop();
    for (const suffix of ['', '-wal', '-shm', '-journal'])
      rmSync(join(this.temporalFolder, `temporal.db${suffix}`), { force: true });
    await this.temporal.start();
  }

  /** Log files of all workers so far, of Postgres and of Temporal. */
  logs(): string[] {
    return [...this.logFiles, this.postgres.server.current().logFile, this.temporal.current().logFile];
  }

  async stop(): Promise<void> {
    for (const world of this.worlds) await world.close();
    await this.sink.stop();
    await stopTestProcesses();
    await this.postgres.remove();
    rmSync(this.temporalFolder, { recursive: true, force: true });
  }
}
