import { many, one, sql } from '../../platform/postgres';
import { SHORT_MAIL } from '../support/campaign-world';
import { type SendingProduct, startSendingProduct } from '../support/product';
import { ScriptedSmtpServer } from '../support/scripted-smtp-server';
import { setClock } from '../support/sequence-world';
import { spawnWorker, stopTestProcesses } from '../support/stack';
import { until } from '../support/until';

const CONTACTS = 300;
/** Behind what is read ahead of the other mailbox providers, so that claims under way at once do not decide who is left. */
const PER_DAY = 280;
const ENV = { ALLOW_PRIVATE_SMTP: 'true', DELIVERY_GROUP_SIZE: '8' };

let product: SendingProduct;
let server: ScriptedSmtpServer;
let relay: object;

beforeAll(async () => {
  server = await ScriptedSmtpServer.start({});
  relay = { name: 'Relay', provider_type: 'SMTP', settings: { host: '127.0.0.1', port: server.port, tls: 'off' } };
  product = await startSendingProduct({
    name: 'forecast',
    contacts: CONTACTS,
    role: 'owner',
    env: ENV,
    workers: [],
  });
  await product.api.db.query(
    sql`UPDATE workspaces SET time_zone = 'Europe/Berlin' WHERE id = ${product.world.workspaceId}`,
  );
});

afterAll(async () => {
  await product.close();
  await server.stop();
});

async function post(path: string, body?: object) {
  const response = await product.call('post', path, body);
  expect(`${response.status} ${response.text}`).toMatch(/^20\d /);
  return response.body;
}

/**
 * Workers that begin at this moment, as they stand at midnight: what they had closed until then is open. Returns by how
 * many minutes of the rules' clock they were ready later.
 */
async function workersAt(moment: string): Promise<number> {
  await stopTestProcesses();
  await setClock(product.api, moment);
  const env = { ...product.api.environment, ...ENV, LOG_LEVEL: 'warn' };
  await spawnWorker({ role: 'all', env });
  const clock = await one<{ now: Date }>(product.api.db, sql`SELECT sally_now() AS now`);
  return ((clock?.now.getTime() ?? Number.NaN) - Date.parse(moment)) / 60_000;
}

interface Part {
  date: string;
  mx_group: string;
  messages: number;
  first_at: string;
  last_at: string;
}

const nameOf = (part: { date: string; mx_group: string }) => `${part.date} ${part.mx_group}`;

/** A campaign that is due and has not begun, since nobody works, and what is foretold of it. */
async function foretold() {
  const runId = await product.world.startCampaign(SHORT_MAIL);
  const run = await one<{ campaign_id: string }>(
    product.api.db,
    sql`SELECT campaign_id FROM campaign_runs WHERE id = ${runId}`,
  );
  const path = `/email-marketing/campaigns/${run?.campaign_id}`;
  const found = await post(`${path}/forecast`, { days: 3 });
  expect(found).toMatchObject({ status: 'SCHEDULED', messages: CONTACTS, sent: CONTACTS, is_estimate: false });
  return { runId, path, parts: found.parts as Part[] };
}

/**
 * The parts as the ledger tells them must be those that were foretold: in number, and within two minutes besides those
 * in which there were no workers.
 */
async function expectToldByLedger(runId: string, parts: Part[], withoutWorkers: number): Promise<void> {
  const happened = await many<{ date: string; mx_group: string; n: number; first_at: Date; last_at: Date }>(
    product.api.db,
    sql`SELECT (sent_at AT TIME ZONE 'Europe/Berlin')::date::text AS date, mx_group, count(*) AS n,
          min(sent_at) AS first_at, max(sent_at) AS last_at
        FROM deliveries WHERE source_id = ${runId} AND status = 'SENT' GROUP BY 1, 2`,
  );
  const counts = (of: { date: string; mx_group: string; messages: number }[]) =>
    Object.fromEntries(of.map((part) => [nameOf(part), part.messages]).sort());
  expect(counts(happened.map(({ n, ...part }) => ({ ...part, messages: n })))).toEqual(counts(parts));
  const late = happened.flatMap((part) => {
    const told = parts.find((candidate) => nameOf(candidate) === nameOf(part));
    const minutes = (at: Date, toldAt = '') => Math.abs(at.getTime() - Date.parse(toldAt)) / 60_000;
    const most = Math.max(minutes(part.first_at, told?.first_at), minutes(part.last_at, told?.last_at));
    return most > 2 + withoutWorkers ? [{ part: nameOf(part), most }] : [];
  });
  expect(late).toEqual([]);
}

test('over a daily limit the forecast is what the ledger then tells, by day and mailbox provider', async () => {
  const noon = '2027-03-02T12:00:00+01:00';
  await setClock(product.api, noon);
  await post('/email-infrastructure/providers', { ...relay, max_sends_per_day: PER_DAY });
  const { runId, path, parts } = await foretold();
  expect(new Set(parts.map(({ date }) => date))).toEqual(new Set(['2027-03-02', '2027-03-03']));
  const late = await workersAt(noon);
  const sent = async () => (await product.world.counts(runId)).byStatus.SENT ?? 0;
  await until('the first day’s messages are sent', async () => (await sent()) >= PER_DAY);
  const lateAgain = await workersAt('2027-03-03T00:00:00+01:00');
  // Wakes the lane, which sleeps on the engine's clock.
  await post(`${path}/pause`);
  await post(`${path}/resume`);
  await product.world.untilSent(runId);
  await expectToldByLedger(runId, parts, Math.max(late, lateAgain));
}, 400_000);

test('at a rate each part begins and ends when it was foretold', async () => {
  await stopTestProcesses();
  await product.api.db.query(sql`
    UPDATE providers SET max_sends_per_day = NULL, max_sends_per_second = 20, version = version + 1
    WHERE workspace_id = ${product.world.workspaceId}`);
  const noon = '2027-03-04T12:00:00+01:00';
  await setClock(product.api, noon);
  const { runId, parts } = await foretold();
  const times = parts.flatMap((part) => [Date.parse(part.first_at), Date.parse(part.last_at)]);
  expect((Math.max(...times) - Math.min(...times)) / 1_000).toBeCloseTo(CONTACTS / 20, 0);
  const late = await workersAt(noon);
  await product.world.untilSent(runId);
  await expectToldByLedger(runId, parts, late);
}, 400_000);
