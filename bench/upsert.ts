import { z } from 'zod';
import { one, sql } from '../platform/postgres';
import { ApiStack, costPerUnit, ownerKey } from './api-stack';
import { startLoad } from './load/client';
import { conditions } from './measure';
import { printStatements, STATEMENT_STATISTICS } from './statements';

/** Budget: new contacts per second through POST …/contacts/upsert of one API process. */
const BUDGET = 5_000;
const BATCH = 1_000;
const CONNECTIONS = 2;
const WARM_UP = 4;
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

/** Requests of 1,000 people each. */
function bodies(from: number, requests: number, edition: number): string[] {
  return Array.from({ length: requests }, (_, request) => {
    const first = from + request * BATCH;
    return JSON.stringify({ contacts: Array.from({ length: BATCH }, (_, i) => person(first + i, edition)) });
  });
}

type Figure = { perSecond: number } & ReturnType<typeof costPerUnit>;

const stored = z.object({ contacts: z.number(), submissions: z.number(), external_ids: z.number() });

/** One API process whose workspace has five fields. */
class Upserts {
  private constructor(
    private readonly stack: ApiStack,
    private readonly path: string,
    private readonly key: string,
    private readonly requests: number,
  ) {}

  static async start(options: { segmentable: boolean; requests: number; profile: boolean }): Promise<Upserts> {
    const settings = options.profile ? STATEMENT_STATISTICS : undefined;
    const stack = await ApiStack.start('bench upsert', options.profile, settings);
    const key = await ownerKey(stack.db, stack.workspaceId);
    const workspace = `/workspaces/${stack.workspaceId}`;
    for (const field of FIELDS) {
      const made = await fetch(`${stack.api.url}${workspace}/contact-fields`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ ...field, is_segmentable: options.segmentable }),
      });
      if (made.status !== 201) throw new Error(await made.text());
    }
    const upserts = new Upserts(stack, `${workspace}/contacts/upsert`, key, options.requests);
    await upserts.send(bodies(10_000_000, WARM_UP, 0));
    return upserts;
  }

  /** Sends everybody once, two requests at a time. */
  async everybody(edition: number): Promise<Figure> {
    return this.send(bodies(0, this.requests, edition));
  }

  private async send(requests: string[]): Promise<Figure> {
    const before = await this.stack.used();
    const report = await startLoad({
      port: this.stack.port,
      connections: CONNECTIONS,
      method: 'POST',
      paths: [this.path],
      headers: { Authorization: `Bearer ${this.key}` },
      bodies: requests,
      status: 200,
      requests: requests.length,
      warmUp: 0,
      tell: false,
    }).done;
    if (report.wrong > 0) throw new Error(`${report.wrong} of ${report.answers} requests were not answered with 200`);
    const cost = costPerUnit(before, await this.stack.used(), report.answers * BATCH);
    return { perSecond: Math.round((report.answers * BATCH) / report.seconds), ...cost };
  }

  /** Everybody is there once, was changed as often as expected, and a repetition changed nothing. */
  async verify(changes: number): Promise<void> {
    const found = stored.parse(
      await one(
        this.stack.db,
        sql`SELECT (SELECT count(*) FROM contacts) AS contacts, (SELECT count(*) FROM submissions) AS submissions,
              (SELECT count(*) FROM contact_identities) AS external_ids`,
      ),
    );
    const contacts = (WARM_UP + this.requests) * BATCH;
    const expected = { contacts, external_ids: contacts, submissions: contacts + changes * this.requests * BATCH };
    for (const name of ['contacts', 'external_ids', 'submissions'] as const) {
      if (found[name] !== expected[name]) throw new Error(`${found[name]} ${name}, expected ${expected[name]}`);
    }
  }

  printStatements(): Promise<void> {
    return printStatements(this.stack.postgres.server.adminUrl, 15);
  }

  stop(): Promise<void> {
    return this.stack.stop();
  }
}

/** Contacts made, changed and left as they are by upserts of 1,000, with and without segmentable fields. */
export async function benchUpsert(options: { size?: number; profile?: boolean }): Promise<void> {
  const before = conditions();
  const requests = Math.max(1, Math.round((options.size ?? 50_000) / BATCH));
  const profile = options.profile ?? false;
  const figures: Record<string, Record<'created' | 'updated' | 'unchanged', Figure>> = {};
  for (const segmentable of [false, true]) {
    const upserts = await Upserts.start({ segmentable, requests, profile });
    try {
      const created = await upserts.everybody(0);
      if (profile) await upserts.printStatements();
      await upserts.verify(0);
      const updated = await upserts.everybody(1);
      const unchanged = await upserts.everybody(1);
      await upserts.verify(1);
      figures[segmentable ? 'five segmentable fields' : 'no segmentable field'] = { created, updated, unchanged };
    } finally {
      await upserts.stop();
    }
  }
  for (const [fields, kinds] of Object.entries(figures)) {
    for (const [kind, { perSecond, apiMicros, postgresMicros, walBytes }] of Object.entries(kinds)) {
      console.log(
        `${fields}, ${kind}: ${perSecond} contacts/s (CPU µs: API ${apiMicros}, Postgres ${postgresMicros}; WAL ${walBytes} B)`,
      );
    }
  }
  // New contacts are what costs most, and segmentable fields make them dearer.
  const value = Math.min(...Object.values(figures).map(({ created }) => created.perSecond));
  const met = value >= BUDGET;
  console.log(`One API process takes ${value} new contacts/s (budget ${BUDGET}/s: ${met ? 'met' : 'missed'}).`);
  const details = { met, budget: BUDGET, size: requests * BATCH, batch: BATCH, connections: CONNECTIONS, figures };
  console.log(
    JSON.stringify({
      name: 'upsert',
      value,
      unit: 'contacts/s',
      reference: null,
      ratio: null,
      details: { ...details, ...before },
    }),
  );
}
