import { generateKeyPairSync } from 'node:crypto';
import { startTestApi, type TestApi } from '../support/api';
import { CampaignWorld } from '../support/campaign-world';
import { API_RIGS } from '../support/provider-rigs';
import { ScriptedHttpServer } from '../support/scripted-http-server';
import { ScriptedSmtpServer, type StepContext } from '../support/scripted-smtp-server';
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
const CONTACTS = 60;
const LOGIN = { username: 'sally', password: 'p4ssw0rd' };

let api: TestApi;
let world: CampaignWorld;
let dropDatabase: () => Promise<void>;
let fallback: ScriptedSmtpServer;
let base: string;

beforeAll(async () => {
  const database = await testDatabase('sending');
  dropDatabase = () => database.drop();
  const namespace = await testNamespace('sending');
  const address = await temporalAddress();
  const secrets = testSecrets();
  fallback = await ScriptedSmtpServer.start();
  const env = {
    ...(await processEnvironment({ database, namespace, secrets, smtpUrl: `smtp://127.0.0.1:${fallback.port}` })),
    ALLOW_PRIVATE_SMTP: 'true',
    LOG_LEVEL: 'warn',
  };
  api = await startTestApi({
    databaseName: 'sending',
    database,
    temporal: { address, namespace },
    env: { ...secrets, ALLOW_PRIVATE_SMTP: 'true' },
  });
  world = await CampaignWorld.create(
    {
      workerUrl: database.workerUrl,
      temporalAddress: address,
      namespace,
      suppressionKey: secrets.SALLY_SUPPRESSION_KEY,
    },
    CONTACTS,
  );
  // The API's operator works for the world's workspace, too.
  await api.db.query(`INSERT INTO memberships (workspace_id, user_id, role) VALUES ($1, $2, 'operator')`, [
    world.workspaceId,
    api.workspace.people.operator.id,
  ]);
  base = `/workspaces/${world.workspaceId}/email-infrastructure/providers`;
  await spawnWorker({ role: 'all', env });
}, 120_000);

afterAll(async () => {
  await stopTestProcesses();
  await fallback.stop();
  await world.close();
  await api.close();
  await dropDatabase();
});

let counter = 0;
const servers: ScriptedSmtpServer[] = [];
const providers: string[] = [];

async function relay(options?: ConstructorParameters<typeof ScriptedSmtpServer>[0]): Promise<ScriptedSmtpServer> {
  const server = await ScriptedSmtpServer.start({ login: LOGIN, ...options });
  servers.push(server);
  return server;
}

afterEach(async () => {
  for (const id of providers.splice(0)) await api.request('delete', `${base}/${id}`, { token: api.tokens.operator });
  for (const server of servers.splice(0)) await server.stop();
});

/** Delivery processes remember a workspace's senders for a second. */
const known = () => new Promise((resolve) => setTimeout(resolve, 1_200));

async function addProvider(server: ScriptedSmtpServer, more: Record<string, unknown> = {}): Promise<string> {
  counter += 1;
  const { settings = {}, credentials = {}, ...rest } = more;
  const body = {
    name: `Relay ${counter}`,
    provider_type: 'SMTP',
    settings: { host: '127.0.0.1', port: server.port, ...Object(settings) },
    credentials: { ...LOGIN, ...Object(credentials) },
    ...rest,
  };
  const response = await api.request('post', base, { token: api.tokens.operator, body });
  expect(response.status).toBe(201);
  providers.push(response.body.id);
  await known();
  return response.body.id;
}

const change = (id: string, body: object) =>
  api.request('patch', `${base}/${id}`, { token: api.tokens.operator, body });
const show = async (id: string) => (await api.request('get', `${base}/${id}`, { token: api.tokens.operator })).body;

async function counts(runId: string): Promise<Record<string, number>> {
  return (await world.counts(runId)).byStatus;
}

async function until(condition: () => Promise<boolean>, seconds = 30): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error('it did not come to pass in time');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const allSent = (runId: string) => until(async () => (await counts(runId)).SENT === CONTACTS);
const slowDot = ({ step }: StepContext) => (step === 'dot' ? { delayMs: 60 } : undefined);

describe('a campaign', () => {
  test('of a workspace without a provider leaves by the fallback sender', async () => {
    const runId = await world.startCampaign(CONTENT);
    await allSent(runId);
    expect(fallback.accepted).toHaveLength(CONTACTS);
    expect(fallback.duplicates()).toEqual([]);
  }, 60_000);

  test('leaves by the provider, logged in, and never has more open than its window', async () => {
    const server = await relay({ script: slowDot });
    await addProvider(server, { settings: { window: 3 } });
    const before = fallback.accepted.length;
    const runId = await world.startCampaign(CONTENT);
    let most = 0;
    await until(async () => {
      const { SENDING = 0, SENT = 0 } = await counts(runId);
      most = Math.max(most, SENDING);
      return SENT === CONTACTS;
    });
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(3);
    expect(server.tokens.size).toBe(CONTACTS);
    expect(fallback.accepted).toHaveLength(before);
  }, 60_000);

  test('is signed with the key of its provider', async () => {
    const server = await relay();
    const privateKey = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    await addProvider(server, {
      settings: { dkim: { domain: 'sender.example', selector: 's1' } },
      credentials: { dkim_private_key: privateKey },
    });
    const runId = await world.startCampaign(CONTENT);
    await allSent(runId);
    expect(server.accepted).toHaveLength(CONTACTS);
    for (const { raw } of server.accepted) {
      expect(raw).toMatch(/^DKIM-Signature: [\s\S]*?d=sender\.example;[\s\S]*?s=s1;/m);
    }
  }, 60_000);

  test('stops at the daily limit and goes on when it is raised', async () => {
    const server = await relay();
    const provider = await addProvider(server, { max_sends_per_day: 25 });
    const runId = await world.startCampaign(CONTENT);
    await until(async () => (await counts(runId)).SENT === 25);
    // Long enough for another group, if there were one.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(await counts(runId)).toMatchObject({ SENT: 25, QUEUED: CONTACTS - 25 });
    expect(server.accepted).toHaveLength(25);
    expect(await show(provider)).toMatchObject({ current_daily_sends: 25, max_sends_per_day: 25 });
    await change(provider, { max_sends_per_day: 1_000 });
    await allSent(runId);
    expect(await show(provider)).toMatchObject({ current_daily_sends: CONTACTS });
  }, 60_000);

  test('waits behind an open breaker without harm to anybody and goes on with the right password', async () => {
    const server = await relay();
    const provider = await addProvider(server, { credentials: { password: 'wrong' } });
    const before = fallback.accepted.length;
    const runId = await world.startCampaign(CONTENT);
    await until(async () => (await show(provider)).breaker.state === 'OPEN');
    expect((await show(provider)).breaker.reason).toBe('AUTHENTICATION');
    await change(provider, { credentials: { password: LOGIN.password } });
    await allSent(runId);
    expect(server.tokens.size).toBe(CONTACTS);
    expect(fallback.accepted).toHaveLength(before);
    const { rows } = await world.db.query<{ attempts: number }>(
      'SELECT max(attempts)::int AS attempts FROM deliveries WHERE source_id = $1',
      [runId],
    );
    expect(rows).toEqual([{ attempts: 0 }]);
    expect((await show(provider)).breaker.state).toBe('CLOSED');
    const alerts = await world.db.query('SELECT resolved_at FROM alerts WHERE cause = $1', [provider]);
    expect(alerts.rows).toEqual([{ resolved_at: expect.any(Date) }]);
  }, 90_000);
});

describe.each(API_RIGS.map((rig) => [rig.name, rig] as const))('a campaign by the API of %s', (_name, rig) => {
  test('goes to everybody once, each with its tag', async () => {
    const server = await ScriptedHttpServer.start();
    try {
      let taken = 0;
      server.reply = (request) => {
        taken += 1;
        return rig.says('accepted', request, `id ${taken}`);
      };
      counter += 1;
      const body = { name: `API ${counter}`, ...rig.provider(server.url) };
      const made = await api.request('post', base, { token: api.tokens.operator, body });
      expect(made.status).toBe(201);
      providers.push(made.body.id);
      await known();
      const before = fallback.accepted.length;
      const runId = await world.startCampaign(CONTENT);
      await allSent(runId);
      expect(fallback.accepted).toHaveLength(before);

      const arrived = server.requests.flatMap((request) => rig.arrived(request));
      expect(arrived).toHaveLength(CONTACTS);
      const { rows } = await world.db.query<{ tag: string; provider_message_id: string }>(
        `SELECT replace(source_id || '.' || id, '-', '') AS tag, provider_message_id FROM deliveries WHERE source_id = $1`,
        [runId],
      );
      expect(new Set(arrived.map(({ correlation }) => correlation))).toEqual(new Set(rows.map(({ tag }) => tag)));
      expect(rows.every((row) => /^id \d+$/.test(row.provider_message_id))).toBe(true);
      // The personal part arrived whichever way the message was put together.
      const text = arrived[0]?.mime?.toString('utf8') ?? JSON.stringify(arrived[0]?.parts);
      expect(text).toContain('Unsubscribe');
      expect(text).toContain('List-Unsubscribe-Post');
    } finally {
      await server.stop();
    }
  }, 60_000);

  test('whose key is refused harms nobody and goes on with the right one', async () => {
    const server = await ScriptedHttpServer.start();
    try {
      let good = false;
      server.reply = (request) => rig.says(good ? 'accepted' : 'bad-credentials', request);
      counter += 1;
      const body = { name: `API ${counter}`, ...rig.provider(server.url) };
      const made = await api.request('post', base, { token: api.tokens.operator, body });
      providers.push(made.body.id);
      await known();
      const runId = await world.startCampaign(CONTENT);
      await until(async () => (await show(made.body.id)).breaker.state === 'OPEN');
      expect((await show(made.body.id)).breaker.reason).toBe('AUTHENTICATION');
      good = true;
      await change(made.body.id, { credentials: rig.provider(server.url).credentials });
      await allSent(runId);
      const { rows } = await world.db.query<{ attempts: number }>(
        'SELECT max(attempts)::int AS attempts FROM deliveries WHERE source_id = $1',
        [runId],
      );
      expect(rows).toEqual([{ attempts: 0 }]);
    } finally {
      await server.stop();
    }
  }, 60_000);
});
