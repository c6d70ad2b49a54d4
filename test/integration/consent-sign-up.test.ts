import { Client as PostgresClient } from 'pg';
import { one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestWorkspace } from '../support/api';
import { confirmToken, consentWorkspace, requestsOf } from '../support/consent-world';

/** Temporal is absent throughout: signing up and confirming must not need it. */
let api: TestApi;
let workspace: TestWorkspace;
let owner: PostgresClient;
let counter = 0;

beforeAll(async () => {
  api = await startTestApi({
    databaseName: 'consent_sign_up',
    temporal: 'absent',
    env: { PUBLIC_REQUESTS_PER_MINUTE: '100000' },
  });
  workspace = await consentWorkspace(api);
  owner = new PostgresClient(api.database.ownerUrl);
  await owner.connect();
});

afterAll(async () => {
  await owner.end();
  await api.close();
});

afterEach(async () => {
  await owner.query('DELETE FROM test_clock');
});

const clock = (by: string) =>
  owner.query(
    `INSERT INTO test_clock (moved_by) VALUES ($1) ON CONFLICT (only_row) DO UPDATE SET moved_by = excluded.moved_by`,
    [by],
  );

function address(): string {
  counter += 1;
  return `visitor-${counter}@visitors.example`;
}

const signUp = (body: object, slug = workspace.slug) => api.request('post', `/public/${slug}/sign-up`, { body });

/** Signs up and returns the request and the path of its link. */
async function signedUp(email: string, more: object = {}): Promise<{ id: string; contactId: string; path: string }> {
  expect((await signUp({ email, ...more })).status).toBe(202);
  const request = (await requestsOf(api, workspace.id, email)).at(-1);
  if (!request) throw new Error('no request');
  const path = `/confirm/${await confirmToken(api, workspace.id, request.id)}`;
  return { id: request.id, contactId: request.contact_id, path };
}

const contactRow = (id: string) =>
  one<{ status: string; first_name: string; last_name: string; fields: object; version: number }>(
    api.db,
    sql`SELECT status, first_name, last_name, fields, version FROM contacts WHERE id = ${id}`,
  );
const consentOf = async (id: string) =>
  (await one<{ status: string }>(api.db, sql`SELECT status FROM consents WHERE contact_id = ${id}`))?.status;
const count = async (table: string, contactId: string, where = 'true') =>
  Number(
    (
      await api.db.query<{ n: number }>(`SELECT count(*) AS n FROM ${table} WHERE contact_id = $1 AND ${where}`, [
        contactId,
      ])
    ).rows[0]?.n,
  );

describe('sign-up', () => {
  test('makes a contact, an open request, proof, a submission and an audit row, but no consent', async () => {
    const email = address();
    const { id, contactId } = await signedUp(email, { first_name: 'Ada', purpose: 'newsletter' });
    expect(await consentOf(contactId)).toBe('pending');
    expect(await contactRow(contactId)).toMatchObject({ status: 'ACTIVE', first_name: '' });
    expect(await count('submissions', contactId)).toBe(1);
    expect(
      await count('consent_events', contactId, `status = 'pending' AND source = 'sign_up' AND ip_address IS NOT NULL`),
    ).toBe(1);
    const audit = await one<{ actor_type: string }>(
      api.db,
      sql`SELECT actor_type FROM audit_log WHERE entity_id = ${id}`,
    );
    expect(audit?.actor_type).toBe('public');
  });

  test('answers alike for a new, a known and a trapped sign-up', async () => {
    const email = address();
    const first = await signUp({ email });
    const second = await signUp({ email });
    const trapped = await signUp({ email: address(), website: 'https://spam.example' });
    for (const response of [second, trapped]) {
      expect(response.status).toBe(first.status);
      expect(response.text).toBe(first.text);
      expect([...response.headers.keys()].sort()).toEqual([...first.headers.keys()].sort());
    }
    expect(await requestsOf(api, workspace.id, `visitor-${counter}@visitors.example`)).toEqual([]);
  });

  test('does not change an existing contact before the confirmation', async () => {
    const email = address();
    const { contactId, path } = await signedUp(email, { first_name: 'Ada' });
    await api.request('post', path);
    const before = await contactRow(contactId);
    await signUp({ email, first_name: 'Mallory', last_name: 'Buy now' });
    expect(await contactRow(contactId)).toEqual(before);
    expect(await consentOf(contactId)).toBe('granted');
  });

  test('20 at once for one address: one contact, one open request, at most 3 mails', async () => {
    const email = address();
    const answers = await Promise.all(Array.from({ length: 20 }, () => signUp({ email })));
    expect(answers.map((answer) => answer.status)).toEqual(Array(20).fill(202));
    const requests = await requestsOf(api, workspace.id, email);
    expect(requests).toHaveLength(1);
    expect(requests[0]?.mails_requested).toBeLessThanOrEqual(3);
  });

  test('a further sign-up uses the open request again and asks for at most 3 mails in 24 hours', async () => {
    const email = address();
    const { id } = await signedUp(email);
    const mails: (number | undefined)[] = [];
    for (const minutes of [1, 2, 3, 4]) {
      await clock(`${minutes} minutes`);
      await signUp({ email });
      const requests = await requestsOf(api, workspace.id, email);
      expect(requests.map((request) => request.id)).toEqual([id]);
      mails.push(requests[0]?.mails_requested);
    }
    expect(mails).toEqual([2, 3, 3, 3]);
    await clock('25 hours');
    await signUp({ email });
    expect((await requestsOf(api, workspace.id, email))[0]?.mails_requested).toBe(4);
  });

  test('sign-ups of one address beyond 20 an hour are answered alike and leave nothing behind', async () => {
    // Well inside a window of an hour.
    await clock(`${3_600_000 - (Date.now() % 3_600_000) + 5_000} milliseconds`);
    const email = address();
    const { contactId } = await signedUp(email);
    await Promise.all(Array.from({ length: 29 }, () => signUp({ email })));
    expect((await signUp({ email })).status).toBe(202);
    expect(await count('consent_events', contactId)).toBe(20);
  });

  test('custom fields and profile are checked, and applied by the confirmation', async () => {
    await owner.query(
      `INSERT INTO contact_field_definitions (workspace_id, name, label, type, default_value) VALUES
      ($1, 'seats', 'Seats', 'number', '1'), ($1, 'town', 'Town', 'text', NULL)`,
      [workspace.id],
    );
    expect((await signUp({ email: address(), fields: { nope: 1 } })).body.errors[0].pointer).toBe('/body/fields/nope');
    const { contactId, path } = await signedUp(address(), {
      first_name: 'Grace',
      last_name: 'Hopper',
      locale: 'en_us',
      time_zone: 'america/new_york',
      fields: { town: 'Arlington' },
    });
    expect(await contactRow(contactId)).toMatchObject({ first_name: '', fields: { seats: 1 } });
    expect((await api.request('post', path)).status).toBe(200);
    expect(await contactRow(contactId)).toMatchObject({
      first_name: 'Grace',
      last_name: 'Hopper',
      fields: { seats: 1, town: 'Arlington' },
    });
    expect(await count('submissions', contactId, `origin = 'SIGN_UP'`)).toBe(2);
  });

  test.each([
    [{ email: 'Ada <ada@x.example>' }, 422, '/body/email'],
    [{ email: 'nobody' }, 422, '/body/email'],
    [{ email: 'a@b.example', first_name: 'A\r\nBcc: x@y.example' }, 422, '/body/first_name'],
    [{ email: 'a@b.example', time_zone: 'Mars/Olympus' }, 422, '/body/time_zone'],
    [{ email: 'a@b.example', locale: 'x y' }, 422, '/body/locale'],
    [{ email: 'a@b.example', purpose: 'transactional' }, 422, '/body/purpose'],
    [{ email: 'a@b.example', status: 'granted' }, 422, '/body'],
    [{}, 422, '/body/email'],
    [{ email: 'a@b.example\0' }, 422, '/body/email'],
  ])('refuses %j', async (body, status, pointer) => {
    const response = await signUp(body);
    expect(response.status).toBe(status);
    expect(response.body.errors[0].pointer).toBe(pointer);
  });

  test('an unknown workspace is 404; a workspace can be named by id', async () => {
    expect((await signUp({ email: address() }, 'no-such-workspace')).status).toBe(404);
    expect((await signUp({ email: address() }, workspace.id)).status).toBe(202);
  });

  test('limits per network hold across API processes', async () => {
    const limited = {
      databaseName: 'unused',
      temporal: 'absent' as const,
      database: api.database,
      env: { PUBLIC_REQUESTS_PER_MINUTE: '5' },
    };
    const secrets = {
      SALLY_SECRETS: api.deps.config.SALLY_SECRETS,
      SALLY_SUPPRESSION_KEY: api.deps.config.SALLY_SUPPRESSION_KEY,
    };
    const withSecrets = { ...limited, env: { ...limited.env, ...secrets } };
    const [one, two] = await Promise.all([startTestApi(withSecrets), startTestApi(withSecrets)]);
    await owner.query('DELETE FROM rate_limit_counters');
    // Should a window end in the middle, the second five would be allowed; the clock stands well inside one.
    await clock(`${60_000 - (Date.now() % 60_000) + 5_000} milliseconds`);
    const answers: number[] = [];
    for (let attempt = 0; attempt < 4; attempt += 1) {
      for (const server of [one, two]) {
        const response = await server.request('post', `/public/${workspace.slug}/sign-up`, {
          body: { email: address() },
        });
        answers.push(response.status);
        if (response.status === 429) expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
      }
    }
    expect(answers).toEqual([202, 202, 202, 202, 202, 429, 429, 429]);
    await owner.query('DELETE FROM rate_limit_counters');
    await Promise.all([one.close(), two.close()]);
  });
});

describe('confirmation', () => {
  test('the page shows a button and changes nothing, however often it is opened', async () => {
    const { contactId, path } = await signedUp(address());
    for (const method of ['get', 'get', 'head']) expect((await api.request(method, path)).status).toBe(200);
    const page = await api.request('get', path);
    expect(page.text).toContain('<form method="post"');
    expect(page.text).not.toMatch(/<script|style="|onclick/);
    expect(page.text).not.toContain('visitors.example');
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    const style = /href="([^"]+\.css)"/.exec(page.text)?.[1] ?? '';
    expect((await api.request('get', style)).headers.get('content-type')).toContain('text/css');
    expect(await consentOf(contactId)).toBe('pending');
  });

  test('the button grants consent, with proof, event, audit and the closed request in one transaction', async () => {
    const email = address();
    const { id, contactId, path } = await signedUp(email);
    const response = await api.request('post', path, { headers: { 'user-agent': 'Test/1' } });
    expect(response.status).toBe(200);
    expect(response.text).toContain('confirmed');
    expect(await consentOf(contactId)).toBe('granted');
    expect((await requestsOf(api, workspace.id, email))[0]?.status).toBe('CONFIRMED');
    expect(
      await count(
        'consent_events',
        contactId,
        `source = 'double_opt_in' AND opt_in_request_id = '${id}' AND user_agent = 'Test/1' AND wording_version = 1`,
      ),
    ).toBe(1);
    expect(await count('marketing_events', contactId, `event_type = 'consent_granted'`)).toBe(1);
    const { rows } = await api.db.query(`SELECT 1 FROM audit_log WHERE entity_id = $1 AND action = 'consent.confirm'`, [
      id,
    ]);
    expect(rows).toHaveLength(1);
  });

  test('confirming twice, also at once, is harmless', async () => {
    const { contactId, path } = await signedUp(address());
    const answers = await Promise.all(Array.from({ length: 8 }, () => api.request('post', path)));
    expect(answers.map((answer) => answer.status)).toEqual(Array(8).fill(200));
    expect(await count('consent_events', contactId, `status = 'granted'`)).toBe(1);
    expect(await count('marketing_events', contactId, `event_type = 'consent_granted'`)).toBe(1);
  });

  test('an old link does not undo a later revocation', async () => {
    const { contactId, path } = await signedUp(address());
    await api.request('post', path);
    await api.db.query(sql`UPDATE consents SET status = 'denied' WHERE contact_id = ${contactId}`);
    expect((await api.request('post', path)).status).toBe(200);
    expect(await consentOf(contactId)).toBe('denied');
  });

  test('who unsubscribed gets mail again only by confirming', async () => {
    const email = address();
    const first = await signedUp(email);
    await api.request('post', first.path);
    await api.db.query(sql`UPDATE contacts SET status = 'UNSUBSCRIBED' WHERE id = ${first.contactId}`);
    await api.db.query(sql`UPDATE consents SET status = 'denied' WHERE contact_id = ${first.contactId}`);
    const second = await signedUp(email);
    expect(second.id).not.toBe(first.id);
    expect(await contactRow(first.contactId)).toMatchObject({ status: 'UNSUBSCRIBED' });
    expect(await consentOf(first.contactId)).toBe('denied');
    await api.request('post', second.path);
    expect(await contactRow(first.contactId)).toMatchObject({ status: 'ACTIVE' });
    expect(await consentOf(first.contactId)).toBe('granted');
  });

  test('opting in again next year works', async () => {
    const email = address();
    const { path, contactId } = await signedUp(email);
    await api.request('post', path);
    await clock('100 days');
    const again = await signedUp(email);
    expect((await api.request('post', again.path)).status).toBe(200);
    expect((await requestsOf(api, workspace.id, email)).map((request) => request.status)).toEqual([
      'CONFIRMED',
      'CONFIRMED',
    ]);
    expect(await count('consent_events', contactId, `status = 'granted'`)).toBe(2);
  });

  test('an expired link says so, also with Temporal down, and offers a new mail that works', async () => {
    const email = address();
    const { path, contactId } = await signedUp(email, { first_name: 'Late' });
    await clock('8 days');
    const expired = await api.request('post', path);
    expect(expired.status).toBe(410);
    expect(expired.text).toContain('/renew"');
    expect(await consentOf(contactId)).toBe('pending');
    expect((await api.request('post', `${path}/renew`)).status).toBe(200);
    const requests = await requestsOf(api, workspace.id, email);
    expect(requests.map((request) => request.status)).toEqual(['EXPIRED', 'OPEN']);
    const renewed = requests[1]?.id ?? '';
    await api.request('post', `/confirm/${await confirmToken(api, workspace.id, renewed)}`);
    expect(await consentOf(contactId)).toBe('granted');
    expect(await contactRow(contactId)).toMatchObject({ first_name: 'Late' });
    // The first link belongs to the expired request for ever.
    expect((await api.request('get', path)).status).toBe(410);
  });

  test('renewing again and again opens no second request and asks for at most 3 mails', async () => {
    const email = address();
    const { path } = await signedUp(email);
    await clock('8 days');
    for (let minute = 1; minute <= 6; minute += 1) {
      await clock(`8 days ${minute} minutes`);
      await api.request('post', `${path}/renew`);
    }
    const requests = await requestsOf(api, workspace.id, email);
    expect(requests.map((request) => [request.status, request.mails_requested])).toEqual([
      ['EXPIRED', 1],
      ['OPEN', 3],
    ]);
  });

  test('a link to an address that the contact no longer has confirms nothing', async () => {
    const { path, contactId } = await signedUp(address());
    const moved = address();
    await api.db.query(
      sql`UPDATE contacts SET email = ${moved}, email_hash = ${api.deps.addressHasher.hash(moved)} WHERE id = ${contactId}`,
    );
    expect((await api.request('post', path)).status).toBe(410);
    expect((await api.request('post', `${path}/renew`)).status).toBe(410);
    expect(await consentOf(contactId)).toBe('pending');
  });

  test('links that are cut, altered, of another purpose or foreign answer 404 alike', async () => {
    const { path } = await signedUp(address());
    const token = path.slice('/confirm/'.length);
    const [header, payload, signature] = token.split('.');
    const wrong = [
      token.slice(0, -1),
      `${token}A`,
      `${header}.${payload}.`,
      `${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.${payload}.`,
      `${header}.${payload}.${[...(signature ?? '')].reverse().join('')}`,
      workspace.tokens.owner,
      'x',
      'a'.repeat(5_000),
    ];
    const answers = await Promise.all(
      wrong.flatMap((bad) => [
        api.request('get', `/confirm/${bad}`),
        api.request('post', `/confirm/${bad}`),
        api.request('post', `/confirm/${bad}/renew`),
      ]),
    );
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([404]));
    expect(new Set(answers.map((answer) => answer.text)).size).toBe(1);
  });
});
