import { SinkProcess } from '../../bench/sink/client';
import { auditCapacity } from '../../db/delivery/capacity';
import { many, sql } from '../../platform/postgres';
import { type CampaignWorld, SHORT_MAIL } from '../support/campaign-world';
import { type SendingProduct, startSendingProduct } from '../support/product';
import { sleep, until } from '../support/until';

/** Eight delivery processes against one provider: what it may take is all that it gets. */
const WORKERS = 8;
/** Two campaigns of so many are more than one drain takes alone: every process is given a part of the lane. */
const CONTACTS = 1_700;
const PROVIDERS = '/email-infrastructure/providers';

let product: SendingProduct;
let world: CampaignWorld;
let sink: SinkProcess;

beforeAll(async () => {
  sink = await SinkProcess.start();
  product = await startSendingProduct({
    name: 'capacity',
    contacts: CONTACTS,
    role: 'operator',
    env: { ALLOW_PRIVATE_SMTP: 'true' },
    workerEnv: {
      SMTP_URL: `${sink.url}?tls=off`,
    },
    workers: ['control', ...Array.from({ length: WORKERS }, () => 'delivery' as const)],
  });
  ({ world } = product);
  // Ten processes on a small machine have just begun.
  await sleep(5_000);
});

/** Whatever a test left, and whether or not it went well: the next one begins with nothing that waits. */
afterEach(async () => {
  await world.db.query(sql`UPDATE streams SET state = 'CANCELLED' WHERE workspace_id = ${world.workspaceId}`);
  await world.db.query(sql`
    UPDATE campaign_runs SET status = 'CANCELLED' WHERE workspace_id = ${world.workspaceId} AND status = 'SENDING'`);
  for (const id of providers.splice(0)) await product.call('delete', `${PROVIDERS}/${id}`);
});

afterAll(async () => {
  await product.close();
  await sink.stop();
});

let counter = 0;
const providers: string[] = [];
async function provider(limits: Record<string, number | null>): Promise<string> {
  counter += 1;
  const response = await product.call('post', PROVIDERS, {
    name: `Relay ${counter}`,
    provider_type: 'SMTP',
    settings: { host: '127.0.0.1', port: Number(new URL(sink.url).port), tls: 'off' },
    ...limits,
  });
  expect(response.status).toBe(201);
  providers.push(response.body.id);
  // Delivery processes remember a workspace's senders for a second.
  await sleep(1_200);
  return response.body.id;
}

/** How many delivery processes have claimed rows of these runs. */
const processesOf = async (runs: string[]) =>
  (
    await many(
      world.db,
      sql`SELECT DISTINCT g.process_id FROM delivery_groups g JOIN campaign_runs r ON r.stream_id = g.stream_id
          WHERE r.id = ANY (${runs}::uuid[])`,
    )
  ).length;

/** Starts two campaigns and waits until most of the processes have a part of them. */
async function campaignsOfAllProcesses(): Promise<string[]> {
  const runs = [await world.startCampaign(SHORT_MAIL), await world.startCampaign(SHORT_MAIL)];
  await until('most processes send', async () => (await processesOf(runs)) > WORKERS / 2);
  return runs;
}

async function countIn(runs: string[], status: string): Promise<number> {
  const counts = await Promise.all(runs.map((runId) => world.counts(runId)));
  return counts.reduce((sum, { byStatus }) => sum + (byStatus[status] ?? 0), 0);
}

test.each([
  ['a day', { max_sends_per_day: 900 }, 900],
  ['24 hours', { max_sends_per_day: 2_000, max_sends_per_24_hours: 750 }, 750],
])(
  'over a limit of %s: exactly so many are sent by several processes, and the rest waits',
  async (_what, limits, most) => {
    await sink.reset();
    // Slow until the others have their parts: the first process must not have taken all before.
    const id = await provider({ ...limits, max_sends_per_second: 25 });
    const runs = await campaignsOfAllProcesses();
    const faster = await product.call('patch', `${PROVIDERS}/${id}`, { max_sends_per_second: 100 });
    expect(faster.status).toBe(200);
    await until('everybody has a row', async () => {
      const counts = await Promise.all(['QUEUED', 'SENDING', 'SENT'].map((status) => countIn(runs, status)));
      return counts.reduce((sum, n) => sum + n, 0) === 2 * CONTACTS;
    });
    // What a slow machine begins too late for its turn gives its unit back, and whoever takes it may be too late again.
    await until('the limit is reached', async () => (await countIn(runs, 'SENT')) >= most, 240_000);
    // Nobody begins another one.
    await sleep(2_000);
    expect([await countIn(runs, 'SENT'), await countIn(runs, 'QUEUED')]).toEqual([most, 2 * CONTACTS - most]);
    expect((await sink.counts()).messages).toBe(most);
    expect(await auditCapacity(world.db, world.workspaceId, new Date(0))).toEqual([]);
  },
  500_000,
);

/** Six seconds of all processes at 50 a second. */
const STRETCH = 300;

/** Most messages that were begun within any 200 ms at the server, in the quietest stretch up to now. */
async function mostIn200Ms(): Promise<number> {
  const begun = Object.values(await sink.tokens())
    .map((record) => record.begunAt)
    .sort((a, b) => a - b);
  const from = begun.map((at) => begun.filter((other) => other >= at && other < at + 200).length);
  const stretches = from.slice(0, Math.max(0, from.length - STRETCH + 1)).map((_, n) => from.slice(n, n + STRETCH));
  return Math.min(...stretches.map((counts) => Math.max(...counts)));
}

test('at 50 a second no 200 ms at the server hold more than 12 messages, whoever sends them', async () => {
  await sink.reset();
  await provider({ max_sends_per_second: 50 });
  await campaignsOfAllProcesses();
  // A machine on which the server itself stands still for a moment sees a burst that nobody sent: six seconds without
  // such a moment are looked for in all that is sent.
  let most = Number.POSITIVE_INFINITY;
  for (let sent = STRETCH; most > 12 && sent <= 2 * CONTACTS; sent += 100) {
    await until(`${sent} are sent`, async () => (await sink.counts()).messages >= sent);
    most = await mostIn200Ms();
  }
  expect(most).toBeLessThanOrEqual(12);
}, 300_000);
