import { loadWaysOut, openCredentials, openIpCredentials } from '../../db/senders';
import { rotateKeys } from '../../dev/admin';
import { Keyring, randomToken } from '../../platform/crypto';
import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';

const BASE = '/workspaces/{ws}/email-infrastructure';
let api: TestApi;
let counter = 0;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'sending-objects', temporal: 'absent' });
});

afterAll(async () => {
  await api.close();
});

const call = (method: 'get' | 'post' | 'patch' | 'delete', path: string, body?: unknown) =>
  api.request(method, `${BASE}${path}`, { token: api.tokens.operator, body });

/** Makes one of them; the answer's body. */
async function made(path: string, body: unknown) {
  const response = await call('post', path, body);
  expect(`${response.status} ${response.text}`).toMatch(/^201 /);
  return response.body;
}

function provider(): Promise<{ id: string }> {
  counter += 1;
  return made('/providers', { name: `Relay ${counter}`, provider_type: 'SMTP', settings: { host: 'relay.example' } });
}

function domain(more: object = {}): Promise<{ id: string; host: string }> {
  counter += 1;
  return made('/domains', { domain: `d${counter}.example`, ...more });
}

async function pool(more: object = {}): Promise<{ id: string; members: { id: string }[] }> {
  counter += 1;
  return made('/pools', { name: `Pool ${counter}`, members: [{ provider_id: (await provider()).id }], ...more });
}

const ABSENT = '0199a1b2-0000-7000-8000-000000000000';

describe('sending domains', () => {
  test('say where mail of theirs may go', async () => {
    const { id } = await provider();
    const providers = [{ provider_id: id, dkim: true, spf: false }];
    const row = await domain({ subdomain: 'News', daily_limit: 500, default_from_name: 'Us', providers });
    expect(row).toMatchObject({ subdomain: 'news', host: `news.d${counter}.example`, status: 'PENDING', providers });
    const list = await call('get', '/domains?limit=200');
    expect(list.body.items).toContainEqual(row);
  });

  test('begin unmeasured, unwarmed and with a day of their own', async () => {
    const { body } = await call('get', `/domains/${(await domain({ daily_limit: 500 })).id}`);
    expect(body).toMatchObject({
      ...{ daily_limit: 500, daily_sent: 0, health_score: null, health_status: null, is_default: false },
      ...{ warming_status: 'NOT_STARTED', warming_schedule_id: null, warming_started_at: null, warming_day: null },
      dns_records: { spf: [], dkim: [], dmarc: [], return_path: [] },
    });
    await api.db.query(sql`
      INSERT INTO capacity (workspace_id, kind, resource_id, window_key, limit_units, used)
      VALUES (${api.workspace.id}, 'domain-day', ${body.id}, sally_now()::date::text, 500, 42)`);
    await api.db.query(sql`
      UPDATE sending_domains SET health_score = 72.5, warming_status = 'IN_PROGRESS', warming_day = 3,
        warming_started_at = '2026-11-01T00:00:00Z' WHERE id = ${body.id}`);
    expect((await call('get', `/domains/${body.id}`)).body).toMatchObject({
      ...{ daily_sent: 42, health_score: 72.5, health_status: 'GOOD' },
      ...{ warming_status: 'IN_PROGRESS', warming_day: 3, warming_started_at: '2026-11-01T00:00:00.000Z' },
    });
    expect(Date.parse(body.daily_reset_at)).toBeGreaterThan(Date.now());
  });

  test('are changed in what is given, and one of them is the default', async () => {
    const { id } = await provider();
    const dmarc = [{ type: 'TXT', name: '_dmarc.d.example', value: 'v=DMARC1; p=none' }];
    const first = await domain({ daily_limit: 5, is_default: true, default_from_name: 'Us', dns_records: { dmarc } });
    const spf = [{ type: 'TXT', name: 'd.example', value: 'v=spf1 include:relay.example -all' }];
    const change = { status: 'PAUSED', dns_records: { spf }, providers: [{ provider_id: id, dkim: true, spf: true }] };
    const response = await call('patch', `/domains/${first.id}`, change);
    expect(response.body).toMatchObject({
      ...{ status: 'PAUSED', daily_limit: 5, default_from_name: 'Us', is_default: true, version: 2 },
      ...{ dns_records: { spf, dkim: [], dmarc, return_path: [] }, providers: change.providers },
    });
    await domain({ is_default: true });
    expect((await call('get', `/domains/${first.id}`)).body).toMatchObject({ is_default: false, version: 3 });
    const back = await call('patch', `/domains/${first.id}`, { status: 'PENDING', daily_limit: null });
    expect(back.body).toMatchObject({ status: 'PENDING', daily_limit: null, dns_records: { spf } });
    const headers = { 'If-Match': '"v1"' };
    const stale = { token: api.tokens.operator, body: {}, headers };
    expect((await api.request('patch', `${BASE}/domains/${first.id}`, stale)).status).toBe(412);
    expect((await call('patch', `/domains/${ABSENT}`, {})).status).toBe(404);
    const trail = await many(api.db, sql`SELECT 1 FROM audit_log WHERE entity_id = ${first.id}`);
    expect(trail).toHaveLength(4);
  });

  test.each([
    ['a status that is not for people', { status: 'ACTIVE' }, '/body/status'],
    ['what only warming writes', { warming_day: 2 }, '/body'],
    ['another name', { domain: 'y.example' }, '/body'],
    [
      'a record of another type',
      { dns_records: { spf: [{ type: 'A', name: 'x', value: 'y' }] } },
      '/body/dns_records/spf/0/type',
    ],
    [
      'a record of two lines',
      { dns_records: { spf: [{ type: 'TXT', name: 'x', value: 'y\nz' }] } },
      '/body/dns_records/spf/0/value',
    ],
    ['a record that nobody knows', { dns_records: { bimi: [] } }, '/body/dns_records'],
  ])('are not changed to %s', async (_, body, pointer) => {
    const response = await call('patch', `/domains/${(await domain()).id}`, body);
    expect([response.status, response.body.errors[0].pointer]).toEqual([422, pointer]);
  });

  test.each([
    ['no domain', { domain: 'localhost' }, 422, '/body/domain'],
    ['a name that is none', { domain: '-x.example' }, 422, '/body/domain'],
    ['a limit of 0', { domain: 'x.example', daily_limit: 0 }, 422, '/body/daily_limit'],
    [
      'an unknown provider',
      { domain: 'x.example', providers: [{ provider_id: ABSENT, dkim: true, spf: true }] },
      422,
      '/body/providers/0/provider_id',
    ],
    ['a header injection', { domain: 'x.example', default_from_name: 'a\r\nBcc: b' }, 422, '/body/default_from_name'],
    ['an unknown field', { domain: 'x.example', dns: 1 }, 422, '/body'],
  ])('refuse %s', async (_, body, status, pointer) => {
    const response = await call('post', '/domains', body);
    expect(response.status).toBe(status);
    expect(response.body.errors[0].pointer).toContain(pointer);
  });

  test('exist once, and their providers cannot be deleted', async () => {
    const { id } = await provider();
    const row = await domain({ providers: [{ provider_id: id, dkim: true, spf: true }] });
    const again = await call('post', '/domains', { domain: row.host.toUpperCase() });
    expect([again.status, again.body.errors[0].pointer]).toEqual([409, '/body/domain']);
    expect((await call('delete', `/providers/${id}`)).status).toBe(409);
  });
});

describe('sending identities', () => {
  test('belong to their domain, and one of them is the default', async () => {
    const { id, host } = await domain();
    const first = await made('/identities', { email: `A@${host}`, is_default: true });
    expect(first).toMatchObject({ domain_id: id, email: `a@${host}`, display_name: '', is_default: true });
    await made('/identities', { email: `b@${host}`, is_default: true });
    const { items } = (await call('get', '/identities?limit=200')).body;
    expect(items.find((item: { id: string }) => item.id === first.id)).toMatchObject({ is_default: false, version: 2 });
  });

  test('need a domain of the workspace, and exist once', async () => {
    const { host } = await domain();
    const foreign = await call('post', '/identities', { email: 'a@nowhere.example' });
    expect([foreign.status, foreign.body.errors[0].pointer]).toEqual([422, '/body/email']);
    await made('/identities', { email: `a@${host}` });
    expect((await call('post', '/identities', { email: `a@${host}` })).status).toBe(409);
  });

  test('of an address that mail was sent from before take its place in the routes', async () => {
    const { host } = await domain();
    const email = `early@${host}`;
    const workspace = api.workspace.id;
    const { rows } = await api.db.query<{ id: string }>(
      'INSERT INTO sending_identities (workspace_id, email) VALUES ($1, $2) RETURNING id',
      [workspace, email],
    );
    const hidden = await call('get', '/identities?limit=200');
    expect(hidden.text).not.toContain(email);
    expect((await made('/identities', { email })).id).toBe(rows[0]?.id);
  });

  test('are kept while a pool needs them; deleted, they can be made again', async () => {
    const { host } = await domain();
    const { id } = await made('/identities', { email: `a@${host}` });
    const { id: poolId } = await pool({ members: [{ provider_id: (await provider()).id, identity_id: id }] });
    const refused = await call('delete', `/identities/${id}`);
    expect([refused.status, refused.body.pools]).toEqual([409, 1]);
    expect((await call('delete', `/pools/${poolId}`)).status).toBe(204);
    expect((await call('delete', `/identities/${id}`)).status).toBe(204);
    expect((await call('patch', `/identities/${id}`, { display_name: 'x' })).status).toBe(404);
    expect((await made('/identities', { email: `a@${host}` })).id).toBe(id);
  });
});

describe('dedicated IPs', () => {
  test('say how their provider is told to use them', async () => {
    const { id } = await provider();
    const ip = await made('/dedicated-ips', { provider_id: id, ip_address: '192.0.2.7', egress: { port: 2_525 } });
    expect(ip).toMatchObject({
      ...{ ip_address: '192.0.2.7', egress: { port: 2_525 }, status: 'ACTIVE', daily_limit: null, daily_sent: 0 },
      ...{ warming_status: 'NOT_STARTED', warming_schedule_id: null, warming_started_at: null, warming_day: null },
      ...{ blacklist_status: [], health_score: null, health_status: null, daily_reset_at: expect.any(String) },
    });
    const changed = await call('patch', `/dedicated-ips/${ip.id}`, { status: 'PAUSED', daily_limit: 50 });
    expect(changed.body).toMatchObject({ egress: { port: 2_525 }, status: 'PAUSED', daily_limit: 50, version: 2 });
    const twice = await call('post', '/dedicated-ips', {
      provider_id: id,
      ip_address: '192.0.2.7',
      egress: { port: 1 },
    });
    expect(twice.status).toBe(409);
  });

  test('may have a log-in of their own, which is sealed and never shown', async () => {
    const { id } = await provider();
    const credentials = { username: 'ip-1', password: 'only for this IP' };
    const response = await call('post', '/dedicated-ips', { provider_id: id, ip_address: '192.0.2.30', credentials });
    expect(response.body).toMatchObject({ egress: {}, has_credentials: true });
    expect(response.text).not.toContain('only for this IP');
    const stored = await one<{ credentials: Buffer }>(
      api.db,
      sql`SELECT credentials FROM dedicated_ips WHERE id = ${response.body.id}`,
    );
    expect(stored?.credentials.toString('latin1')).not.toContain('only for this IP');
    expect(stored && openCredentials(api.deps.keyring, stored.credentials)).toEqual(credentials);
    const path = `/dedicated-ips/${response.body.id}`;
    // What a change does not name stays.
    expect((await call('patch', path, { daily_limit: 5 })).body.has_credentials).toBe(true);
    // Without them nothing tells the relay which IP is meant.
    const alone = await call('patch', path, { credentials: null });
    expect([alone.status, alone.body.errors[0].pointer]).toEqual([422, '/body/egress']);
    const other = await call('patch', path, { credentials: { ...credentials, password: 'another for this IP' } });
    expect(other.body.has_credentials).toBe(true);
    const moved = await call('patch', path, { credentials: null, egress: { port: 2_525 } });
    expect(moved.body).toMatchObject({ egress: { port: 2_525 }, has_credentials: false });
    const trail = await many(api.db, sql`SELECT * FROM audit_log WHERE entity_id = ${response.body.id}`);
    expect(trail.length).toBe(4);
    expect(JSON.stringify(trail)).not.toContain('for this IP');
  });

  test('with a log-in that no key opens take nothing, and an alert says so until it can be opened again', async () => {
    const { id } = await provider();
    const credentials = { username: 'ip-1', password: 'secret' };
    const ip = await made('/dedicated-ips', { provider_id: id, ip_address: '192.0.2.31', credentials });
    await pool({ members: [{ provider_id: id, dedicated_ip_id: ip.id }] });
    const workspaceId = api.workspace.id;
    const look = async (keyring: Keyring) => {
      const ways = await loadWaysOut(api.db, workspaceId);
      await openIpCredentials(api.db, workspaceId, keyring, ways);
      const members = [...ways.pools.values()].flatMap((known) => known.members);
      const found = members.find((member) => member.ip?.id === ip.id)?.ip;
      const alerts = await many(
        api.db,
        sql`SELECT 1 FROM alerts WHERE workspace_id = ${workspaceId} AND resolved_at IS NULL AND cause = ${`${id}/${ip.id}`}`,
      );
      return { isPaused: found?.isPaused, credentials: found?.credentials, alerts: alerts.length };
    };
    expect(await look(api.deps.keyring)).toEqual({ isPaused: false, credentials, alerts: 0 });
    const stranger = new Keyring(`other:${randomToken(32)}`);
    expect(await look(stranger)).toEqual({ isPaused: true, credentials: undefined, alerts: 1 });
    expect(await look(stranger)).toMatchObject({ alerts: 1 });
    expect(await look(api.deps.keyring)).toEqual({ isPaused: false, credentials, alerts: 0 });
    // Rotated, they need the older key no more.
    const newest = `new:${randomToken(32)}`;
    await rotateKeys(api.db, new Keyring(`${newest},${api.deps.config.SALLY_SECRETS}`));
    expect(await look(new Keyring(newest))).toEqual({ isPaused: false, credentials, alerts: 0 });
    await rotateKeys(api.db, new Keyring(`${api.deps.config.SALLY_SECRETS},${newest}`));
  });

  test('of an API refuse a log-in', async () => {
    const sendgrid = { name: 'API', provider_type: 'SENDGRID', credentials: { api_key: 'key' } };
    const { id } = await made('/providers', sendgrid);
    const more = { egress: { ip_pool: 'one' }, credentials: { username: 'x', password: 'y' } };
    const response = await call('post', '/dedicated-ips', { provider_id: id, ip_address: '192.0.2.32', ...more });
    expect([response.status, response.body.errors[0].pointer]).toEqual([422, '/body/credentials']);
  });

  test.each([
    ['an address that is none', { ip_address: '192.0.2.256' }, '/body/ip_address'],
    ['a network', { ip_address: '192.0.2.0/24' }, '/body/ip_address'],
    ['an egress that says nothing', { egress: {} }, '/body/egress'],
    ['an egress of another type', { egress: { configuration_set: 'x' } }, '/body/egress'],
    ['a password without a user', { credentials: { password: 'x' } }, '/body/credentials/username'],
    ['a password of two lines', { credentials: { username: 'x', password: 'x\ny' } }, '/body/credentials/password'],
    ['a port that is none', { egress: { port: 70_000 } }, '/body/egress/port'],
    ['an unknown provider', { provider_id: ABSENT }, '/body/provider_id'],
  ])('refuse %s', async (_, more, pointer) => {
    const good = { provider_id: (await provider()).id, ip_address: '192.0.2.9', egress: { port: 2_525 } };
    const response = await call('post', '/dedicated-ips', { ...good, ...more });
    expect([response.status, response.body.errors[0].pointer]).toEqual([422, pointer]);
  });

  test('in a pool stay', async () => {
    const { id } = await provider();
    const ip = await made('/dedicated-ips', {
      provider_id: id,
      ip_address: '2001:db8::1',
      egress: { host: 'mta.example' },
    });
    await pool({ members: [{ provider_id: id, dedicated_ip_id: ip.id }] });
    expect((await call('delete', `/dedicated-ips/${ip.id}`)).status).toBe(409);
    const refused = await call('delete', `/providers/${id}`);
    expect([refused.status, refused.body.detail]).toEqual([409, expect.stringContaining('is used by')]);
  });
});

describe('sending pools', () => {
  test('have members with weights, which keep their ids when the list is written again', async () => {
    const [one, two] = [await provider(), await provider()];
    const members = [
      { provider_id: one.id, weight: 3 },
      { provider_id: two.id, mx_groups: ['gmail'] },
    ];
    const before = await pool({ strategy: 'weighted', members });
    expect(before).toMatchObject({
      strategy: 'weighted',
      members: [
        { provider_id: one.id, identity_id: null, dedicated_ip_id: null, weight: 3, priority: 5, mx_groups: [] },
        { provider_id: two.id, weight: 1, mx_groups: ['gmail'] },
      ],
    });
    const kept = { provider_id: two.id, weight: 7, priority: 1 };
    const after = (await call('patch', `/pools/${before.id}`, { members: [kept] })).body;
    expect(after.members).toEqual([
      { id: before.members[1]?.id, ...kept, identity_id: null, dedicated_ip_id: null, mx_groups: [] },
    ]);
    expect((await call('get', `/pools/${before.id}`)).body).toEqual(after);
  });

  test('one is the default', async () => {
    const first = await pool({ is_default: true });
    await pool({ is_default: true });
    expect((await call('get', `/pools/${first.id}`)).body).toMatchObject({ is_default: false, version: 2 });
  });

  test.each([
    ['without members', () => ({ members: [] }), '/body/members'],
    ['with an unknown provider', () => ({ members: [{ provider_id: ABSENT }] }), '/body/members/0/provider_id'],
    ['with a weight of 0', (id: string) => ({ members: [{ provider_id: id, weight: 0 }] }), '/body/members/0/weight'],
    ['with half a weight', (id: string) => ({ members: [{ provider_id: id, weight: 0.5 }] }), '/body/members/0/weight'],
    [
      'with a member twice',
      (id: string) => ({ members: [{ provider_id: id }, { provider_id: id }] }),
      '/body/members/1',
    ],
    [
      'with an unknown identity',
      (id: string) => ({ members: [{ provider_id: id, identity_id: ABSENT }] }),
      '/body/members/0/identity_id',
    ],
    [
      'with an unknown IP',
      (id: string) => ({ members: [{ provider_id: id, dedicated_ip_id: ABSENT }] }),
      '/body/members/0/dedicated_ip_id',
    ],
    [
      'with an unknown mailbox provider',
      (id: string) => ({ members: [{ provider_id: id, mx_groups: ['x'] }] }),
      '/body/members/0/mx_groups/0',
    ],
    [
      'with an unknown strategy',
      (id: string) => ({ members: [{ provider_id: id }], strategy: 'random' }),
      '/body/strategy',
    ],
  ])('are not made %s', async (_, more, pointer) => {
    const response = await call('post', '/pools', { name: 'No pool', ...more((await provider()).id) });
    expect([response.status, response.body.errors[0].pointer]).toEqual([422, pointer]);
  });

  test.each([
    ['without members', () => [], '/body/members'],
    ['with a weight of 0', (id: string) => [{ provider_id: id, weight: 0 }], '/body/members/0/weight'],
  ])('are not left %s', async (_, members, pointer) => {
    const before = await pool();
    const response = await call('patch', `/pools/${before.id}`, { members: members((await provider()).id) });
    expect([response.status, response.body.errors[0].pointer]).toEqual([422, pointer]);
    expect((await call('get', `/pools/${before.id}`)).body).toEqual(before);
  });

  test('are not made of an IP of another provider, nor of an identity whose domain names others', async () => {
    const [one, two] = [await provider(), await provider()];
    const ip = await made('/dedicated-ips', { provider_id: one.id, ip_address: '192.0.2.20', egress: { port: 25 } });
    const foreign = { name: 'No pool', members: [{ provider_id: two.id, dedicated_ip_id: ip.id }] };
    expect((await call('post', '/pools', foreign)).status).toBe(422);
    const { host } = await domain({ providers: [{ provider_id: one.id, dkim: true, spf: true }] });
    const { id } = await made('/identities', { email: `a@${host}` });
    const unaligned = { name: 'No pool', members: [{ provider_id: two.id, identity_id: id }] };
    const response = await call('post', '/pools', unaligned);
    expect([response.status, response.body.errors[0].pointer]).toEqual([422, '/body/members/0/identity_id']);
  });

  test('are changed at the version that is meant', async () => {
    const { id } = await pool();
    const headers = { 'If-Match': '"v9"' };
    const response = await api.request('patch', `${BASE}/pools/${id}`, {
      token: api.tokens.operator,
      body: {},
      headers,
    });
    expect(response.status).toBe(412);
  });

  test('keep their names to themselves until they are deleted', async () => {
    const { id } = await pool({ name: 'The only one' });
    const again = { name: 'The only one', members: [{ provider_id: (await provider()).id }] };
    expect((await call('post', '/pools', again)).status).toBe(409);
    expect((await call('delete', `/pools/${id}`)).status).toBe(204);
    expect((await call('get', `/pools/${id}`)).status).toBe(404);
    await made('/pools', again);
  });
});
