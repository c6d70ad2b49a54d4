import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { z } from 'zod';
import type { SinkBehaviour } from './session';

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

/** Speaks to the control port of a sink. */
export class SinkControl {
  constructor(readonly controlPort: number) {}

  async counts(): Promise<SinkCounts> {
    return countsSchema.parse(await this.get('/counts'));
  }

  async tokens(): Promise<SinkTokens> {
    return tokensSchema.parse(await this.get('/tokens'));
  }

  /** How many accepted messages were begun (MAIL FROM) later than a moment, milliseconds since 1970. */
  async begunSince(at: number): Promise<number> {
    return z.object({ count: z.number() }).parse(await this.get(`/begun-since?at=${at}`)).count;
  }

  async reset(): Promise<void> {
    await this.post('/reset', {});
  }

  /** @returns false when the sink refused it */
  async behave(behaviour: Partial<SinkBehaviour>): Promise<boolean> {
    return (await this.post('/behaviour', behaviour)).ok;
  }

  private post(path: string, body: unknown): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.controlPort}${path}`, { method: 'POST', body: JSON.stringify(body) });
  }

  private async get(path: string): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${this.controlPort}${path}`);
    return response.json();
  }
}

/** A sink in a process of its own, so that its CPU is not the product's. */
export class SinkProcess extends SinkControl {
  private constructor(
    private readonly child: ChildProcess,
    readonly port: number,
    controlPort: number,
  ) {
    super(controlPort);
  }

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

  async stop(): Promise<void> {
    if (this.child.exitCode === null) {
      const ended = new Promise((resolve) => this.child.once('exit', resolve));
      this.child.kill('SIGTERM');
      await ended;
    }
  }
}
