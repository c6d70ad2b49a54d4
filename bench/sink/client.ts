import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { z } from 'zod';

const readySchema = z.object({ port: z.number(), controlPort: z.number(), pid: z.number() });

const countsSchema = z.object({
  messages: z.number(),
  tokens: z.number(),
  duplicates: z.number(),
  malformed: z.number(),
  octets: z.number(),
  headerFields: z.number(),
  mimeParts: z.number(),
  connections: z.number(),
  dropped: z.number(),
  firstBegunAt: z.number(),
  lastBegunAt: z.number(),
  lastAcceptedAt: z.number(),
  cpuMs: z.object({ user: z.number(), system: z.number() }),
});
export type SinkCounts = z.infer<typeof countsSchema>;

const tokensSchema = z.record(
  z.string(),
  z.object({ count: z.number(), recipient: z.string(), begunAt: z.number(), acceptedAt: z.array(z.number()) }),
);
export type SinkTokens = z.infer<typeof tokensSchema>;

/** Starts a sink in a process of its own and speaks to its control port. */
export class SinkProcess {
  private constructor(
    private readonly child: ChildProcess,
    readonly port: number,
    readonly controlPort: number,
  ) {}

  /** @param flags as of bench/sink/main.ts, e.g. ["--latency", "50"] */
  static async start(flags: string[] = []): Promise<SinkProcess> {
    const child = spawn(process.execPath, ['--import', 'tsx', join(__dirname, 'main.ts'), ...flags], {
      cwd: join(__dirname, '..', '..'),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const line = await new Promise<string>((resolve, reject) => {
      let output = '';
      child.stdout?.on('data', (chunk: Buffer) => {
        output += chunk.toString();
        if (output.includes('\n')) {
          resolve(output);
        }
      });
      child.once('exit', (code) => reject(new Error(`the sink ended with ${code}`)));
    });
    const ready = readySchema.parse(JSON.parse(line));
    return new SinkProcess(child, ready.port, ready.controlPort);
  }

  get url(): string {
    return `smtp://127.0.0.1:${this.port}`;
  }

  async counts(): Promise<SinkCounts> {
    return countsSchema.parse(await this.get('/counts'));
  }

  async tokens(): Promise<SinkTokens> {
    return tokensSchema.parse(await this.get('/tokens'));
  }

  async reset(): Promise<void> {
    await fetch(`http://127.0.0.1:${this.controlPort}/reset`, { method: 'POST' });
  }

  async behave(behaviour: Partial<{ latencyMs: number; pacePerSecond: number; dropEvery: number }>): Promise<void> {
    await fetch(`http://127.0.0.1:${this.controlPort}/behaviour`, { method: 'POST', body: JSON.stringify(behaviour) });
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null) {
      const ended = new Promise((resolve) => this.child.once('exit', resolve));
      this.child.kill('SIGTERM');
      await ended;
    }
  }

  private async get(path: string): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${this.controlPort}${path}`);
    return response.json();
  }
}
