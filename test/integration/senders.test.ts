import { generateKeyPairSync } from 'node:crypto';
import { enqueueDelivery, ensureLane } from '../../db/delivery/enqueue';
import { ensureRoute, loadSenders } from '../../db/senders';
import { INSTALLATION_PROVIDER_ID } from '../../domain/senders';
import { Keyring } from '../../platform/crypto';
import { uuidv7 } from '../../platform/ids';
import { startTestApi, type TestApi } from '../support/api';
import { testSecrets } from '../support/stack';

const BASE = '/workspaces/{ws}/email-infrastructure/providers';
const SECRET = 'p4ssw0rd-that-must-not-show';
const LOGIN = { username: 'sally', password: 'p4ssw0rd' };
let api: TestApi;
let counter = 0;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'senders', temporal: 'absent' });
});

afterAll(async () => {
  await api.close();
});

const relay = (more: object = {}) => {
  counter += 1;
  return { name: `Relay ${counter}`, provider_type: 'SMTP', settings: { host: 'relay.example' }, ...more };
};

function post(body: unknown, path = BASE) {
  return api.request('post', path, { token: api.tokens.operator, body });
}

async function created(more: object = {}): Promise<{ id: string; version: number }> {
  const response = await post(relay(more));
  expect(response.text).toContain('"id"');
  return response.body;
}

function dkimKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** Another client's workspace without any provider. */
async function freshWorkspace() {
  return (await api.createWorkspace('Fresh')).id;
}

describe('providers', () => {
  test('are created with defaults and read back without credentials', async () => {
    const response = await post(
      relay({ credentials: { username: 'sally', password: SECRET }, max_sends_per_day: 500 }),
    );
    expect(response.status).toBe(201);
    expect(response.headers.get('etag')).toBe('"v1"');
    expect(response.body).toMatchObject({
      provider_type: 'SMTP',
      settings: {
        host: 'relay.example',
        port: 587,
        tls: 'auto',
        verify_certificate: true,
        connections: 10,
        pipeline: 16,
        window: null,
        dkim: null,
      },
      max_sends_per_second: null,
      max_sends_per_day: 500,
      current_daily_sends: 0,
      priority: 5,
      is_default: false,
      is_active: true,
      last_check_at: null,
      last_check_status: null,
      last_error: null,
      breaker: { state: 'CLOSED', reason: null, opened_at: null, probe_at: null },
    });
    expect(response.body).not.toHaveProperty('credentials');
    const read = await api.request('get', `${BASE}/${response.body.id}`, { token: api.tokens.viewer });
    expect(read.body).toEqual(response.body);
    const list = await api.request('get', BASE, { token: api.tokens.viewer });
    expect(list.body.items.map((item: { id: string }) => item.id)).toContain(response.body.id);
    const audit = await api.db.query('SELECT old_values, new_values FROM audit_log WHERE entity_id = $1', [
      response.body.id,
    ]);
    expect(audit.rowCount).toBe(1);
    for (const text of [response.text, read.text, list.text, JSON.stringify(audit.rows)]) {
      expect(text).not.toContain(SECRET);
    }
  });

  test('store their credentials sealed', async () => {
    const { id } = await created({ credentials: { username: 'sally', password: SECRET } });
    const { rows } = await api.db.query<{ credentials: Buffer; row: string }>(
      'SELECT credentials, p::text AS row FROM providers p WHERE id = $1',
      [id],
    );
    expect(rows[0]?.credentials.toString('latin1')).not.toContain(SECRET);
    expect(rows[0]?.row).not.toContain(Buffer.from(SECRET).toString('hex'));
    const senders = await loadSenders(api.db, api.workspace.id, api.deps.keyring, false);
    const sender = senders.find((candidate) => candidate.providerId === id);
    expect(sender).toMatchObject({ kind: 'provider', credentials: { username: 'sally', password: SECRET } });
  });

  test('take port 465 as implicit TLS and implicit TLS as port 465', async () => {
    const byPort = await post(relay({ settings: { host: 'relay.example', port: 465 } }));
    expect(byPort.body.settings).toMatchObject({ port: 465, tls: 'implicit' });
    const byMode = await post(relay({ settings: { host: 'relay.example', tls: 'implicit' } }));
    expect(byMode.body.settings).toMatchObject({ port: 465, tls: 'implicit' });
  });

  test.each([
    ['an unknown provider type', { provider_type: 'PIGEON' }, '/body/provider_type'],
    ['a type that is no text', { provider_type: null }, '/body/provider_type'],
    ['fields of later work', { sandbox_mode: true }, '/body'],
    ['settings of later work', { settings: { host: 'relay.example', sandbox_mode: true } }, '/body/settings'],
    ['no host', { settings: {} }, '/body/settings/host'],
    ['a URL as host', { settings: { host: 'smtp://relay.example' } }, '/body/settings/host'],
    ['a port out of range', { settings: { host: 'relay.example', port: 70_000 } }, '/body/settings/port'],
    ['a loopback address', { settings: { host: '127.0.0.1' } }, '/body/settings/host'],
    ['a mapped loopback address', { settings: { host: '::ffff:127.0.0.1' } }, '/body/settings/host'],
    ['a metadata service', { settings: { host: '169.254.169.254' } }, '/body/settings/host'],
    ['an address in a private network', { settings: { host: 'fd12::1' } }, '/body/settings/host'],
    ['a user without password', { credentials: { username: 'sally' } }, '/body/credentials/password'],
    ['a password without user', { credentials: { password: 'x' } }, '/body/credentials/username'],
    [
      'a command in the user name',
      { credentials: { username: 'a\r\nQUIT', password: 'x' } },
      '/body/credentials/username',
    ],
    ['unknown credentials', { credentials: { api_key: 'x' } }, '/body/credentials'],
    [
      'DKIM without a key',
      { settings: { host: 'relay.example', dkim: { domain: 'a.example', selector: 's1' } } },
      '/body/credentials/dkim_private_key',
    ],
    ['a DKIM key without selector', { credentials: { dkim_private_key: dkimKey() } }, '/body/settings/dkim'],
    ['a broken DKIM key', { credentials: { dkim_private_key: 'PEM' } }, '/body/credentials/dkim_private_key'],
    ['a limit of zero', { max_sends_per_second: 0 }, '/body/max_sends_per_second'],
    ['a fraction', { max_sends_per_day: 1.5 }, '/body/max_sends_per_day'],
    ['an empty name', { name: '  ' }, '/body/name'],
  ])('are refused with %s', async (_what, more, pointer) => {
    const response = await post(relay(more));
    expect(response.status).toBe(422);
    expect(response.body.errors[0].pointer).toBe(pointer);
  });

  const credentialsOf = {
    SES: { access_key_id: 'AKIAEXAMPLE', secret_access_key: SECRET },
    SENDGRID: { api_key: SECRET },
    MAILGUN: { api_key: SECRET },
    POSTMARK: { server_token: SECRET },
  };

  test.each([
    ['SES', { region: 'eu-central-1' }, { endpoint: null, configuration_set: null }],
    ['SENDGRID', undefined, { endpoint: 'https://api.sendgrid.com', sandbox_mode: false, ip_pool: null }],
    ['MAILGUN', { domain: 'mg.acme.example' }, { endpoint: 'https://api.mailgun.net', tracking_enabled: false }],
    ['POSTMARK', undefined, { endpoint: 'https://api.postmarkapp.com', message_stream: 'outbound' }],
  ] as const)(
    'of type %s are made with defaults, changed in parts, and never show their credentials',
    async (type, settings, defaults) => {
      const credentials = credentialsOf[type];
      const made = await post({ ...relay(), provider_type: type, settings, credentials });
      expect(made.status).toBe(201);
      expect(made.body).toMatchObject({ provider_type: type, settings: { connections: 10, ...settings, ...defaults } });
      const path = `${BASE}/${made.body.id}`;
      const body = { settings: { connections: 3 }, is_default: false };
      const patched = await api.request('patch', path, { token: api.tokens.operator, body });
      expect(patched.body.settings).toEqual({ ...made.body.settings, connections: 3 });
      for (const text of [made.text, patched.text]) expect(text).not.toContain(SECRET);
      const senders = await loadSenders(api.db, api.workspace.id, api.deps.keyring, false);
      expect(senders.find((sender) => sender.providerId === made.body.id)).toMatchObject({
        providerType: type,
        credentials,
        settings: { connections: 3 },
      });
      for (const [change, pointer] of [
        [{ settings: { host: 'relay.example' } }, '/body/settings'],
        [{ settings: { endpoint: 'http://127.0.0.1:1' } }, '/body/settings/endpoint'],
        [{ settings: { endpoint: 'https://10.0.0.1' } }, '/body/settings/endpoint'],
        [{ settings: { endpoint: 'http://api.example' } }, '/body/settings/endpoint'],
        [{ settings: { endpoint: 'https://user@api.example' } }, '/body/settings/endpoint'],
        [{ settings: { connections: 0 } }, '/body/settings/connections'],
        [{ credentials: { password: 'x' } }, '/body/credentials'],
        [
          { credentials: Object.fromEntries(Object.keys(credentials).map((name) => [name, null])) },
          `/body/credentials/${Object.keys(credentials)[0]}`,
        ],
      ] as const) {
        const refused = await api.request('patch', path, { token: api.tokens.operator, body: change });
        expect([refused.status, refused.body.errors[0].pointer]).toEqual([422, pointer]);
      }
    },
  );

  test.each([
    ['SENDGRID', undefined],
    ['MAILGUN', { domain: 'mg.acme.example' }],
  ] as const)('of type %s keep the key of their webhooks with their credentials', async (type, settings) => {
    const credentials = { api_key: 'key', webhook_signing_key: SECRET };
    const made = await post({ ...relay(), provider_type: type, settings, credentials });
    expect(made.status).toBe(201);
    const change = (body: object) =>
      api.request('patch', `${BASE}/${made.body.id}`, { token: api.tokens.operator, body });
    const stored = async () => {
      const senders = await loadSenders(api.db, api.workspace.id, api.deps.keyring, false);
      return senders.find((sender) => sender.providerId === made.body.id);
    };
    // What a change leaves out stays, null removes.
    const renewed = await change({ credentials: { api_key: 'another' } });
    expect(await stored()).toMatchObject({ credentials: { api_key: 'another', webhook_signing_key: SECRET } });
    await change({ credentials: { webhook_signing_key: null } });
    expect(await stored()).toMatchObject({ credentials: { api_key: 'another', webhook_signing_key: null } });
    for (const { text } of [made, renewed]) expect(text).not.toContain(SECRET);
  });

  test.each([
    ['SES', { settings: {}, credentials: credentialsOf.SES }, '/body/settings/region'],
    ['SES', { settings: { region: 'Frankfurt' }, credentials: credentialsOf.SES }, '/body/settings/region'],
    [
      'SES',
      { settings: { region: 'eu-central-1' }, credentials: { access_key_id: 'x' } },
      '/body/credentials/secret_access_key',
    ],
    ['MAILGUN', { settings: { domain: 'no domain' }, credentials: credentialsOf.MAILGUN }, '/body/settings/domain'],
    ['SENDGRID', { settings: {} }, '/body/credentials'],
    ['SENDGRID', { settings: { ip_pool: '' }, credentials: credentialsOf.SENDGRID }, '/body/settings/ip_pool'],
    ['POSTMARK', { credentials: { server_token: 'a\r\nb' } }, '/body/credentials/server_token'],
    ['POSTMARK', { credentials: credentialsOf.POSTMARK, settings: { dkim: null } }, '/body/settings'],
  ])('of type %s are refused with %j', async (type, parts, pointer) => {
    const { settings: _, ...rest } = relay();
    const response = await post({ ...rest, provider_type: type, ...parts });
    expect([response.status, response.body.errors[0].pointer]).toEqual([422, pointer]);
  });

  test('accept a DKIM key with its domain and selector', async () => {
    const pem = dkimKey();
    const response = await post(
      relay({
        settings: { host: 'relay.example', dkim: { domain: 'mail.example', selector: 's1' } },
        credentials: { dkim_private_key: pem },
      }),
    );
    expect(response.status).toBe(201);
    expect(response.text).not.toContain('PRIVATE KEY');
  });

  test('have names of their own', async () => {
    const { name } = (await post(relay())).body;
    const response = await post(relay({ name }));
    expect(response.status).toBe(409);
    expect(response.body.errors[0].pointer).toBe('/body/name');
  });

  test('keep what a change leaves out, also inside settings and credentials', async () => {
    const { id } = await created({ credentials: { username: 'sally', password: SECRET }, max_sends_per_second: 9 });
    const response = await api.request('patch', `${BASE}/${id}`, {
      token: api.tokens.operator,
      headers: { 'if-match': '"v1"' },
      body: { settings: { connections: 3 }, credentials: { password: 'new' }, max_sends_per_day: 7 },
    });
    expect(response.status).toBe(200);
    expect(response.headers.get('etag')).toBe('"v2"');
    expect(response.body).toMatchObject({
      settings: { host: 'relay.example', port: 587, connections: 3 },
      max_sends_per_second: 9,
      max_sends_per_day: 7,
    });
    const senders = await loadSenders(api.db, api.workspace.id, api.deps.keyring, false);
    expect(senders.find((sender) => sender.providerId === id)).toMatchObject({
      version: 2,
      credentials: { username: 'sally', password: 'new' },
      limits: { perSecond: 9, perDay: 7 },
    });
    const audit = await api.db.query<{ new_values: object }>(
      `SELECT new_values FROM audit_log WHERE entity_id = $1 AND action = 'provider.update'`,
      [id],
    );
    expect(audit.rows[0]?.new_values).toMatchObject({ credentials: 'changed', max_sends_per_day: 7 });
  });

  test('are changed by null', async () => {
    const { id } = await created({ credentials: { username: 'sally', password: SECRET }, max_sends_per_day: 7 });
    const body = { credentials: { username: null, password: null }, max_sends_per_day: null };
    const response = await api.request('patch', `${BASE}/${id}`, { token: api.tokens.owner, body });
    expect(response.body.max_sends_per_day).toBeNull();
    const half = { credentials: { username: 'somebody' } };
    const refused = await api.request('patch', `${BASE}/${id}`, { token: api.tokens.owner, body: half });
    expect(refused.status).toBe(422);
  });

  test('refuse a change of another version', async () => {
    const { id } = await created();
    const headers = { 'if-match': '"v9"' };
    const patch = await api.request('patch', `${BASE}/${id}`, { token: api.tokens.owner, headers, body: {} });
    const remove = await api.request('delete', `${BASE}/${id}`, { token: api.tokens.owner, headers });
    expect([patch.status, remove.status]).toEqual([412, 412]);
  });

  test('have one default, also when many are made at once', async () => {
    const first = await created({ is_default: true });
    const answers = await Promise.all([1, 2, 3, 4].map(() => post(relay({ is_default: true }))));
    for (const answer of answers) expect([201, 409, 503]).toContain(answer.status);
    const { rows } = await api.db.query<{ id: string }>(
      'SELECT id FROM providers WHERE workspace_id = $1 AND is_default',
      [api.workspace.id],
    );
    expect(rows).toHaveLength(1);
    expect(rows[0]?.id).not.toBe(first.id);
  });

  test('are removed with breaker and pace, but not with what they have used', async () => {
    const { id } = await created();
    const key = [api.workspace.id, id];
    await api.db.query(`INSERT INTO breakers (workspace_id, provider_id) VALUES ($1, $2)`, key);
    await api.db.query(
      `INSERT INTO capacity (workspace_id, kind, resource_id, window_key, used) VALUES ($1, 'provider-day', $2, '2026-01-01', 3)`,
      key,
    );
    const response = await api.request('delete', `${BASE}/${id}`, { token: api.tokens.operator });
    expect(response.status).toBe(204);
    const again = await api.request('get', `${BASE}/${id}`, { token: api.tokens.operator });
    expect(again.status).toBe(404);
    const left = await api.db.query(
      `SELECT (SELECT count(*) FROM breakers WHERE provider_id = $1)::int AS breakers,
         (SELECT count(*) FROM capacity WHERE resource_id = $1)::int AS capacity`,
      [id],
    );
    expect(left.rows[0]).toEqual({ breakers: 0, capacity: 1 });
  });

  test('belong to operators and owners; marketers only see them', async () => {
    const { id } = await created();
    const write = await api.request('post', BASE, { token: api.tokens.marketer, body: relay() });
    const read = await api.request('get', `${BASE}/${id}`, { token: api.tokens.marketer });
    expect([write.status, read.status]).toEqual([403, 200]);
    const stranger = await api.createWorkspace('Stranger');
    const foreign = await api.request('get', `/workspaces/${stranger.id}/email-infrastructure/providers/${id}`, {
      token: stranger.tokens.owner,
    });
    expect(foreign.status).toBe(404);
  });

  test('show what they used on the local day and when it ends', async () => {
    const workspace = await api.createWorkspace('Auckland');
    const path = `/workspaces/${workspace.id}/email-infrastructure/providers`;
    await api.db.query(`UPDATE workspaces SET time_zone = 'Pacific/Auckland' WHERE id = $1`, [workspace.id]);
    const { body } = await api.request('post', path, { token: workspace.tokens.owner, body: relay() });
    await api.db.query(
      `INSERT INTO capacity (workspace_id, kind, resource_id, window_key, used)
       SELECT $1, 'provider-day', $2, to_char(sally_now() AT TIME ZONE 'Pacific/Auckland' + d * interval '1 day', 'YYYY-MM-DD'), 10 + d
       FROM generate_series(-1, 1) AS d`,
      [workspace.id, body.id],
    );
    const read = await api.request('get', `${path}/${body.id}`, { token: workspace.tokens.owner });
    expect(read.body.current_daily_sends).toBe(10);
    const end = new Date(read.body.daily_sends_reset_at);
    const wall = new Intl.DateTimeFormat('en-GB', { timeZone: 'Pacific/Auckland', timeStyle: 'medium' }).format(end);
    expect(wall).toBe('00:00:00');
    const hours = (end.getTime() - Date.now()) / 3_600_000;
    expect(hours).toBeGreaterThan(0);
    expect(hours).toBeLessThanOrEqual(25);
  });
});

describe('the breaker', () => {
  test('is shown, and reset once by an operator, who is named in the audit log', async () => {
    const { id } = await created();
    await api.db.query(
      `INSERT INTO breakers (workspace_id, provider_id, state, reason, failures, opened_at, probe_at)
       VALUES ($1, $2, 'OPEN', 'AUTHENTICATION', 3, sally_now(), sally_now() + interval '1 minute')`,
      [api.workspace.id, id],
    );
    await api.db.query(`SELECT sally_raise_alert($1, 'breaker-open', $2, 'critical', 'open', '{}')`, [
      api.workspace.id,
      id,
    ]);
    const open = await api.request('get', `${BASE}/${id}`, { token: api.tokens.viewer });
    expect(open.body.breaker).toMatchObject({ state: 'OPEN', reason: 'AUTHENTICATION' });
    expect(open.body.breaker.probe_at).not.toBeNull();
    const forbidden = await api.request('post', `${BASE}/${id}/breaker/reset`, { token: api.tokens.marketer });
    expect(forbidden.status).toBe(403);
    const reset = await api.request('post', `${BASE}/${id}/breaker/reset`, { token: api.tokens.operator });
    expect(reset.body.breaker.state).toBe('CLOSED');
    const alerts = await api.db.query('SELECT resolved_at FROM alerts WHERE cause = $1', [id]);
    expect(alerts.rows).toEqual([{ resolved_at: expect.any(Date) }]);
    const again = await api.request('post', `${BASE}/${id}/breaker/reset`, { token: api.tokens.operator });
    expect(again.status).toBe(409);
    expect(again.body.state).toBe('CLOSED');
    const audit = await api.db.query<{ actor_id: string }>(
      `SELECT actor_id FROM audit_log WHERE entity_id = $1 AND action = 'provider.breaker-reset'`,
      [id],
    );
    expect(audit.rows).toEqual([{ actor_id: api.workspace.people.operator.id }]);
  });

  test('is probed at once when the provider was changed', async () => {
    const { id } = await created();
    await api.db.query(
      `INSERT INTO breakers (workspace_id, provider_id, state, reason, probe_at)
       VALUES ($1, $2, 'OPEN', 'AUTHENTICATION', sally_now() + interval '10 minutes')`,
      [api.workspace.id, id],
    );
    const body = { credentials: { username: 'sally', password: 'right' } };
    const patched = await api.request('patch', `${BASE}/${id}`, { token: api.tokens.operator, body });
    expect(patched.body.breaker.state).toBe('OPEN');
    expect(Date.parse(patched.body.breaker.probe_at)).toBeLessThanOrEqual(Date.now() + 1_000);
  });

  test('of the fallback sender is reset under the nil UUID', async () => {
    const path = `${BASE}/${INSTALLATION_PROVIDER_ID}/breaker/reset`;
    expect((await api.request('post', path, { token: api.tokens.operator })).status).toBe(409);
    await api.db.query(`INSERT INTO breakers (workspace_id, provider_id, state) VALUES ($1, $2, 'OPEN')`, [
      api.workspace.id,
      INSTALLATION_PROVIDER_ID,
    ]);
    expect((await api.request('post', path, { token: api.tokens.operator })).status).toBe(200);
  });
});

describe('mail that waits for a sender', () => {
  /** One transactional message on a lane that sleeps. */
  async function waitingLane(workspaceId: string): Promise<string> {
    const address = 'somebody@contacts.example';
    const { laneId, deliveryId } = await enqueueDelivery(api.db, {
      workspaceId,
      sourceType: 'TRANSACTIONAL',
      sourceId: uuidv7(),
      stepKey: 'send',
      contactId: null,
      address,
      recipientName: null,
      addressHash: api.deps.addressHasher.hash(address),
      emailDomain: 'contacts.example',
      messageId: uuidv7(),
      context: null,
      expiresAt: null,
    });
    expect(deliveryId).not.toBeNull();
    await sleep(laneId);
    return laneId;
  }

  const sleep = (laneId: string) => api.db.query('UPDATE lanes SET awake = false WHERE id = $1', [laneId]);

  async function isAwake(laneId: string): Promise<boolean | undefined> {
    const { rows } = await api.db.query<{ awake: boolean }>('SELECT awake FROM lanes WHERE id = $1', [laneId]);
    return rows[0]?.awake;
  }

  test('goes on when a provider is added, changed or its breaker reset; idle lanes sleep on', async () => {
    const workspace = await api.createWorkspace('Waiting');
    const path = `/workspaces/${workspace.id}/email-infrastructure/providers`;
    const token = workspace.tokens.operator;
    const laneId = await waitingLane(workspace.id);
    const idle = await ensureLane(api.db, workspace.id, 'pool');
    const { body } = await api.request('post', path, { token, body: relay() });
    expect(await isAwake(laneId)).toBe(true);

    await sleep(laneId);
    await api.request('patch', `${path}/${body.id}`, { token, body: { max_sends_per_day: null } });
    expect(await isAwake(laneId)).toBe(true);

    await sleep(laneId);
    await api.db.query(`INSERT INTO breakers (workspace_id, provider_id, state) VALUES ($1, $2, 'OPEN')`, [
      workspace.id,
      body.id,
    ]);
    await api.request('post', `${path}/${body.id}/breaker/reset`, { token });
    expect(await isAwake(laneId)).toBe(true);
    expect(await isAwake(idle)).toBe(false);
  });
});

describe('loadSenders', () => {
  test('gives the default first, then by priority, and leaves out what is not active', async () => {
    const workspace = await api.createWorkspace('Order');
    const path = `/workspaces/${workspace.id}/email-infrastructure/providers`;
    const make = async (more: object) =>
      (await api.request('post', path, { token: workspace.tokens.owner, body: relay(more) })).body.id as string;
    const last = await make({ priority: 9 });
    const second = await make({ priority: 1 });
    await make({ priority: 1, is_active: false });
    const first = await make({ priority: 50, is_default: true });
    const senders = await loadSenders(api.db, workspace.id, api.deps.keyring, true);
    expect(senders.map((sender) => sender.providerId)).toEqual([first, second, last]);
  });

  test('falls back to the installation only where there is one', async () => {
    const workspaceId = await freshWorkspace();
    const { keyring } = api.deps;
    const fallback = [{ kind: 'installation', workspaceId, providerId: INSTALLATION_PROVIDER_ID }];
    expect(await loadSenders(api.db, workspaceId, keyring, true)).toEqual(fallback);
    expect(await loadSenders(api.db, workspaceId, keyring, false)).toEqual([]);
  });

  test('leaves out a provider whose credentials cannot be opened, with an alert until they can', async () => {
    const workspace = await api.createWorkspace('Lost key');
    const path = `/workspaces/${workspace.id}/email-infrastructure/providers`;
    const make = async () =>
      (await api.request('post', path, { token: workspace.tokens.owner, body: relay({ credentials: LOGIN }) })).body.id;
    const lost: string = await make();
    const good: string = await make();
    const stranger = new Keyring(testSecrets().SALLY_SECRETS);
    await api.db.query('UPDATE providers SET credentials = $2 WHERE id = $1', [
      lost,
      stranger.seal('credentials', Buffer.from('{}')),
    ]);
    const load = async () =>
      (await loadSenders(api.db, workspace.id, api.deps.keyring, true)).map((sender) => sender.providerId);
    const alerts = async () =>
      (
        await api.db.query(
          `SELECT cause, occurrences, resolved_at IS NOT NULL AS resolved FROM alerts
           WHERE workspace_id = $1 AND kind = 'provider-credentials' ORDER BY id`,
          [workspace.id],
        )
      ).rows;
    expect(await load()).toEqual([good]);
    // Opened, but nothing that a relay could use: no reason to stop the others either.
    await api.db.query('UPDATE providers SET credentials = $2 WHERE id = $1', [
      lost,
      api.deps.keyring.seal('credentials', Buffer.from('{"api_key":"x"}')),
    ]);
    expect(await load()).toEqual([good]);
    expect(await alerts()).toEqual([{ cause: lost, occurrences: 1, resolved: false }]);

    const change = (body: object) =>
      api.request('patch', `${path}/${lost}`, { token: workspace.tokens.operator, body });
    await api.db.query('UPDATE providers SET credentials = $2 WHERE id = $1', [
      lost,
      stranger.seal('credentials', Buffer.from('{}')),
    ]);
    const settings = await change({ settings: { port: 2525 } });
    expect(settings.status).toBe(422);
    expect(settings.body.errors[0].pointer).toBe('/body/credentials');
    expect((await change({ priority: 9 })).status).toBe(200);
    expect((await change({ credentials: LOGIN })).status).toBe(200);
    expect(await load()).toEqual([good, lost]);
    expect(await alerts()).toEqual([{ cause: lost, occurrences: 1, resolved: true }]);
  });

  test('does not fall back to the installation while the only provider cannot be opened', async () => {
    const workspace = await api.createWorkspace('Only lost');
    const path = `/workspaces/${workspace.id}/email-infrastructure/providers`;
    const { body } = await api.request('post', path, { token: workspace.tokens.owner, body: relay() });
    const other = new Keyring(testSecrets().SALLY_SECRETS);
    expect(await loadSenders(api.db, workspace.id, other, true)).toEqual([]);
    await api.request('patch', `${path}/${body.id}`, { token: workspace.tokens.owner, body: { is_active: false } });
    const { rows } = await api.db.query('SELECT resolved_at FROM alerts WHERE workspace_id = $1', [workspace.id]);
    expect(rows).toEqual([{ resolved_at: expect.any(Date) }]);
  });
});

describe('ensureRoute', () => {
  test('makes one identity per From address and one route per provider and identity', async () => {
    const workspaceId = await freshWorkspace();
    const { id: providerId } = await created();
    const many = await Promise.all(
      Array.from({ length: 8 }, () => ensureRoute(api.db, workspaceId, providerId, 'news@mail.example')),
    );
    expect(new Set(many.map((route) => route.routeId)).size).toBe(1);
    const other = await ensureRoute(api.db, workspaceId, providerId, 'offers@mail.example');
    const elsewhere = await ensureRoute(api.db, workspaceId, INSTALLATION_PROVIDER_ID, 'news@mail.example');
    expect(elsewhere.identityId).toBe(many[0]?.identityId);
    expect(new Set([many[0]?.routeId, other.routeId, elsewhere.routeId]).size).toBe(3);
  });
});
