import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { z } from 'zod';
import type { LoadOrder, LoadReport } from './load';

const loadReport = z.object({
  answers: z.number(),
  wrong: z.number(),
  seconds: z.number(),
  perSecond: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
  maxMs: z.number(),
});

/** A load generator under way; `answered` grows while it runs with `tell`. */
interface RunningLoad {
  answered: string[];
  done: Promise<LoadReport>;
}

/** Starts a load generator in a process of its own. */
export function startLoad(order: LoadOrder): RunningLoad {
  const child = spawn(process.execPath, ['--import', require.resolve('tsx'), join(__dirname, 'load.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(JSON.stringify(order));
  const answered: string[] = [];
  let rest = '';
  let last = '';
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('{')) last = line;
      else answered.push(line);
    }
  });
  const done = new Promise<LoadReport>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => {
      const parsed = loadReport.safeParse(last === '' ? null : JSON.parse(last));
      if (parsed.success) resolve(parsed.data);
      else reject(new Error('the load generator ended without a report'));
    });
  });
  return { answered, done };
}

/** A bare node:http server, for comparison; it answers every GET with `status`. */
export function startReference(port: number, answer: { status: number; bytes: number }): { kill(): void } {
  const script = join(__dirname, 'reference.ts');
  const child = spawn(
    process.execPath,
    ['--import', require.resolve('tsx'), script, String(port), String(answer.status), String(answer.bytes)],
    { stdio: 'ignore' },
  );
  return { kill: () => void child.kill() };
}
