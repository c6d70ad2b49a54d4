import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Client } from 'pg';
import { setGauges } from '../../activities/delivery/gauges';
import { rollUpReceipts } from '../../db/delivery';
import { consumeBatch, type EventConsumer, ForeignCursorError } from '../../db/events';
import { rollUpEngagements } from '../../db/tracking';
import { horizonLag } from '../../platform/metrics';
import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { eventsReadable } from '../support/events-readable';
import { exampleWorld, type World } from '../support/examples';
import { until } from '../support/until';

const EVENTS = '/workspaces/{ws}/events';
/** 50 were survived when this was written; each is a process to be started. */
const KILLS = Number(process.env.EVENT_KILLS ?? 4);
const DAY = 86_400_000;

let api: TestApi;
let world: World;
let contact: string;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'events' });
});
beforeEach(async () => {
  world = await exampleWorld(api);
  contact = await world.contact();
});
afterAll(() => api.close());

function request(method: string, path: string, body?: unknown) {
  return api.request(method, path.replace('{ws}', world.workspace.id), { token: world.workspace.tokens.owner, body });
}
const event = (more: Record<string, unknown> = {}) => ({ event_type: 'purchase', contact_id: contact, ...more });
const stored = () =>
  many<{ event_id: string; contact_id: string; payload: unknown; created_at: Date }>(
    api.db,
    sql`SELECT event_id, contact_id, payload, created_at FROM marketing_events
        WHERE workspace_id = ${world.workspace.id} AND event_type = 'purchase' ORDER BY created_at`,
  );

describe('intake', () => {
  test('stores an event once, whatever month the repetition is in', async () => {
    const earlier = new Date(Date.now() - 27 * DAY).toISOString();
    const first = await request(
      'post',
      EVENTS,
      event({ event_id: 'order-1', occurred_at: earlier, payload: { amount: 5 } }),
    );
    expect(first.status).toBe(201);
    expect(first.body).toMatchObject({ status: 'ACCEPTED', event_id: expect.any(String) });
    const again = await request('post', EVENTS, event({ event_id: 'order-1' }));
    expect(again.status).toBe(200);
    expect(again.body).toMatchObject({ status: 'DUPLICATE', event_id: first.body.event_id });
    expect(await stored()).toEqual([
      { event_id: first.body.event_id, contact_id: contact, payload: { amount: 5 }, created_at: new Date(earlier) },
    ]);
  });

  test('the same id in another workspace is another event', async () => {
    await request('post', EVENTS, event({ event_id: 'order-1' }));
    world = await exampleWorld(api);
    contact = await world.contact();
    expect((await request('post', EVENTS, event({ event_id: 'order-1' }))).status).toBe(201);
  });

  test('a batch has a result for each of its events', async () => {
    const email = `${world.unique()}@contacts.example`;
    const named = await world.contact({ email, email_hash: api.deps.addressHasher.hash(email) });
    const loser = await world.contact({ erased_at: new Date(), merged_into: named });
    await api.db.query(sql`INSERT INTO contact_identities (workspace_id, kind, value, contact_id)
      VALUES (${world.workspace.id}, 'shop', '77', ${named})`);
    await request('post', EVENTS, event({ event_id: 'known' }));
    const base = { event_type: 'purchase' };
    const { status, body } = await request('post', `${EVENTS}/batch`, {
      events: [
        { ...base, email: email.toUpperCase() },
        { ...base, external_id: { kind: 'shop', value: '77' } },
        { ...base, contact_id: loser },
        event({ event_id: 'known' }),
        event({ event_id: 'twice' }),
        event({ event_id: 'twice' }),
        { ...base, email: 'nobody@contacts.example' },
        { ...base },
        event({ event_type: 'contact_created' }),
        event({ occurred_at: new Date(Date.now() - 29 * DAY).toISOString() }),
        event({ occurred_at: new Date(Date.now() + DAY).toISOString() }),
      ],
    });
    expect(status).toBe(200);
    const said = body.results.map((row: { status: string; field: string | null }) => row.field ?? row.status);
    expect(said).toEqual([
      ...['ACCEPTED', 'ACCEPTED', 'ACCEPTED', 'DUPLICATE', 'ACCEPTED', 'DUPLICATE'],
      ...['email', 'contact_id', 'event_type', 'occurred_at', 'occurred_at'],
    ]);
    expect(body.results[4].event_id).toBe(body.results[5].event_id);
    expect((await stored()).filter((row) => row.contact_id === named)).toHaveLength(3);
    expect(await stored()).toHaveLength(5);
  });

  test('repeated and overlapping batches at once store each event once', async () => {
    const ids = Array.from({ length: 60 }, (_, index) => `order-${index}`);
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, round) => {
        const order = round % 2 ? [...ids].reverse() : ids;
        return request('post', `${EVENTS}/batch`, { events: order.map((event_id) => event({ event_id })) });
      }),
    );
    for (const answer of answers) expect(answer.status).toBe(200);
    expect(await stored()).toHaveLength(60);
    const counts = answers.flatMap((answer) => answer.body.results).filter((row) => row.status === 'ACCEPTED');
    expect(counts).toHaveLength(60);
  });

  test('keeps to what a type describes', async () => {
    const TYPES = '/workspaces/{ws}/event-types';
    const fields = [{ name: 'amount', type: 'number', required: true }];
    const made = await request('post', TYPES, { name: 'purchase', fields });
    expect(made.status).toBe(201);
    const refused = await request('post', EVENTS, event({ payload: { amount: 'much' } }));
    expect(refused.status).toBe(422);
    expect(refused.body.errors).toEqual([{ pointer: '/body/payload', detail: 'payload.amount must be a number' }]);
    expect((await request('post', EVENTS, event({ payload: { amount: 3, more: true } }))).status).toBe(201);
    expect((await request('get', TYPES)).body.items).toEqual([made.body]);
    const changed = await request('patch', `${TYPES}/${made.body.id}`, { fields: null });
    expect(changed.body).toMatchObject({ version: 2, fields: null });
    expect((await request('post', EVENTS, event({ payload: {} }))).status).toBe(201);
    expect((await request('delete', `${TYPES}/${made.body.id}`)).status).toBe(204);
    expect((await request('post', TYPES, { name: 'email_sent' })).status).toBe(422);
    expect((await request('post', TYPES, { name: 'twice', fields: [...fields, ...fields] })).status).toBe(422);
  });

  test.each([
    ['a payload that is too large', { payload: { text: 'x'.repeat(9_000) } }],
    ['NUL in the payload', { payload: { text: '\0' } }],
    ['NUL in the id', { event_id: '\0' }],
    ['a type with SQL', { event_type: "x'; DROP TABLE contacts; --" }],
    ['a moment without offset', { occurred_at: '2026-01-01T00:00:00' }],
    ['an unknown member', { color: 'red' }],
    ['two names of the contact', { email: 'a@contacts.example' }],
    ['a contact of another workspace', { contact_id: '01900000-0000-7000-8000-000000000000' }],
  ])('refuses %s', async (_what, more) => {
    expect((await request('post', EVENTS, event(more))).status).toBe(422);
  });

  test('the spec’s indexes serve its queries', async () => {
    await api.db.query(sql`
      INSERT INTO marketing_events (workspace_id, event_type, contact_id, campaign_id, payload, created_at)
      SELECT ${world.workspace.id}, 'type_' || n % 50, md5((n % 500)::text)::uuid, md5((n % 40)::text)::uuid, '{}',
        now() - n * interval '1 second'
      FROM generate_series(1, 20000) n`);
    const owner = new Client({ connectionString: api.database.ownerUrl });
    await owner.connect();
    await owner.query('ANALYZE marketing_events');
    await owner.end();
    const ws = world.workspace.id;
    const some = '01900000-0000-7000-8000-000000000000';
    const queries = [
      [
        'contact_id',
        sql`SELECT * FROM marketing_events WHERE workspace_id = ${ws} AND contact_id = ${some} ORDER BY created_at DESC LIMIT 20`,
      ],
      [
        'campaign_id',
        sql`SELECT * FROM marketing_events WHERE workspace_id = ${ws} AND campaign_id = ${some} AND event_type = 'type_1' ORDER BY created_at`,
      ],
      [
        'event_type',
        sql`SELECT * FROM marketing_events WHERE workspace_id = ${ws} AND event_type = 'type_1' ORDER BY created_at DESC LIMIT 20`,
      ],
      [
        'transaction',
        sql`SELECT * FROM marketing_events WHERE (transaction_id, event_id) > ('5'::xid8, ${some}) ORDER BY transaction_id, event_id LIMIT 20`,
      ],
    ] as const;
    for (const [column, query] of queries) {
      const { text, values } = query;
      const plan = await many<{ 'QUERY PLAN': string }>(api.db, { text: `EXPLAIN ${text}`, values });
      const lines = plan.map((row) => row['QUERY PLAN']);
      const current = lines.filter((line) =>
        new RegExp(`Index Scan.*marketing_events_\\d+_\\d+_.*${column}`).test(line),
      );
      expect({ column, found: current.length > 0 }).toEqual({ column, found: true });
      // Partitions of months to come are empty: there is nothing to look up.
      const partition = / on (marketing_events_\d+_\d+)/.exec(current[0] ?? '')?.[1] ?? '?';
      expect(lines.join('\n')).not.toContain(`Seq Scan on ${partition}`);
    }
  });
});

describe('consumers', () => {
  beforeEach(async () => {
    await api.db.query(sql`DELETE FROM event_cursors`).catch(() => undefined);
  });

  async function appended(count: number): Promise<string[]> {
    const rows = await many<{ id: string }>(
      api.db,
      sql`SELECT sally_append_event(${world.workspace.id}, 'thing_done', ${contact}, NULL, '{}') AS id
          FROM generate_series(1, ${count}::integer)`,
    );
    return rows.map((row) => row.id);
  }
  /** A consumer of this workspace's events that remembers; its name is new, so it begins at the first event. */
  function remembering(shards = 1): EventConsumer & { seen: string[] } {
    const seen: string[] = [];
    return {
      name: `test-${world.unique()}`,
      shards,
      seen,
      handle: async (_tx, events) => {
        const own = events.filter(
          ({ workspace_id, event_type }) => workspace_id === world.workspace.id && event_type === 'thing_done',
        );
        seen.push(...own.map(({ event_id }) => event_id));
      },
    };
  }
  async function drain(consumer: EventConsumer, shard = 0): Promise<void> {
    while ((await consumeBatch(api.db, consumer, shard, 1_000)) > 0);
  }

  test('read each event once, in the order of its transaction', async () => {
    const consumer = remembering();
    const first = await appended(3);
    await eventsReadable(api.db);
    await drain(consumer);
    const second = await appended(2);
    await eventsReadable(api.db);
    await drain(consumer);
    await drain(consumer);
    expect(consumer.seen.slice(0, 3).sort()).toEqual(first.sort());
    expect(consumer.seen.slice(3).sort()).toEqual(second.sort());
    expect(consumer.seen).toHaveLength(5);
  });

  test('do not skip a transaction that was open across polls', async () => {
    const consumer = remembering();
    await drain(consumer);
    const slow = new Client({ connectionString: api.database.workerUrl });
    await slow.connect();
    await slow.query('BEGIN');
    const late = await slow.query(`SELECT sally_append_event($1, 'thing_done', $2, NULL, '{}') AS id`, [
      world.workspace.id,
      contact,
    ]);
    for (let poll = 0; poll < 3; poll += 1) {
      await appended(2);
      await drain(consumer);
    }
    // What came after the open transaction waits for it, and the metric tells.
    expect(consumer.seen).toEqual([]);
    const lag = async () => {
      await setGauges(api.db);
      return (await horizonLag.get()).values[0]?.value ?? 0;
    };
    await until('the horizon is seen to lag', async () => (await lag()) > 0);
    await slow.query('COMMIT');
    await slow.end();
    await eventsReadable(api.db);
    await drain(consumer);
    expect(consumer.seen).toHaveLength(7);
    expect(consumer.seen[0]).toBe(late.rows[0].id);
  });

  test('in shards read each event once, those of a contact in one of them', async () => {
    const consumer = remembering(3);
    const contacts = await Promise.all(Array.from({ length: 12 }, () => world.contact()));
    for (const one of contacts) {
      await api.db.query(
        sql`SELECT sally_append_event(${world.workspace.id}, 'thing_done', ${one}, NULL, '{}') FROM generate_series(1, 3)`,
      );
    }
    await eventsReadable(api.db);
    const sizes: number[] = [];
    for (const shard of [0, 1, 2]) {
      const before = consumer.seen.length;
      await Promise.all([drain(consumer, shard), drain(consumer, shard)]);
      sizes.push(consumer.seen.length - before);
    }
    expect(new Set(consumer.seen).size).toBe(36);
    expect(consumer.seen).toHaveLength(36);
    for (const size of sizes) expect(size % 3).toBe(0);
  });

  test('stop when their cursor is of another cluster', async () => {
    const consumer = remembering();
    await api.db.query(sql`
      INSERT INTO event_cursors (consumer, transaction_id) VALUES (${consumer.name}, '9000000000000000000'::xid8)`);
    await expect(drain(consumer)).rejects.toThrow(ForeignCursorError);
  });

  test.each([
    ['engagement-roll-up', rollUpEngagements],
    ['receipt-roll-up', rollUpReceipts],
  ] as const)('and so does the %s, which would find nothing for ever', async (name, rollUp) => {
    await rollUp(api.db, 1);
    const move = (to: string) =>
      api.db.query(sql`UPDATE event_cursors SET transaction_id = ${to}::xid8 WHERE consumer = ${name}`);
    await move('9000000000000000000');
    await expect(rollUp(api.db, 1)).rejects.toThrow(ForeignCursorError);
    await move('0');
    await expect(rollUp(api.db, 1)).resolves.toBeGreaterThanOrEqual(0);
  });

  test(`${KILLS} × kill -9 between effect and COMMIT: each event takes effect once`, async () => {
    const owner = new Client({ connectionString: api.database.ownerUrl });
    await owner.connect();
    await owner.query('CREATE TABLE effects (event_id uuid NOT NULL); GRANT ALL ON effects TO sally_worker');
    await owner.end();
    const name = `dying-${world.unique()}`;
    const events = await appended(30);
    await eventsReadable(api.db);
    let killed = 0;
    let begun = 0;
    /** One process after another: each stops after its effect and is killed there. */
    const dieOneByOne = async (): Promise<void> => {
      while (begun < KILLS) {
        begun += 1;
        const child = spawn(
          process.execPath,
          [
            '--import',
            'tsx',
            join(__dirname, '..', 'support', 'fixtures', 'dying-consumer.ts'),
            api.database.workerUrl,
            name,
          ],
          { cwd: join(__dirname, '..', '..'), stdio: ['ignore', 'pipe', 'inherit'] },
        );
        const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
        createInterface({ input: child.stdout }).once('line', (line) => {
          if (line !== 'effect') return;
          killed += 1;
          child.kill('SIGKILL');
        });
        await ended;
      }
    };
    await Promise.all(Array.from({ length: 4 }, dieOneByOne));
    expect(killed).toBe(KILLS);
    expect((await one<{ n: number }>(api.db, sql`SELECT count(*) AS n FROM effects`))?.n).toBe(0);
    const survivor: EventConsumer = {
      name,
      shards: 1,
      handle: async (tx, batch) => {
        await tx.query(sql`INSERT INTO effects SELECT unnest(${batch.map((row) => row.event_id)}::uuid[])`);
      },
    };
    while ((await consumeBatch(api.db, survivor, 0, 10)) > 0);
    const effects = await many<{ event_id: string; times: number }>(
      api.db,
      sql`SELECT event_id, count(*) AS times FROM effects WHERE event_id = ANY (${events}::uuid[]) GROUP BY event_id`,
    );
    expect(effects).toHaveLength(30);
    expect(effects.filter((row) => row.times !== 1)).toEqual([]);
  }, 300_000);
});
