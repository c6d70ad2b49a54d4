import { Database } from '../platform/postgres';
import { startTestApi, type TestApi } from '../test/support/api';
import { durablePostgres, stopTestProcesses } from '../test/support/stack';
import { conditions, cpuSeconds, postgresPids, requireSafeSettings } from './measure';

/** Budget: contacts per second through POST …/contacts/upsert. */
const BUDGET = 5_000;
const BATCH = 1_000;
const CONNECTIONS = 2;
const FIELDS = [
  { name: 'plan', type: 'enum', enum_values: ['free', 'pro', 'enterprise'] },
  { name: 'seats', type: 'number' },
  { name: 'signed_up', type: 'date' },
  { name: 'newsletter', type: 'boolean' },
  { name: 'city', type: 'text' },
];

function person(n: number, edition: number): object {
  return {
    email: `person.${(Math.imul(n, 0x9e3779b1) >>> 0).toString(36)}.${n}@upsert.example`,
    external_ids: [{ kind: 'crm', value: `C-${n}` }],
    first_name: `First${n % 997}`,
    last_name: `Last${n % 7_919}`,
    tags: ['bench'],
    fields: {
      plan: ['free', 'pro', 'enterprise'][n % 3],
      seats: (n % 500) + edition,
      signed_up: '2026-01-31',
      newsletter: n % 2 === 0,
      city: `City ${n % 211}`,
    },
  };
}

interface Figure {
  perSecond: number;
  /** CPU microseconds per contact: the API with its client, and Postgres. */
  apiMicros: number;
  postgresMicros: number;
}

/** Sends everybody once, two requests at a time. */
async function send(api: TestApi, postmaster: number, from: number, count: number, edition: number): Promise<Figure> {
  let next = from;
  const started = performance.now();
  const before = { api: cpuSeconds([process.pid]), postgres: cpuSeconds(postgresPids(postmaster)) };
  const sender = async () => {
    while (next < from + count) {
      const first = next;
      next += BATCH;
      const contacts = Array.from({ length: BATCH }, (_, i) => person(first + i, edition));
      const answer = await api.request('post', '/workspaces/{ws}/contacts/upsert', {
        token: api.apiKey,
        body: { contacts },
      });
      if (answer.status !== 200 || answer.body.rejected > 0) throw new Error(answer.text.slice(0, 500));
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, sender));
  const micros = (seconds: number) => Math.round((seconds * 1_000_000) / count);
  return {
    perSecond: Math.round(count / ((performance.now() - started) / 1_000)),
    apiMicros: micros(cpuSeconds([process.pid]) - before.api),
    postgresMicros: micros(cpuSeconds(postgresPids(postmaster)) - before.postgres),
  };
}

/** Contacts made, changed and left as they are by upserts of 1,000, with and without segmentable fields. */
export async function benchUpsert(options: { size: number | undefined }): Promise<void> {
  const before = conditions();
  const size = Math.max(BATCH, Math.round((options.size ?? 50_000) / BATCH) * BATCH);
  const postgres = await durablePostgres();
  const figures: Record<string, Record<'created' | 'updated' | 'unchanged', Figure>> = {};
  const postmaster = postgres.server.pid;
  try {
    for (const segmentable of [false, true]) {
      const database = await postgres.database(`upsert_${segmentable}`);
      const db = new Database({ url: database.workerUrl, applicationName: 'bench', connections: 1 });
      await requireSafeSettings(db);
      await db.close();
      const api = await startTestApi({ databaseName: 'upsert', database, temporal: 'absent' });
      for (const field of FIELDS) {
        const body = { ...field, is_segmentable: segmentable };
        const made = await api.request('post', '/workspaces/{ws}/contact-fields', { token: api.apiKey, body });
        if (made.status !== 201) throw new Error(made.text);
      }
      await send(api, postmaster, 10_000_000, 2 * BATCH, 0);
      figures[segmentable ? 'five segmentable fields' : 'no segmentable field'] = {
        created: await send(api, postmaster, 0, size, 0),
        updated: await send(api, postmaster, 0, size, 1),
        unchanged: await send(api, postmaster, 0, size, 1),
      };
      await api.close();
    }
  } finally {
    await postgres.remove();
    await stopTestProcesses();
  }
  for (const [fields, kinds] of Object.entries(figures)) {
    for (const [kind, { perSecond, apiMicros, postgresMicros }] of Object.entries(kinds)) {
      console.log(`${fields}, ${kind}: ${perSecond} contacts/s (CPU µs: API ${apiMicros}, Postgres ${postgresMicros})`);
    }
  }
  // New contacts are what costs most.
  const value = Math.max(...Object.values(figures).map(({ created }) => created.perSecond));
  const met = value >= BUDGET;
  console.log(`One API process takes up to ${value} new contacts/s (budget ${BUDGET}/s: ${met ? 'met' : 'missed'}).`);
  const details = { met, budget: BUDGET, size, batch: BATCH, connections: CONNECTIONS, figures, ...before };
  console.log(JSON.stringify({ name: 'upsert', value, unit: 'contacts/s', reference: null, ratio: null, details }));
}
