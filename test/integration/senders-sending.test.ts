import { generateKeyPairSync } from 'node:crypto';
import { auditCapacity } from '../../db/delivery/capacity';
import { SHORT_MAIL } from '../support/campaign-world';
import { type SendingProduct, startSendingProduct } from '../support/product';
import { API_RIGS } from '../support/provider-rigs';
import { ScriptedHttpServer } from '../support/scripted-http-server';
import { ScriptedSmtpServer, type StepContext } from '../support/scripted-smtp-server';
import { noonToday, setClock } from '../support/sequence-world';
import { sleep, until } from '../support/until';

const CONTACTS = 60;
const LOGIN = { username: 'sally', password: 'p4ssw0rd' };
const PROVIDERS = '/email-infrastructure/providers';

let product: SendingProduct;
let fallback: ScriptedSmtpServer;

beforeAll(async () => {
  fallback = await ScriptedSmtpServer.start();
  product = await startSendingProduct({
    name: 'sending',
    contacts: CONTACTS,
    role: 'operator',
    env: { ALLOW_PRIVATE_SMTP: 'true' },
    workerEnv: { SMTP_URL: `smtp://127.0.0.1:${fallback.port}` },
  });
  await setClock(product.api, noonToday());
});

afterAll(async () => {
  await product.close();
  await fallback.stop();
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
  for (const id of providers.splice(0)) await product.call('delete', `${PROVIDERS}/${id}`);
  for (const server of servers.splice(0)) await server.stop();
});

/** Delivery processes remember a workspace's senders for a second. */
const known = () => sleep(1_200);

/** Makes a provider that the processes know when this returns; its id. */
async function makeProvider(body: object): Promise<string> {
  const response = await product.call('post', PROVIDERS, body);
  expect(response.status).toBe(201);
  providers.push(response.body.id);
  await known();
  return response.body.id;
}

function addProvider(server: ScriptedSmtpServer, more: Record<string, unknown> = {}): Promise<string> {
  counter += 1;
  const { settings = {}, credentials = {}, ...rest } = more;
  const body = {
    name: `Relay ${counter}`,
    provider_type: 'SMTP',
    settings: { host: '127.0.0.1', port: server.port, ...Object(settings) },
    credentials: { ...LOGIN, ...Object(credentials) },
    ...rest,
  };
  return makeProvider(body);
}

const change = (id: string, body: object) => product.call('patch', `${PROVIDERS}/${id}`, body);
const show = async (id: string) => (await product.call('get', `${PROVIDERS}/${id}`)).body;
const start = () => product.world.startCampaign(SHORT_MAIL);

async function counts(runId: string): Promise<Record<string, number>> {
  return (await product.world.counts(runId)).byStatus;
}

/** What waits no longer does, so that it does not go by the next test's provider. */
const cancel = (runId: string) =>
  product.world.db.query(
    "UPDATE streams SET state = 'CANCELLED' WHERE id = (SELECT stream_id FROM campaign_runs WHERE id = $1)",
    [runId],
  );
const allSent = (runId: string) => until('all are sent', async () => (await counts(runId)).SENT === CONTACTS);
const isOpen = (id: string) => until('the breaker is open', async () => (await show(id)).breaker.state === 'OPEN');
const slowDot = ({ step }: StepContext) => (step === 'dot' ? { delayMs: 60 } : undefined);

describe('a campaign', () => {
  test('of a workspace without a provider leaves by the fallback sender', async () => {
    const runId = await start();
    await allSent(runId);
    expect(fallback.accepted).toHaveLength(CONTACTS);
    expect(fallback.duplicates()).toEqual([]);
  });

  test('leaves by the provider, logged in, and never has more open than its window', async () => {
    const server = await relay({ script: slowDot });
    await addProvider(server, { settings: { window: 3 } });
    const before = fallback.accepted.length;
    const runId = await start();
    let most = 0;
    await until('all are sent', async () => {
      const { SENDING = 0, SENT = 0 } = await counts(runId);
      most = Math.max(most, SENDING);
      return SENT === CONTACTS;
    });
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(3);
    expect(server.tokens.size).toBe(CONTACTS);
    expect(fallback.accepted).toHaveLength(before);
  });

  test('is signed with the key of its provider', async () => {
    const server = await relay();
    const privateKey = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    await addProvider(server, {
      settings: { dkim: { domain: 'sender.example', selector: 's1' } },
      credentials: { dkim_private_key: privateKey },
    });
    const runId = await start();
    await allSent(runId);
    expect(server.accepted).toHaveLength(CONTACTS);
    for (const { raw } of server.accepted) {
      expect(raw).toMatch(/^DKIM-Signature: [\s\S]*?d=sender\.example;[\s\S]*?s=s1;/m);
    }
  });

  test('stops at the daily limit and goes on when it is raised', async () => {
    const server = await relay();
    const provider = await addProvider(server, { max_sends_per_day: 25 });
    const runId = await start();
    await until('the limit is reached', async () => (await counts(runId)).SENT === 25);
    // Long enough for another group, if there were one.
    await sleep(1_000);
    expect(await counts(runId)).toMatchObject({ SENT: 25, QUEUED: CONTACTS - 25 });
    expect(server.accepted).toHaveLength(25);
    expect(await show(provider)).toMatchObject({ current_daily_sends: 25, max_sends_per_day: 25 });
    await change(provider, { max_sends_per_day: 1_000 });
    await allSent(runId);
    expect(await show(provider)).toMatchObject({ current_daily_sends: CONTACTS });
    // Lowered below what is used, it holds until the next day; nothing is taken back.
    await change(provider, { max_sends_per_day: 10 });
    await known();
    const later = await start();
    await until('the next campaign waits', async () => (await counts(later)).QUEUED === CONTACTS);
    await sleep(1_000);
    expect(await counts(later)).toEqual({ QUEUED: CONTACTS });
    expect(server.accepted).toHaveLength(CONTACTS);
    expect(await show(provider)).toMatchObject({ current_daily_sends: CONTACTS, max_sends_per_day: 10 });
    await cancel(later);
  });

  test('takes a unit again that comes back after the limit was found reached, and never one too many', async () => {
    let release = () => {};
    const answered = new Promise<void>((resolve) => {
      release = resolve;
    });
    const server = await relay({
      script: ({ message, step }) => {
        if (message !== 1) return undefined;
        return step === 'mail' ? { after: answered } : step === 'rcpt' ? '451 4.2.0 later' : undefined;
      },
    });
    await addProvider(server, { max_sends_per_day: 10 });
    const runId = await start();
    await until('all others of the limit are sent', async () => (await counts(runId)).SENT === 9);
    await until('the lane sleeps', async () => {
      const { rows } = await product.world.db.query<{ awake: boolean }>(
        'SELECT l.awake FROM lanes l JOIN streams s ON s.lane_id = l.id JOIN campaign_runs r ON r.stream_id = s.id WHERE r.id = $1',
        [runId],
      );
      return rows[0]?.awake === false;
    });
    release();
    // A lane that finds a limit used up sleeps for a minute.
    await until('the unit is taken again', async () => (await counts(runId)).SENT === 10, 30_000);
    await sleep(1_000);
    expect(await counts(runId)).toMatchObject({ SENT: 10, QUEUED: CONTACTS - 10 });
    expect(server.accepted).toHaveLength(10);
    expect(await auditCapacity(product.api.db, product.world.workspaceId, new Date(0))).toEqual([]);
    await cancel(runId);
  });

  test('waits behind an open breaker without harm to anybody and goes on with the right password', async () => {
    const server = await relay();
    const provider = await addProvider(server, { credentials: { password: 'wrong' } });
    const before = fallback.accepted.length;
    const runId = await start();
    await isOpen(provider);
    expect((await show(provider)).breaker.reason).toBe('AUTHENTICATION');
    await change(provider, { credentials: { password: LOGIN.password } });
    await allSent(runId);
    expect(server.tokens.size).toBe(CONTACTS);
    expect(fallback.accepted).toHaveLength(before);
    const { rows } = await product.world.db.query<{ attempts: number }>(
      'SELECT max(attempts)::int AS attempts FROM deliveries WHERE source_id = $1',
      [runId],
    );
    expect(rows).toEqual([{ attempts: 0 }]);
    expect((await show(provider)).breaker.state).toBe('CLOSED');
    const alerts = await product.world.db.query('SELECT resolved_at FROM alerts WHERE cause = $1', [provider]);
    expect(alerts.rows).toEqual([{ resolved_at: expect.any(Date) }]);
  });
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
      await makeProvider({ name: `API ${counter}`, ...rig.provider(server.url) });
      const before = fallback.accepted.length;
      const runId = await start();
      await allSent(runId);
      expect(fallback.accepted).toHaveLength(before);

      const arrived = server.requests.flatMap((request) => rig.arrived(request));
      expect(arrived).toHaveLength(CONTACTS);
      const { rows } = await product.world.db.query<{ tag: string; provider_message_id: string }>(
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
  });

  test('whose key is refused harms nobody and goes on with the right one', async () => {
    const server = await ScriptedHttpServer.start();
    try {
      let good = false;
      server.reply = (request) => rig.says(good ? 'accepted' : 'bad-credentials', request);
      counter += 1;
      const id = await makeProvider({ name: `API ${counter}`, ...rig.provider(server.url) });
      const runId = await start();
      await isOpen(id);
      expect((await show(id)).breaker.reason).toBe('AUTHENTICATION');
      good = true;
      await change(id, { credentials: rig.provider(server.url).credentials });
      await allSent(runId);
      const { rows } = await product.world.db.query<{ attempts: number }>(
        'SELECT max(attempts)::int AS attempts FROM deliveries WHERE source_id = $1',
        [runId],
      );
      expect(rows).toEqual([{ attempts: 0 }]);
    } finally {
      await server.stop();
    }
  });
});
