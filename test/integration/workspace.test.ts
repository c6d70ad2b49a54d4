import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { Client } from 'pg';
import { loadSenders } from '../../db/senders';
import { rateLimitBucket, takeRateLimit } from '../../db/workspace';
import { createOwner, rotateKeys } from '../../dev/admin';
import { AddressHasher, Keyring, randomToken } from '../../platform/crypto';
import { Database, many, one, sql } from '../../platform/postgres';
import { startTestApi, TEST_PASSWORD, type TestApi, type TestRequest, type TestWorkspace } from '../support/api';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'workspace' });
});
afterEach(() => asOwner('DELETE FROM test_clock'));
afterAll(() => api.close());

/** Only the owner of the schema may move time. */
async function asOwner(text: string): Promise<void> {
  const owner = new Client({ connectionString: api.database.ownerUrl });
  await owner.connect();
  await owner.query(text).finally(() => owner.end());
}

/** Rate limits count in windows by the clock: sets it back to the beginning of the present one. */
const beginWindow = (seconds: number) =>
  asOwner(`INSERT INTO test_clock (moved_by)
    SELECT to_timestamp(floor(extract(epoch FROM now()) / ${seconds}) * ${seconds}) - now()
    ON CONFLICT (only_row) DO UPDATE SET moved_by = excluded.moved_by`);

const post = (path: string, body: unknown, request: TestRequest = {}) =>
  api.request('POST', path, { ...request, body });

describe('signing in', () => {
  test('gives a session that works', async () => {
    const { email, id } = api.workspace.people.marketer;
    const response = await post('/auth/sessions', { email: ` ${email.toUpperCase()} `, password: TEST_PASSWORD });
    expect(response.status).toBe(201);
    expect(response.body.user).toEqual({ id, email, name: 'The marketer' });
    const own = await api.request('GET', '/auth/workspaces', { token: response.body.token });
    expect(own.body.items).toEqual([
      { id: api.workspace.id, name: 'Test workspace', slug: api.workspace.slug, role: 'marketer' },
    ]);
  });

  test('says the same to a wrong password, an unknown address and nonsense', async () => {
    const answers = await Promise.all(
      [
        { email: api.workspace.people.owner.email, password: 'wrong' },
        { email: 'nobody@people.example', password: TEST_PASSWORD },
        { email: 'not an address', password: TEST_PASSWORD },
      ].map((body) => post('/auth/sessions', body)),
    );
    const [first, ...others] = answers.map(({ status, body }) => ({ status, ...body, instance: '' }));
    expect(first).toMatchObject({ status: 401, type: 'urn:sally:problem:unauthenticated' });
    for (const other of others) expect(other).toEqual(first);
  });

  test('is limited per address, and the limit is hidden for nobody', async () => {
    await beginWindow(15 * 60);
    const { email } = (await api.createWorkspace()).people.viewer;
    const attempt = (address: string) => post('/auth/sessions', { email: address, password: 'wrong' });
    for (const address of [email, 'unknown-but-tried@people.example']) {
      const statuses = [];
      for (let n = 0; n < 11; n += 1) statuses.push((await attempt(address)).status);
      expect(statuses).toEqual([...Array(10).fill(401), 429]);
    }
    const refused = await post('/auth/sessions', { email, password: TEST_PASSWORD });
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    const buckets = await many<{ bucket: string }>(api.db, sql`SELECT bucket FROM rate_limit_counters`);
    expect(buckets.filter(({ bucket }) => bucket.includes('@') || bucket.includes('127.0.0.1'))).toEqual([]);
  });

  test('ends with a new password, with being disabled, and with an altered token', async () => {
    const { owner } = (await api.createWorkspace()).people;
    const list = (token: string) => api.request('GET', '/auth/workspaces', { token });
    const wrong = { current_password: 'wrong', new_password: 'a new long password' };
    expect((await post('/auth/password', wrong, { token: owner.token })).status).toBe(422);
    const changed = await post('/auth/password', { ...wrong, current_password: TEST_PASSWORD }, { token: owner.token });
    expect(changed.status).toBe(201);
    expect((await list(owner.token)).status).toBe(401);
    expect((await list(changed.body.token)).status).toBe(200);
    const [header, , signature] = changed.body.token.split('.');
    const forged = Buffer.from(JSON.stringify({ sub: owner.id, epoch: 2, exp: 4_000_000_000 })).toString('base64url');
    expect((await list([header, forged, signature].join('.'))).status).toBe(401);
    const none = Buffer.from(JSON.stringify({ alg: 'none', typ: 'JWT' })).toString('base64url');
    expect((await list(`${none}.${forged}.`)).status).toBe(401);
    await api.db.query(sql`UPDATE users SET disabled_at = sally_now() WHERE id = ${owner.id}`);
    expect((await list(changed.body.token)).status).toBe(401);
    expect((await post('/auth/sessions', { email: owner.email, password: 'a new long password' })).status).toBe(401);
  });
});

describe('workspaces', () => {
  test('a new one has its creator as owner, what it needs to begin, and a slug of its own', async () => {
    const token = api.tokens.viewer;
    const first = await post('/workspaces', { name: 'Çelik & Co', time_zone: 'europe/istanbul' }, { token });
    expect(first.status).toBe(201);
    expect(first.headers.get('etag')).toBe('"v1"');
    expect(first.body).toMatchObject({
      name: 'Çelik & Co',
      slug: 'celik-co',
      time_zone: 'Europe/Istanbul',
      approval_mode: 'FOUR_EYES',
      opt_in_reminder_seconds: 172_800,
      opt_in_expiry_seconds: 604_800,
    });
    const second = await post('/workspaces', { name: 'Çelik & Co' }, { token });
    expect(second.status).toBe(201);
    expect(second.body.slug).toMatch(/^celik-co-.+/);
    expect((await post('/workspaces', { name: 'X', slug: 'celik-co' }, { token })).status).toBe(422);
    const members = await api.request('GET', `/workspaces/${first.body.id}/members`, { token });
    expect(members.body.items).toEqual([expect.objectContaining({ role: 'owner', name: 'The viewer' })]);
    const seeded = await one<{ purposes: number; templates: number }>(
      api.db,
      sql`SELECT (SELECT count(*) FROM purposes WHERE workspace_id = ${first.body.id}) AS purposes,
            (SELECT count(*) FROM templates WHERE workspace_id = ${first.body.id}) AS templates`,
    );
    // Three system mails in three languages.
    expect(seeded).toEqual({ purposes: 2, templates: 9 });
  });

  test('are changed field by field, checked, and versioned', async () => {
    const { id, tokens } = await api.createWorkspace();
    const path = `/workspaces/${id}`;
    const patch = (body: unknown, headers?: Record<string, string>) =>
      api.request('PATCH', path, { token: tokens.owner, body, headers });
    const changed = await patch({
      time_zone: 'America/Sao_Paulo',
      approval_mode: 'SELF',
      from_email: 'News@MÜNCHEN.example',
      message_domain: 'Mail.Example.COM',
      template_context: { company: { name: 'Acme' } },
      test_recipients: ['a@people.example', 'A@people.example'],
      opt_in_reminder_seconds: 3_600,
      opt_in_expiry_seconds: 7_200,
      postal_address: '1 Street\n12345 Town',
    });
    expect(changed.body).toMatchObject({
      time_zone: 'America/Sao_Paulo',
      from_email: 'news@xn--mnchen-3ya.example',
      message_domain: 'mail.example.com',
      test_recipients: ['a@people.example'],
      version: 2,
    });
    expect((await api.request('GET', path, { token: tokens.viewer })).body).toEqual(changed.body);
    expect((await patch({ name: 'Late' }, { 'if-match': '"v1"' })).status).toBe(412);
    expect((await patch({ name: 'In time' }, { 'if-match': '"v2"' })).status).toBe(200);
    const wrong: [unknown, string][] = [
      [{ time_zone: 'Mars/Olympus' }, '/body/time_zone'],
      [{ time_zone: '+02:00' }, '/body/time_zone'],
      [{ from_email: 'nobody' }, '/body/from_email'],
      [{ from_name: 'Evil\r\nBcc: x@y.example' }, '/body/from_name'],
      [{ message_domain: 'a b' }, '/body/message_domain'],
      [{ postal_address: 'nul\0' }, '/body/postal_address'],
      [{ template_context: { a: 'nul\0' } }, '/body/template_context'],
      [{ template_context: { a: 'x'.repeat(40_000) } }, '/body/template_context'],
      [{ test_recipients: ['nobody'] }, '/body/test_recipients/0'],
      [{ opt_in_reminder_seconds: 7_200 }, '/body/opt_in_reminder_seconds'],
      [{ approval_mode: 'NOBODY' }, '/body/approval_mode'],
      [{ slug: 'other' }, '/body'],
    ];
    for (const [body, pointer] of wrong) {
      const response = await patch(body);
      expect({ status: response.status, pointer: response.body.errors?.[0]?.pointer }).toEqual({
        status: 422,
        pointer,
      });
    }
  });
});

describe('members', () => {
  let workspace: TestWorkspace;
  const call = (method: string, path: string, body?: unknown) =>
    api.request(method, `/workspaces/${workspace.id}${path}`, { token: workspace.tokens.owner, body });
  beforeEach(async () => {
    workspace = await api.createWorkspace();
  });

  test('a person who is invited becomes a member, once', async () => {
    const made = await call('POST', '/invitations', { email: 'Grace@People.example', role: 'approver' });
    expect(made.status).toBe(201);
    const accept = { token: made.body.token, name: 'Grace', password: 'a long password' };
    const accepted = await Promise.all([
      post('/auth/invitations/accept', accept),
      post('/auth/invitations/accept', accept),
    ]);
    expect(accepted.map(({ status }) => status).filter((status) => status === 201)).toHaveLength(1);
    expect(accepted.every(({ status }) => [201, 409, 410, 422].includes(status))).toBe(true);
    expect((await post('/auth/invitations/accept', accept)).status).toBe(410);
    const session = await post('/auth/sessions', { email: 'grace@people.example', password: 'a long password' });
    const seen = await api.request('GET', `/workspaces/${workspace.id}`, { token: session.body.token });
    expect(seen.status).toBe(200);
    expect((await call('GET', '/invitations')).body.items).toEqual([
      expect.objectContaining({ email: 'grace@people.example', status: 'ACCEPTED' }),
    ]);
    expect((await call('POST', '/invitations', { email: 'grace@people.example', role: 'viewer' })).status).toBe(409);
  });

  test('somebody who has an account joins with its password', async () => {
    const { people } = await api.createWorkspace();
    const made = await call('POST', '/invitations', { email: people.owner.email, role: 'viewer' });
    const body = { token: made.body.token, name: 'Other', password: 'not the password' };
    expect((await post('/auth/invitations/accept', body)).status).toBe(422);
    expect((await post('/auth/invitations/accept', { ...body, password: TEST_PASSWORD })).status).toBe(201);
    const own = await api.request('GET', '/auth/workspaces', { token: people.owner.token });
    expect(own.body.items.map((item: { role: string }) => item.role).sort()).toEqual(['owner', 'viewer']);
  });

  test('an invitation ends by being revoked, replaced or old', async () => {
    const invite = () => call('POST', '/invitations', { email: 'late@people.example', role: 'viewer' });
    const accept = (token: string) =>
      post('/auth/invitations/accept', { token, name: 'Late', password: 'a long password' });
    const [replaced, revoked] = [await invite(), await invite()];
    expect((await call('DELETE', `/invitations/${revoked.body.id}`)).status).toBe(204);
    expect((await call('DELETE', `/invitations/${revoked.body.id}`)).status).toBe(409);
    const old = await invite();
    await api.db.query(sql`UPDATE invitations SET expires_at = sally_now() WHERE id = ${old.body.id}`);
    for (const { body } of [replaced, revoked, old]) expect((await accept(body.token)).status).toBe(410);
    expect((await accept('no such token')).status).toBe(410);
    const statuses = (await call('GET', '/invitations')).body.items.map((item: { status: string }) => item.status);
    expect(statuses).toEqual(['EXPIRED', 'REVOKED', 'REVOKED']);
  });

  test('there is always an owner, also when two remove each other at once', async () => {
    const { owner, viewer } = workspace.people;
    expect((await call('PATCH', `/members/${owner.id}`, { role: 'viewer' })).status).toBe(409);
    expect((await call('DELETE', `/members/${owner.id}`)).status).toBe(409);
    expect((await call('PATCH', `/members/${viewer.id}`, { role: 'owner' })).status).toBe(200);
    const both = await Promise.all([
      api.request('DELETE', `/workspaces/${workspace.id}/members/${viewer.id}`, { token: owner.token }),
      api.request('DELETE', `/workspaces/${workspace.id}/members/${owner.id}`, { token: viewer.token }),
    ]);
    expect(both.filter(({ status }) => status === 204)).toHaveLength(1);
    const owners = await one<{ n: number }>(
      api.db,
      sql`SELECT count(*) AS n FROM memberships WHERE workspace_id = ${workspace.id} AND role = 'owner'`,
    );
    expect(owners?.n).toBe(1);
  });

  test('a member who is removed can do nothing, nor can their keys', async () => {
    const { marketer } = workspace.people;
    const made = await api.request('POST', `/workspaces/${workspace.id}/api-keys`, {
      token: marketer.token,
      body: { name: 'Mine', scopes: ['workspace:read'] },
    });
    const read = (token: string) => api.request('GET', `/workspaces/${workspace.id}`, { token });
    expect((await read(made.body.key)).status).toBe(200);
    expect((await call('DELETE', `/members/${marketer.id}`)).status).toBe(204);
    expect((await read(made.body.key)).status).toBe(401);
    expect((await read(marketer.token)).status).toBe(404);
  });
});

describe('API keys', () => {
  test('are shown once, kept as a hash, listed to who may see them, and revoked', async () => {
    const { tokens, id } = await api.createWorkspace();
    const base = `/workspaces/${id}/api-keys`;
    const create = (token: string, body: unknown) => api.request('POST', base, { token, body });
    const made = await create(tokens.marketer, { name: 'Import', scopes: ['contacts:write', 'contacts:write'] });
    expect(made.body).toMatchObject({ scopes: ['contacts:write'], last_used_at: null, revoked_at: null });
    expect(made.body.key).toMatch(/^sally_[\w-]{43}$/);
    const stored = await one<{ all: string }>(
      api.db,
      sql`SELECT to_jsonb(k)::text AS all FROM api_keys k WHERE id = ${made.body.id}`,
    );
    expect(stored?.all).not.toContain(made.body.key);
    const audited = await many<{ text: string }>(
      api.db,
      sql`SELECT to_jsonb(a)::text AS text FROM audit_log a WHERE workspace_id = ${id}`,
    );
    expect(audited.filter(({ text }) => text.includes(made.body.key))).toEqual([]);

    const names = async (token: string) =>
      (await api.request('GET', base, { token })).body.items.map((item: { name: string }) => item.name);
    expect(await names(tokens.marketer)).toEqual(['Import']);
    expect(await names(tokens.approver)).toEqual([]);
    expect(await names(tokens.owner)).toEqual(['Import', 'Test']);
    expect((await api.request('DELETE', `${base}/${made.body.id}`, { token: tokens.approver })).status).toBe(404);
    await api.request('GET', '/workspaces/x', { token: made.body.key });
    await api.request('GET', `/workspaces/${id}`, { token: made.body.key });
    const used = await api.request('GET', base, { token: tokens.marketer });
    expect(used.body.items[0].last_used_at).not.toBeNull();
    expect((await api.request('DELETE', `${base}/${made.body.id}`, { token: tokens.owner })).status).toBe(204);
    expect((await api.request('GET', `/workspaces/${id}`, { token: made.body.key })).status).toBe(401);
    expect((await api.request('DELETE', `${base}/${made.body.id}`, { token: tokens.owner })).status).toBe(409);
  });

  test('cannot do more than who makes them, nor can a key make a wider one', async () => {
    const { tokens, id } = await api.createWorkspace();
    const base = `/workspaces/${id}/api-keys`;
    const create = (token: string, scopes: string[], expires_at?: string) =>
      api.request('POST', base, { token, body: { name: 'Key', scopes, expires_at } });
    const beyond = await create(tokens.marketer, ['contacts:read', 'content:approve']);
    expect(beyond.status).toBe(422);
    expect(beyond.body.errors[0].pointer).toBe('/body/scopes/1');
    const narrow = await create(tokens.owner, ['keys:write']);
    expect((await create(narrow.body.key, ['members:write'])).status).toBe(422);
    expect((await create(narrow.body.key, ['keys:write'])).status).toBe(201);
    expect((await create(tokens.owner, ['no:such'])).status).toBe(422);
    expect((await create(tokens.owner, ['audit:read'], '2020-01-01T00:00:00Z')).status).toBe(422);
  });

  test('end at their time, and with the role that they lean on', async () => {
    const { tokens, id, people } = await api.createWorkspace();
    const soon = new Date(Date.now() + 3_600_000).toISOString();
    const made = await api.request('POST', `/workspaces/${id}/api-keys`, {
      token: tokens.operator,
      body: { name: 'Key', scopes: ['audit:read'], expires_at: soon },
    });
    const read = () => api.request('GET', `/workspaces/${id}/audit`, { token: made.body.key });
    expect((await read()).status).toBe(200);
    await api.request('PATCH', `/workspaces/${id}/members/${people.operator.id}`, {
      token: tokens.owner,
      body: { role: 'viewer' },
    });
    expect((await read()).status).toBe(403);
    await api.db.query(sql`UPDATE api_keys SET expires_at = sally_now() WHERE id = ${made.body.id}`);
    expect((await read()).status).toBe(401);
  });
});

describe('alerts', () => {
  test('are one per open cause, acknowledged and resolved', async () => {
    const { tokens, id, people } = await api.createWorkspace();
    const raise = (cause: string, severity = 'warning') =>
      api.db.query(sql`SELECT sally_raise_alert(${id}, 'test', ${cause}, ${severity}, 'Something', '{"n": 1}')`);
    await raise('a');
    await raise('b');
    await raise('a', 'critical');
    const list = async (status?: string) =>
      (await api.request('GET', `/workspaces/${id}/alerts`, { token: tokens.viewer, query: status ? { status } : {} }))
        .body.items;
    const [b, a] = await list();
    expect(a).toMatchObject({ cause: 'a', occurrences: 2, severity: 'critical', acknowledged_at: null });
    expect(b).toMatchObject({ cause: 'b', occurrences: 1 });
    const act = (verb: string) =>
      api.request('POST', `/workspaces/${id}/alerts/${a.id}/${verb}`, { token: tokens.operator });
    const noted = await act('acknowledge');
    expect(noted.body).toMatchObject({ acknowledged_by: people.operator.id, resolved_at: null });
    expect((await act('acknowledge')).body).toEqual(noted.body);
    expect((await act('resolve')).body.resolved_at).not.toBeNull();
    expect((await list()).map((alert: { cause: string }) => alert.cause)).toEqual(['b']);
    await raise('a');
    expect((await list('all')).map((alert: { cause: string }) => alert.cause)).toEqual(['a', 'b', 'a']);
  });
});

describe('rate limits', () => {
  test('count exactly under concurrency, over several processes’ pools', async () => {
    await beginWindow(86_400);
    const pools = [0, 1, 2].map(
      () => new Database({ url: api.database.apiUrl, applicationName: 'limit', connections: 5 }),
    );
    const bucket = rateLimitBucket(api.deps.addressHasher, 'test', 'somebody');
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, n) => takeRateLimit(pools[n % 3] ?? api.db, bucket, 25, 86_400)),
    );
    expect(answers.filter(({ allowed }) => allowed)).toHaveLength(25);
    await Promise.all(pools.map((pool) => pool.close()));
  });

  test('open again with the next window, and old counters go', async () => {
    await beginWindow(3_600);
    const bucket = rateLimitBucket(api.deps.addressHasher, 'test', randomToken());
    const take = () => takeRateLimit(api.db, bucket, 1, 3_600);
    expect([(await take()).allowed, (await take()).allowed]).toEqual([true, false]);
    await api.db.query(
      sql`UPDATE rate_limit_counters SET window_start = window_start - interval '3 days' WHERE bucket = ${bucket}`,
    );
    expect((await take()).allowed).toBe(true);
    const left = await many(api.db, sql`SELECT 1 FROM rate_limit_counters WHERE bucket = ${bucket}`);
    expect(left).toHaveLength(1);
  });
});

describe('the admin command', () => {
  test('makes the first owner, who can sign in', async () => {
    const options = {
      email: 'First@Owner.example',
      name: 'First',
      password: 'the first password',
      workspace: { name: 'Home', timeZone: 'Asia/Kathmandu' },
    };
    const made = await createOwner(api.db, options);
    expect(made.existed).toBe(false);
    const again = await createOwner(api.db, { ...options, password: 'ignored password', workspace: undefined });
    expect(again).toEqual({ userId: made.userId, existed: true, workspaceId: null });
    const session = await post('/auth/sessions', { email: 'first@owner.example', password: 'the first password' });
    const workspace = await api.request('GET', `/workspaces/${made.workspaceId}`, { token: session.body.token });
    expect(workspace.body).toMatchObject({
      name: 'Home',
      time_zone: 'Asia/Kathmandu',
      message_domain: 'owner.example',
    });
  });

  test('takes the password from standard input, or makes one and shows it once', async () => {
    const run = (email: string, input: string) =>
      new Promise<string>((resolve, reject) => {
        const args = ['create-owner', '--email', email, '--name', 'Typed'];
        const env = { ...process.env, ...api.environment };
        const child = execFile(
          process.execPath,
          ['--import', 'tsx', join(__dirname, '../../dev/admin.ts'), ...args],
          { env },
          (error, stdout) => (error ? reject(error) : resolve(stdout)),
        );
        child.stdin?.end(input);
      });
    const typed = await run('typed@owner.example', 'a typed password\nmore\n');
    expect(typed).toMatch(/^user [0-9a-f-]{36}\n$/);
    const session = await post('/auth/sessions', { email: 'typed@owner.example', password: 'a typed password' });
    expect(session.status).toBe(201);
    const made = /^password (\S+)$/m.exec(await run('made@owner.example', ''))?.[1];
    expect((await post('/auth/sessions', { email: 'made@owner.example', password: made })).status).toBe(201);
    await expect(run('short@owner.example', 'short\n')).rejects.toThrow('12 or more characters');
  });

  test('seals credentials again with the newest key', async () => {
    const [older, newer] = [randomToken(32), randomToken(32)];
    const before = new Keyring(`old:${older}`);
    const after = new Keyring(`new:${newer},old:${older}`);
    const { id } = await api.createWorkspace();
    const secret = Buffer.from('{"password":"secret"}');
    await api.db.query(
      sql`INSERT INTO providers (workspace_id, name, provider_type, credentials)
          VALUES (${id}, 'Relay', 'SMTP', ${before.seal('credentials', secret)})`,
    );
    expect(await rotateKeys(api.db, after)).toEqual({ rotated: 1, unreadable: [] });
    expect(await rotateKeys(api.db, after)).toEqual({ rotated: 0, unreadable: [] });
    const row = await one<{ credentials: Buffer }>(
      api.db,
      sql`SELECT credentials FROM providers WHERE workspace_id = ${id}`,
    );
    const onlyNew = new Keyring(`new:${newer}`);
    expect(row && onlyNew.open('credentials', row.credentials)).toEqual(secret);
    const { unreadable } = await rotateKeys(api.db, new Keyring(`other:${randomToken(32)}`));
    expect(unreadable).toHaveLength(1);
  });

  test('rotating keeps what is hashed with the suppression key, and every provider in use', async () => {
    const { id, tokens } = await api.createWorkspace();
    const path = `/workspaces/${id}/email-infrastructure/providers`;
    const credentials = { api_key: 'key' };
    const body = { name: 'SendGrid', provider_type: 'SENDGRID', credentials };
    expect((await api.request('post', path, { token: tokens.owner, body })).status).toBe(201);
    const address = 'never@contacts.example';
    await api.db.query(
      sql`INSERT INTO suppressions (workspace_id, address_hash, hint, reason, source)
          VALUES (${id}, ${api.deps.addressHasher.hash(address)}, '…@contacts.example', 'MANUAL', 'API')`,
    );
    const hashes = () => many(api.db, sql`SELECT * FROM suppressions WHERE workspace_id = ${id}`);
    const before = await hashes();
    expect(before).toHaveLength(1);
    // As the command runs: the newest key in front, the suppression key as it was.
    const { SALLY_SECRETS, SALLY_SUPPRESSION_KEY } = api.deps.config;
    const rotated = `k9:${randomToken(32)},${SALLY_SECRETS}`;
    await rotateKeys(api.db, new Keyring(rotated));
    expect(await hashes()).toEqual(before);
    expect(new AddressHasher(SALLY_SUPPRESSION_KEY).hash(address)).toEqual(api.deps.addressHasher.hash(address));
    const senders = await loadSenders(api.db, id, new Keyring(rotated), false);
    expect(senders).toMatchObject([{ providerType: 'SENDGRID', credentials }]);
    // The older keys are not needed for it any more.
    const alone = await loadSenders(api.db, id, new Keyring(rotated.split(',')[0] ?? ''), false);
    expect(alone).toMatchObject([{ providerType: 'SENDGRID', credentials }]);
  });
});
