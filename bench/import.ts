import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { cpus } from 'node:os';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { z } from 'zod';
import type { EmbeddedTemporal } from '../dev/temporal';
import { Database } from '../platform/postgres';
import { startTestApi, type TestApi } from '../test/support/api';
import {
  type DurablePostgres,
  durablePostgres,
  ownTemporal,
  processEnvironment,
  spawnWorker,
  stopTestProcesses,
  testSecrets,
} from '../test/support/stack';
import { cpuSeconds, postgresPids, requireSafeSettings, walBytes } from './measure';

/** Budget (design, section 11). */
const BUDGET = { perSecond: 20_000, memoryRatio: 1.2 };
const SMALL = 100_000;
const REFERENCE_ROUNDS = 3;

const HEADERS = [
  'email',
  'first_name',
  'last_name',
  'locale',
  'time_zone',
  'plan',
  'seats',
  'signed_up',
  'newsletter',
  'city',
];
const FIELDS = [
  { name: 'plan', type: 'enum', enum_values: ['free', 'pro', 'enterprise'] },
  { name: 'seats', type: 'number' },
  { name: 'signed_up', type: 'date' },
  { name: 'newsletter', type: 'boolean' },
  { name: 'city', type: 'text' },
];

/** Row `n` of the file; addresses are in no order, as in a real export. */
function cells(n: number): string[] {
  const scattered = Math.imul(n, 0x9e3779b1) >>> 0;
  const two = (value: number) => String(value).padStart(2, '0');
  return [
    `${scattered.toString(36)}.${n}@${['gmail.com', 'outlook.com', 'web.de', 'example.org', 'corp.example'][n % 5]}`,
    `First${scattered % 2_000}`,
    `Last${scattered % 9_973}`,
    ['en', 'de-DE', 'fr', 'pt-BR'][n % 4] ?? 'en',
    ['Europe/Berlin', 'America/New_York', 'Asia/Tokyo'][n % 3] ?? 'UTC',
    ['free', 'pro', 'enterprise'][n % 3] ?? 'free',
    String(n % 500),
    `20${two(10 + (n % 15))}-${two(1 + (n % 12))}-${two(1 + (n % 28))}`,
    n % 2 === 0 ? 'yes' : 'no',
    `City ${scattered % 800}`,
  ];
}

function* lines(rows: number, separator: string, header: boolean): Generator<string> {
  let text = header ? `${HEADERS.join(separator)}\n` : '';
  for (let n = 0; n < rows; n++) {
    text += `${cells(n).join(separator)}\n`;
    if (text.length < 256 * 1024) continue;
    yield text;
    text = '';
  }
  yield text;
}

/** The reference: the same rows by COPY into a table of texts without index; the best of three, in rows per second. */
async function plainCopy(ownerUrl: string, rows: number): Promise<number> {
  const client = new Client(ownerUrl);
  await client.connect();
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < REFERENCE_ROUNDS; round++) {
    await client.query('DROP TABLE IF EXISTS bench_reference');
    await client.query(`CREATE TABLE bench_reference (${HEADERS.map((name) => `${name} text`).join(', ')})`);
    const begun = performance.now();
    await pipeline(Readable.from(lines(rows, '\t', false)), client.query(copyFrom('COPY bench_reference FROM STDIN')));
    best = Math.min(best, (performance.now() - begun) / 1_000);
  }
  await client.query('DROP TABLE bench_reference');
  await client.end();
  return Math.round(rows / best);
}

const uploaded = z.object({ id: z.string(), size_bytes: z.number() });
const job = z.object({
  id: z.string(),
  status: z.enum(['QUEUED', 'RUNNING', 'DONE', 'FAILED', 'CANCELLED']),
  progress: z.object({ created: z.number(), rows_done: z.number() }),
});

async function upload(api: TestApi, rows: number): Promise<z.infer<typeof uploaded>> {
  const sending = request(`${api.url}/workspaces/${api.workspace.id}/uploads`, {
    method: 'POST',
    headers: { 'content-type': 'text/csv', authorization: `Bearer ${api.apiKey}` },
  });
  const answered = once(sending, 'response');
  await pipeline(Readable.from(lines(rows, ',', true)), sending);
  const [response] = await answered;
  let text = '';
  for await (const part of response) text += String(part);
  return uploaded.parse(JSON.parse(text));
}

interface Measured {
  rows: number;
  seconds: number;
  uploadSeconds: number;
  bytes: number;
  workerCpu: number;
  postgresCpu: number;
  wal: number;
  peakMemoryBytes: number;
}

/** One import into a fresh database by a fresh worker process. */
async function importRows(postgres: DurablePostgres, temporal: EmbeddedTemporal, rows: number): Promise<Measured> {
  const database = await postgres.database(`bench import ${rows}`);
  const secrets = testSecrets();
  const place = { address: temporal.address, namespace: 'default' };
  const api = await startTestApi({ databaseName: 'bench', database, temporal: place, env: secrets });
  const db = new Database({ url: database.ownerUrl, applicationName: 'bench', connections: 2 });
  await requireSafeSettings(db);
  const env = await processEnvironment({ database, namespace: place.namespace, temporal: place.address, secrets });
  const worker = await spawnWorker({ role: 'control', env: { ...env, LOG_LEVEL: 'warn' } });
  try {
    const call = (method: string, path: string, body?: object) =>
      api.request(method, `/workspaces/{ws}/${path}`, { token: api.apiKey, body });
    for (const field of FIELDS) await call('post', 'contact-fields', field);
    const uploadBegun = performance.now();
    const file = await upload(api, rows);
    const uploadSeconds = (performance.now() - uploadBegun) / 1_000;
    const before = {
      worker: cpuSeconds([worker.pid]),
      postgres: cpuSeconds(postgresPids(postgres.server.pid)),
      wal: await walBytes(db),
    };
    const begun = performance.now();
    let current = job.parse((await call('post', 'imports', { upload_id: file.id })).body);
    while (current.status === 'QUEUED' || current.status === 'RUNNING') {
      await new Promise((resolve) => setTimeout(resolve, 100));
      current = job.parse((await call('get', `imports/${current.id}`)).body);
    }
    const seconds = (performance.now() - begun) / 1_000;
    if (current.status !== 'DONE' || current.progress.created !== rows) {
      throw new Error(`the import ended as ${JSON.stringify(current)}`);
    }
    const { rows: counted } = await db.query<{ contacts: number; submissions: number }>(
      'SELECT (SELECT count(*) FROM contacts) AS contacts, (SELECT count(*) FROM submissions) AS submissions',
    );
    if (counted[0]?.contacts !== rows || counted[0].submissions !== rows) throw new Error('contacts are missing');
    return {
      rows,
      seconds,
      uploadSeconds,
      bytes: file.size_bytes,
      workerCpu: cpuSeconds([worker.pid]) - before.worker,
      postgresCpu: cpuSeconds(postgresPids(postgres.server.pid)) - before.postgres,
      wal: (await walBytes(db)) - before.wal,
      peakMemoryBytes: peakMemory(worker.pid),
    };
  } finally {
    await worker.process.stop();
    await db.close();
    await api.close();
  }
}

/** Most memory another process has had (Linux; 0 elsewhere). */
function peakMemory(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1_024;
  } catch {
    return 0;
  }
}

/**
 * Imports `size` contacts with five custom fields: uploaded through the API, by the workflow on a real Temporal server,
 * in a worker process of its own; from the request to the job's end, the check of the file included.
 */
export async function benchImport({ size = 1_000_000 }: { size?: number } = {}): Promise<void> {
  const postgres = await durablePostgres();
  try {
    const temporal = await ownTemporal();
    const small = await importRows(postgres, temporal, Math.min(SMALL, size));
    const large = await importRows(postgres, temporal, size);
    const { ownerUrl, drop } = await postgres.database('bench reference');
    const reference = await plainCopy(ownerUrl, size);
    await drop();
    report(small, large, reference);
  } finally {
    await stopTestProcesses();
    await postgres.remove();
  }
}

function report(small: Measured, large: Measured, reference: number): void {
  const perSecond = Math.round(large.rows / large.seconds);
  const perRow = (seconds: number) => Math.round((seconds / large.rows) * 1e8) / 100;
  const memoryRatio = Math.round((large.peakMemoryBytes / small.peakMemoryBytes) * 1_000) / 1_000;
  console.log(
    `Importing ${large.rows} contacts with ${FIELDS.length} custom fields runs at ${perSecond} rows/s ` +
      `(plain COPY of the same rows into a table without indexes: ${reference} rows/s), ` +
      `with ${memoryRatio} times the peak memory of ${small.rows} rows.`,
  );
  console.log(
    JSON.stringify({
      name: 'import',
      value: perSecond,
      unit: 'rows/s',
      reference,
      ratio: Math.round((perSecond / reference) * 1_000) / 1_000,
      details: {
        met: perSecond >= BUDGET.perSecond && memoryRatio <= BUDGET.memoryRatio,
        budget: BUDGET,
        rows: large.rows,
        fileBytes: large.bytes,
        uploadBytesPerSecond: Math.round(large.bytes / large.uploadSeconds),
        seconds: Math.round(large.seconds * 100) / 100,
        rowsPerSecondAt100k: Math.round(small.rows / small.seconds),
        workerCpuMicrosecondsPerRow: perRow(large.workerCpu),
        postgresCpuMicrosecondsPerRow: perRow(large.postgresCpu),
        walBytes: large.wal,
        walBytesPerRow: Math.round(large.wal / large.rows),
        peakMemoryBytes: large.peakMemoryBytes,
        peakMemoryAt100k: small.peakMemoryBytes,
        memoryRatio,
        cpus: cpus().length,
        node: process.version,
      },
    }),
  );
}

if (require.main === module) {
  const index = process.argv.indexOf('--size');
  const size = index < 0 ? undefined : Number(process.argv[index + 1]);
  benchImport({ size }).catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
}
