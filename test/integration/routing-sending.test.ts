import type { PermittedRouting } from '../../domain/senders';
import { many, one, sql } from '../../platform/postgres';
import { type CampaignWorld, SHORT_MAIL } from '../support/campaign-world';
import { NameServer } from '../support/name-server';
import { type SendingProduct, startSendingProduct } from '../support/product';
import { ScriptedSmtpServer } from '../support/scripted-smtp-server';
import { noonToday, setClock } from '../support/sequence-world';
import { sleep, until } from '../support/until';

const CONTACTS = 400;
const SENDERS = '/email-infrastructure';

let product: SendingProduct;
let world: CampaignWorld;
let names: NameServer;
let counter = 0;
const servers: ScriptedSmtpServer[] = [];

beforeAll(async () => {
  names = await NameServer.start({ 'corp.example.net': 'aspmx.l.google.com' });
  product = await startSendingProduct({
    name: 'routing',
    contacts: CONTACTS,
    role: 'operator',
    env: { ALLOW_PRIVATE_SMTP: 'true', DNS_SERVERS: names.address },
    workerEnv: { SMTP_URL: 'smtp://127.0.0.1:9' },
  });
  ({ world } = product);
  await setClock(product.api, noonToday());
});

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
  await product.close();
  await names.stop();
});

async function post(path: string, body: unknown) {
  const response = await product.call('post', `${SENDERS}${path}`, body);
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
const known = () => sleep(1_200);

async function start(pool_id: string | null, more: Partial<PermittedRouting> = {}): Promise<string> {
  await known();
  const plain = { pool_id, strategy: null, preferred_providers: [], fallback_enabled: true, senders: [] };
  return world.startCampaign(SHORT_MAIL, { ...plain, ...more });
}

/** How many rows of a run were sent for which reason. */
async function reasons(runId: string): Promise<Record<string, number>> {
  const rows = await many<{ reason: string; n: number }>(
    world.db,
    sql`SELECT route_reason AS reason, count(*) AS n FROM deliveries WHERE source_id = ${runId} AND status = 'SENT' GROUP BY 1`,
  );
  return Object.fromEntries(rows.map(({ reason, n }) => [reason, n]));
}

const mxGroupOf = async (domain: string) =>
  (await one<{ mx_group: string }>(world.db, sql`SELECT mx_group FROM mx_lookups WHERE domain = ${domain}`))?.mx_group;

const sent = async (runId: string) => (await world.counts(runId)).byStatus.SENT ?? 0;
const breakerIsOpen = (id: string) =>
  until(
    'the breaker is open',
    async () => (await product.call('get', `${SENDERS}/providers/${id}`)).body.breaker.state === 'OPEN',
  );

test('a weighted pool shares the messages out by weight, and each row says so', async () => {
  const [one, three] = [await relay(), await relay()];
  const id = await pool('weighted', [
    { provider_id: one.id, weight: 1 },
    { provider_id: three.id, weight: 3 },
  ]);
  const runId = await start(id);
  await world.untilSent(runId);
  expect(one.server.accepted.length + three.server.accepted.length).toBe(CONTACTS);
  // Five standard deviations of 400 throws of 1 in 4.
  expect(Math.abs(one.server.accepted.length - 100)).toBeLessThan(44);
  expect(await reasons(runId)).toEqual({
    'weight 1': one.server.accepted.length,
    'weight 3': three.server.accepted.length,
  });
  const campaign = await world.db.query(sql`SELECT campaign_id AS id FROM campaign_runs WHERE id = ${runId}`);
  const { body } = await product.call('get', `/deliveries?limit=200&campaign_id=${campaign.rows[0]?.id}`);
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
});

test('a round-robin shares them out evenly, whatever the weights', async () => {
  const [one, other] = [await relay(), await relay()];
  const id = await pool('weighted', [{ provider_id: one.id, weight: 9 }, { provider_id: other.id }]);
  const runId = await start(id, { strategy: 'round-robin' });
  await world.untilSent(runId);
  // Five standard deviations of 400 throws of a coin.
  expect(Math.abs(one.server.accepted.length - 200)).toBeLessThan(51);
  expect(one.server.accepted.length + other.server.accepted.length).toBe(CONTACTS);
});

test('by priority all takes the first, and the second once the first one’s breaker is open', async () => {
  const [first, second] = [await relay(), await relay()];
  const id = await pool('priority', [
    { provider_id: first.id, priority: 1 },
    { provider_id: second.id, priority: 2 },
  ]);
  const before = await start(id);
  await world.untilSent(before);
  expect(await reasons(before)).toEqual({ 'priority 1': CONTACTS });
  first.door.shut = true;
  await product.call('patch', `${SENDERS}/providers/${first.id}`, { settings: { connections: 3 } });
  const after = await start(id);
  await world.untilSent(after);
  expect(await reasons(after)).toEqual({ 'priority 2; failover: BREAKER_OPEN': CONTACTS });
  expect(second.server.accepted).toHaveLength(CONTACTS);
  expect(second.server.duplicates()).toEqual([]);
});

test('without fallback messages wait for their first choice, and others are not held up', async () => {
  const [shut, open] = [await relay(), await relay()];
  shut.door.shut = true;
  const id = await pool('weighted', [{ provider_id: shut.id }, { provider_id: open.id }]);
  const runId = await start(id, { fallback_enabled: false });
  await breakerIsOpen(shut.id);
  // Half of them, less five standard deviations.
  await until('the open one has most of its own', () => open.server.accepted.length > 150);
  await known();
  shut.door.shut = false;
  await post(`/providers/${shut.id}/breaker/reset`, undefined);
  await world.untilSent(runId);
  // All the others waited: who goes to a second choice says so in the reason.
  expect(await reasons(runId)).toEqual({ 'weight 1': CONTACTS });
  expect(shut.server.accepted).toHaveLength(CONTACTS - open.server.accepted.length);
  expect(shut.server.accepted.length).toBeGreaterThan(150);
});

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
  await world.untilSent(runId);
  expect([named.server.accepted.length, other.server.accepted.length]).toEqual([CONTACTS, 0]);
});

test('mail that waits since no active provider is aligned with its From says so, until it goes on', async () => {
  const [named, other] = [await relay(), await relay()];
  await post('/domains', { domain: 'sender.example', providers: [{ provider_id: named.id, dkim: true, spf: true }] });
  await product.call('patch', `${SENDERS}/providers/${named.id}`, { is_active: false });
  const id = await pool('priority', [
    { provider_id: named.id, priority: 1 },
    { provider_id: other.id, priority: 2 },
  ]);
  const runId = await start(id);
  const alerts = () =>
    many<{ details: Record<string, string>; resolved_at: Date | null }>(
      world.db,
      sql`SELECT a.details, a.resolved_at FROM alerts a JOIN campaign_runs r ON r.stream_id::text = a.details->>'stream_id'
          WHERE a.kind = 'sender-unaligned' AND r.id = ${runId}`,
    );
  await until('an alert says so', async () => (await alerts()).length === 1);
  expect(await alerts()).toMatchObject([{ details: { from_domain: 'sender.example' }, resolved_at: null }]);
  expect(await sent(runId)).toBe(0);
  await product.call('patch', `${SENDERS}/providers/${named.id}`, { is_active: true });
  await world.untilSent(runId);
  expect([named.server.accepted.length, other.server.accepted.length]).toEqual([CONTACTS, 0]);
  await until('the alert is resolved', async () => (await alerts())[0]?.resolved_at !== null);
  expect(await alerts()).toHaveLength(1);
});

test('members meant for a mailbox provider get its recipients', async () => {
  const [general, gmail] = [await relay(), await relay()];
  const id = await pool('priority', [
    { provider_id: general.id, priority: 1 },
    { provider_id: gmail.id, mx_groups: ['gmail'] },
  ]);
  await world.untilSent(await start(id));
  const isGmail = ({ to }: { to: string }) => to.includes('@gmail.com');
  expect(gmail.server.accepted.filter(isGmail).length).toBeGreaterThan(100);
  expect(general.server.accepted.some(isGmail)).toBe(false);
  expect(general.server.accepted.length + gmail.server.accepted.length).toBe(CONTACTS);
  // What nobody waited for is known by now: a domain of its own whose mail Google runs.
  await until('its mailbox provider was found', async () => (await mxGroupOf('corp.example.net')) === 'gmail');
  expect(names.asked).toContain('corp.example.net');
  const before = gmail.server.accepted.length;
  await world.untilSent(await start(id));
  const now = gmail.server.accepted.slice(before);
  expect(new Set(now.map(({ to }) => to.replace(/.*@/, '').replace('>', '')))).toEqual(
    new Set(['gmail.com', 'corp.example.net']),
  );
});

test('a member with an identity sends from it if the approval permits it, and its domain’s day is never exceeded', async () => {
  const [one, two] = [await relay(), await relay()];
  await post('/domains', { domain: 'small.example', daily_limit: 70 });
  const identity = await post('/identities', { email: 'us@small.example', display_name: 'Us' });
  const id = await pool('priority', [
    { provider_id: one.id, identity_id: identity.id, priority: 1 },
    { provider_id: two.id, priority: 2 },
  ]);
  const forbidden = await start(id);
  await world.untilSent(forbidden);
  expect([one.server.accepted.length, two.server.accepted.length]).toEqual([0, CONTACTS]);
  const senders = [{ email: 'us@small.example', name: 'Us', reply_to: 'help@small.example' }];
  const runId = await start(id, { senders });
  await world.untilSent(runId);
  expect(one.server.accepted).toHaveLength(70);
  for (const { raw, from } of one.server.accepted) {
    expect(from).toContain('us@small.example');
    expect(raw).toMatch(/^From: "?Us"? <us@small\.example>\r$/m);
    expect(raw).toMatch(/^Reply-To: .*help@small\.example/m);
  }
  expect(two.server.accepted.slice(CONTACTS).every(({ raw }) => raw.includes('news@sender.example'))).toBe(true);
  expect(await reasons(runId)).toEqual({ 'priority 1': 70, 'priority 2; failover: CAPACITY': CONTACTS - 70 });
});

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
  await world.untilSent(await start(id));
  expect([ip.server.accepted.length, main.server.accepted.length]).toEqual([CONTACTS, 0]);
  await product.call('patch', `${SENDERS}/dedicated-ips/${dedicated.id}`, { status: 'PAUSED' });
  await world.untilSent(await start(id));
  expect([ip.server.accepted.length, main.server.accepted.length]).toEqual([CONTACTS, CONTACTS]);
});

test('a wrong log-in of one IP holds that IP alone, harms nobody, and its mail goes by the other', async () => {
  counter += 1;
  const users = ['ip-1', 'ip-2'].map((username) => ({ username, password: `${username} s3cret` }));
  const server = await ScriptedSmtpServer.start({ login: users });
  servers.push(server);
  const provider = await post('/providers', {
    name: `Relay ${counter}`,
    provider_type: 'SMTP',
    settings: { host: '127.0.0.1', port: server.port, connections: 2 },
    credentials: users[0],
  });
  const ips = await Promise.all(
    users.map((credentials, position) =>
      post('/dedicated-ips', { provider_id: provider.id, ip_address: `192.0.2.${40 + position}`, credentials }),
    ),
  );
  const id = await pool(
    'weighted',
    ips.map((ip) => ({ provider_id: provider.id, dedicated_ip_id: ip.id })),
  );
  const [wrong] = ips;
  const path = `${SENDERS}/dedicated-ips/${wrong.id}`;
  await product.call('patch', path, { credentials: { username: 'ip-1', password: 'wrong' } });
  const runId = await start(id);
  await world.untilSent(runId);
  expect(server.accepted.map(({ username }) => username)).toEqual(Array(CONTACTS).fill('ip-2'));
  expect(server.duplicates()).toEqual([]);
  const open = async () =>
    (await product.call('get', `${SENDERS}/breakers`)).body.breakers.filter(
      (breaker: { provider_id: string }) => breaker.provider_id === provider.id,
    );
  expect(await open()).toMatchObject([
    { provider_id: provider.id, from_email: null, dedicated_ip_id: wrong.id, reason: 'AUTHENTICATION' },
  ]);
  expect((await product.call('get', `${SENDERS}/providers/${provider.id}`)).body.breaker.state).toBe('CLOSED');
  const harmed = await many(
    world.db,
    sql`SELECT 1 FROM deliveries WHERE source_id = ${runId} AND (attempts <> 0 OR status <> 'SENT')
        UNION ALL SELECT 1 FROM suppressions WHERE workspace_id = ${world.workspaceId} AND reason = 'BOUNCE'`,
  );
  expect(harmed).toEqual([]);
  // Who would have gone by the first says why it did not.
  const why = await reasons(runId);
  expect((why['weight 1'] ?? 0) + (why['weight 1; failover: BREAKER_OPEN'] ?? 0)).toBe(CONTACTS);
  expect(why['weight 1; failover: BREAKER_OPEN']).toBeGreaterThan(0);
  // With the right one its next message is its probe, and it takes its share again.
  await product.call('patch', path, { credentials: users[0] });
  await world.untilSent(await start(id));
  const byIp = server.accepted.slice(CONTACTS).map(({ username }) => username);
  expect(new Set(byIp)).toEqual(new Set(['ip-1', 'ip-2']));
  expect(await open()).toEqual([]);
});

test('two IPs of a relay that chooses them by user: each message logs in as its IP', async () => {
  counter += 1;
  const users = ['ip-1', 'ip-2'].map((username) => ({ username, password: `${username} s3cret` }));
  const own = { username: 'sally', password: 'p4ssw0rd' };
  const server = await ScriptedSmtpServer.start({ login: [own, ...users] });
  servers.push(server);
  const provider = await post('/providers', {
    name: `Relay ${counter}`,
    provider_type: 'SMTP',
    settings: { host: '127.0.0.1', port: server.port, connections: 2 },
    credentials: own,
  });
  const ips = await Promise.all(
    users.map((credentials, position) =>
      post('/dedicated-ips', { provider_id: provider.id, ip_address: `192.0.2.${20 + position}`, credentials }),
    ),
  );
  const id = await pool(
    'weighted',
    ips.map((ip) => ({ provider_id: provider.id, dedicated_ip_id: ip.id })),
  );
  const runId = await start(id);
  await world.untilSent(runId);
  const byUser = (username: string, from = 0) =>
    server.accepted.slice(from).filter((message) => message.username === username);
  expect(byUser('ip-1').length + byUser('ip-2').length).toBe(CONTACTS);
  // Five standard deviations of 400 throws of a coin.
  expect(Math.abs(byUser('ip-1').length - 200)).toBeLessThan(51);
  const rows = await many<{ ip: string; n: number }>(
    world.db,
    sql`SELECT r.ip_id AS ip, count(*)::integer AS n FROM deliveries d
        JOIN routes r ON r.workspace_id = d.workspace_id AND r.id = d.route_id WHERE d.source_id = ${runId} GROUP BY 1`,
  );
  expect(Object.fromEntries(rows.map(({ ip, n }) => [ip, n]))).toEqual({
    [ips[0].id]: byUser('ip-1').length,
    [ips[1].id]: byUser('ip-2').length,
  });
  // Without a log-in of its own an IP logs in as its provider does.
  await product.call('patch', `${SENDERS}/dedicated-ips/${ips[1].id}`, {
    credentials: null,
    egress: { port: server.port },
  });
  await world.untilSent(await start(id));
  expect(byUser('ip-2', CONTACTS)).toEqual([]);
  expect(byUser('ip-1', CONTACTS).length + byUser('sally', CONTACTS).length).toBe(CONTACTS);
  expect(byUser('sally', CONTACTS).length).toBeGreaterThan(100);
});
