import type { PermittedRouting } from '../../domain/senders';
import { many, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { CampaignWorld } from '../support/campaign-world';
import { NameServer } from '../support/name-server';
import { ScriptedSmtpServer } from '../support/scripted-smtp-server';
import {
  processEnvironment,
  spawnWorker,
  stopTestProcesses,
  temporalAddress,
  testDatabase,
  testNamespace,
  testSecrets,
} from '../support/stack';

const CONTENT = {
  subject: 'Hello {{ first_name }}',
  html: '<p>Hello</p><p><a href="{{ unsubscribe_url }}">Unsubscribe</a></p>',
  text: 'Hello\n{{ unsubscribe_url }}\n',
};
const CONTACTS = 400;

let api: TestApi;
let world: CampaignWorld;
let dropDatabase: () => Promise<void>;
let base: string;
let names: NameServer;
let counter = 0;
const servers: ScriptedSmtpServer[] = [];

beforeAll(async () => {
  const database = await testDatabase('routing');
  dropDatabase = () => database.drop();
  const namespace = await testNamespace('routing');
  const address = await temporalAddress();
  const secrets = testSecrets();
  const environment = await processEnvironment({ database, namespace, secrets, smtpUrl: 'smtp://127.0.0.1:9' });
  names = await NameServer.start({ 'corp.example.net': 'aspmx.l.google.com' });
  const private_ = { ALLOW_PRIVATE_SMTP: 'true', DNS_SERVERS: names.address };
  api = await startTestApi({
    databaseName: 'routing',
    database,
    temporal: { address, namespace },
    env: { ...secrets, ...private_ },
  });
  const connections = { workerUrl: database.workerUrl, temporalAddress: address, namespace };
  world = await CampaignWorld.create({ ...connections, suppressionKey: secrets.SALLY_SUPPRESSION_KEY }, CONTACTS);
  // The API's operator works for the world's workspace, too.
  await api.db.query(`INSERT INTO memberships (workspace_id, user_id, role) VALUES ($1, $2, 'operator')`, [
    world.workspaceId,
    api.workspace.people.operator.id,
  ]);
  base = `/workspaces/${world.workspaceId}/email-infrastructure`;
  await spawnWorker({ role: 'all', env: { ...environment, ...private_, LOG_LEVEL: 'warn' } });
}, 320_000);

afterEach(async () => {
  const ws = world.workspaceId;
  for (const table of ['sending_pool_members', 'sending_pools', 'dedicated_ips', 'sending_domain_providers']) {
    await world.db.query({ text: `DELETE FROM ${table} WHERE workspace_id = $1`, values: [ws] });
  }
  await world.db.query(
    sql`UPDATE sending_identities SET domain_id = NULL, declared = false WHERE workspace_id = ${ws}`,
  );
  await world.db.query(sql`DELETE FROM sending_domains WHERE workspace_id = ${ws}`);
  for (const server of servers.splice(0)) await server.stop();
});

afterAll(async () => {
  await stopTestProcesses();
  await names.stop();
  await world.close();
  await api.close();
  await dropDatabase();
});

async function post(path: string, body: unknown) {
  const response = await api.request('post', `${base}${path}`, { token: api.tokens.operator, body });
  expect(`${response.status} ${response.text}`).toMatch(/^20\d /);
  return response.body;
}

/** A server that accepts everything, unless its log-in is shut; and its provider. */
async function relay() {
  counter += 1;
  const door = { shut: false };
  const server = await ScriptedSmtpServer.start({
    login: { username: 'sally', password: 'p4ssw0rd' },
    script: ({ step }) => (step === 'auth' && door.shut ? '535 5.7.8 not now' : undefined),
  });
  servers.push(server);
  const { id } = await post('/providers', {
    name: `Relay ${counter}`,
    provider_type: 'SMTP',
    settings: { host: '127.0.0.1', port: server.port },
    credentials: { username: 'sally', password: 'p4ssw0rd' },
  });
  return { id, server, door };
}

async function pool(strategy: string, members: object[]): Promise<string> {
  counter += 1;
  const { id } = await post('/pools', { name: `Pool ${counter}`, strategy, members });
  return id;
}

/** Delivery processes remember a workspace's senders and pools for a second. */
const known = () => new Promise((resolve) => setTimeout(resolve, 1_200));

async function start(pool_id: string | null, more: Partial<PermittedRouting> = {}): Promise<string> {
  await known();
  const plain = { pool_id, strategy: null, preferred_providers: [], fallback_enabled: true, senders: [] };
  return world.startCampaign(CONTENT, { ...plain, ...more });
}

/** How many rows of a run were sent for which reason. */
async function reasons(runId: string): Promise<Record<string, number>> {
  const rows = await many<{ reason: string; n: number }>(
    world.db,
    sql`SELECT route_reason AS reason, count(*) AS n FROM deliveries WHERE source_id = ${runId} AND status = 'SENT' GROUP BY 1`,
  );
  return Object.fromEntries(rows.map(({ reason, n }) => [reason, n]));
}

async function until(condition: () => Promise<boolean>, seconds = 30): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error('it did not come to pass in time');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const sent = async (runId: string) => (await world.counts(runId)).byStatus.SENT ?? 0;
const breakerIsOpen = (id: string) =>
  until(async () => {
    const { body } = await api.request('get', `${base}/providers/${id}`, { token: api.tokens.operator });
    return body.breaker.state === 'OPEN';
  });

test('a weighted pool shares the messages out by weight, and each row says so', async () => {
  const [one, three] = [await relay(), await relay()];
  const id = await pool('weighted', [
    { provider_id: one.id, weight: 1 },
    { provider_id: three.id, weight: 3 },
  ]);
  const runId = await start(id);
  await world.untilSent(runId, 150_000);
  expect(one.server.accepted.length + three.server.accepted.length).toBe(CONTACTS);
  // Four standard deviations of 400 throws of 1 in 4.
  expect(Math.abs(one.server.accepted.length - 100)).toBeLessThan(35);
  expect(await reasons(runId)).toEqual({
    'weight 1': one.server.accepted.length,
    'weight 3': three.server.accepted.length,
  });
  const campaign = await world.db.query(sql`SELECT campaign_id AS id FROM campaign_runs WHERE id = ${runId}`);
  const ledger = `/workspaces/${world.workspaceId}/deliveries?limit=200&campaign_id=${campaign.rows[0]?.id}`;
  const { body } = await api.request('get', ledger, { token: api.tokens.operator });
  for (const { route } of body.items) {
    const way = { identity_id: expect.any(String), dedicated_ip_id: null };
    const reason = route.provider_id === one.id ? 'weight 1' : 'weight 3';
    expect(route).toEqual({ provider_id: expect.any(String), ...way, reason });
  }
  const lane = await many(
    world.db,
    sql`SELECT 1 FROM lanes WHERE workspace_id = ${world.workspaceId} AND kind = 'pool' AND key = ${id}`,
  );
  expect(lane).toHaveLength(1);
}, 320_000);

test('a round-robin shares them out evenly, whatever the weights', async () => {
  const [one, other] = [await relay(), await relay()];
  const id = await pool('weighted', [{ provider_id: one.id, weight: 9 }, { provider_id: other.id }]);
  const runId = await start(id, { strategy: 'round-robin' });
  await world.untilSent(runId, 150_000);
  expect(Math.abs(one.server.accepted.length - 200)).toBeLessThan(41);
  expect(one.server.accepted.length + other.server.accepted.length).toBe(CONTACTS);
}, 320_000);

test('by priority all takes the first, and the second once the first one’s breaker is open', async () => {
  const [first, second] = [await relay(), await relay()];
  const id = await pool('priority', [
    { provider_id: first.id, priority: 1 },
    { provider_id: second.id, priority: 2 },
  ]);
  const before = await start(id);
  await world.untilSent(before, 150_000);
  expect(await reasons(before)).toEqual({ 'priority 1': CONTACTS });
  first.door.shut = true;
  await api.request('patch', `${base}/providers/${first.id}`, {
    token: api.tokens.operator,
    body: { settings: { connections: 3 } },
  });
  const after = await start(id);
  await world.untilSent(after, 150_000);
  expect(await reasons(after)).toEqual({ 'priority 2; failover: BREAKER_OPEN': CONTACTS });
  expect(second.server.accepted).toHaveLength(CONTACTS);
  expect(second.server.duplicates()).toEqual([]);
}, 320_000);

test('without fallback messages wait for their first choice, and others are not held up', async () => {
  const [shut, open] = [await relay(), await relay()];
  shut.door.shut = true;
  const id = await pool('weighted', [{ provider_id: shut.id }, { provider_id: open.id }]);
  const runId = await start(id, { fallback_enabled: false });
  await breakerIsOpen(shut.id);
  await until(async () => (await sent(runId)) === open.server.accepted.length && open.server.accepted.length > 150);
  await known();
  const waiting = CONTACTS - (await sent(runId));
  expect(waiting).toBeGreaterThan(150);
  shut.door.shut = false;
  await post(`/providers/${shut.id}/breaker/reset`, undefined);
  await world.untilSent(runId, 150_000);
  expect(shut.server.accepted).toHaveLength(waiting);
  expect(await reasons(runId)).toEqual({ 'weight 1': CONTACTS });
}, 320_000);

test('mail never moves to a provider that its domain does not name', async () => {
  const [named, other] = [await relay(), await relay()];
  await post('/domains', { domain: 'sender.example', providers: [{ provider_id: named.id, dkim: true, spf: true }] });
  named.door.shut = true;
  const id = await pool('priority', [
    { provider_id: named.id, priority: 1 },
    { provider_id: other.id, priority: 2 },
  ]);
  const runId = await start(id);
  await breakerIsOpen(named.id);
  await known();
  expect([await sent(runId), other.server.accepted.length]).toEqual([0, 0]);
  named.door.shut = false;
  await post(`/providers/${named.id}/breaker/reset`, undefined);
  await world.untilSent(runId, 150_000);
  expect([named.server.accepted.length, other.server.accepted.length]).toEqual([CONTACTS, 0]);
}, 320_000);

test('members meant for a mailbox provider get its recipients', async () => {
  const [general, gmail] = [await relay(), await relay()];
  const id = await pool('priority', [
    { provider_id: general.id, priority: 1 },
    { provider_id: gmail.id, mx_groups: ['gmail'] },
  ]);
  await world.untilSent(await start(id), 150_000);
  const isGmail = ({ to }: { to: string }) => to.includes('@gmail.com');
  expect(gmail.server.accepted.filter(isGmail).length).toBeGreaterThan(100);
  expect(general.server.accepted.some(isGmail)).toBe(false);
  expect(general.server.accepted.length + gmail.server.accepted.length).toBe(CONTACTS);
  // What nobody waited for is known by now: a domain of its own whose mail Google runs.
  await until(() => Promise.resolve(names.asked.includes('corp.example.net')));
  const before = gmail.server.accepted.length;
  await world.untilSent(await start(id), 150_000);
  const now = gmail.server.accepted.slice(before);
  expect(new Set(now.map(({ to }) => to.replace(/.*@/, '').replace('>', '')))).toEqual(
    new Set(['gmail.com', 'corp.example.net']),
  );
}, 320_000);

test('a member with an identity sends from it if the approval permits it, and its domain’s day is never exceeded', async () => {
  const [one, two] = [await relay(), await relay()];
  await post('/domains', { domain: 'small.example', daily_limit: 70 });
  const identity = await post('/identities', { email: 'us@small.example', display_name: 'Us' });
  const id = await pool('priority', [
    { provider_id: one.id, identity_id: identity.id, priority: 1 },
    { provider_id: two.id, priority: 2 },
  ]);
  const forbidden = await start(id);
  await world.untilSent(forbidden, 150_000);
  expect([one.server.accepted.length, two.server.accepted.length]).toEqual([0, CONTACTS]);
  const senders = [{ email: 'us@small.example', name: 'Us', reply_to: 'help@small.example' }];
  const runId = await start(id, { senders });
  await world.untilSent(runId, 150_000);
  expect(one.server.accepted).toHaveLength(70);
  for (const { raw, from } of one.server.accepted) {
    expect(from).toContain('us@small.example');
    expect(raw).toMatch(/^From: "?Us"? <us@small\.example>\r$/m);
    expect(raw).toMatch(/^Reply-To: .*help@small\.example/m);
  }
  expect(two.server.accepted.slice(CONTACTS).every(({ raw }) => raw.includes('news@sender.example'))).toBe(true);
  expect(await reasons(runId)).toEqual({ 'priority 1': 70, 'priority 2; failover: CAPACITY': CONTACTS - 70 });
}, 320_000);

test('a dedicated IP is used the way its provider wants to be told', async () => {
  const [main, ip] = [await relay(), await relay()];
  const dedicated = await post('/dedicated-ips', {
    provider_id: main.id,
    ip_address: '192.0.2.7',
    egress: { port: ip.server.port },
  });
  const id = await pool('priority', [
    { provider_id: main.id, dedicated_ip_id: dedicated.id, priority: 1 },
    { provider_id: main.id, priority: 2 },
  ]);
  await world.untilSent(await start(id), 150_000);
  expect([ip.server.accepted.length, main.server.accepted.length]).toEqual([CONTACTS, 0]);
  await api.request('patch', `${base}/dedicated-ips/${dedicated.id}`, {
    token: api.tokens.operator,
    body: { status: 'PAUSED' },
  });
  await world.untilSent(await start(id), 150_000);
  expect([ip.server.accepted.length, main.server.accepted.length]).toEqual([CONTACTS, CONTACTS]);
}, 320_000);
