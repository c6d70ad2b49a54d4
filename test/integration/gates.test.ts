import { gateUrl } from '../../domain/gates';
import { one, sql } from '../../platform/postgres';
import type { TestApi, TestRequest, TestWorkspace } from '../support/api';
import { confirmToken, consentWorkspace, requestsOf } from '../support/consent-world';
import { type Product, startProduct } from '../support/product';
import { ScriptedSmtpServer } from '../support/scripted-smtp-server';
import { until } from '../support/until';

let product: Product;
let api: TestApi;
let workspace: TestWorkspace;
let smtp: ScriptedSmtpServer;
let counter = 0;

beforeAll(async () => {
  smtp = await ScriptedSmtpServer.start();
  product = await startProduct({
    name: 'gates',
    apiEnv: { PUBLIC_REQUESTS_PER_MINUTE: '1000' },
    workerEnv: { SMTP_URL: `smtp://127.0.0.1:${smtp.port}` },
  });
  ({ api } = product);
  workspace = await consentWorkspace(api);
});

afterAll(async () => {
  await product.close();
  await smtp.stop();
});

const call = (method: string, path: string, request: TestRequest = {}) =>
  api.request(method, `/workspaces/${workspace.id}${path}`, { token: workspace.tokens.marketer, ...request });

async function gate(more: object = {}): Promise<{ id: string; slug: string; version: number }> {
  counter += 1;
  const body = {
    slug: `guide-${counter}`,
    name: 'The guide',
    resource: { type: 'url', url: 'https://files.example/guide.pdf' },
    ...more,
  };
  const made = await call('post', '/gates', { body });
  expect(made.text).toContain('"id"');
  expect(made.status).toBe(201);
  return made.body;
}

const ask = (slug: string, body: object) => api.request('post', `/public/${workspace.slug}/gates/${slug}`, { body });

async function purposeId(key: string): Promise<string> {
  const row = await one<{ id: string }>(
    api.db,
    sql`SELECT id FROM purposes WHERE workspace_id = ${workspace.id} AND key = ${key}`,
  );
  return row?.id ?? '';
}

interface Grant {
  id: string;
  contact_id: string;
  status: string;
  verdicts: { met: boolean }[];
  uses: number;
}

async function grants(gateId: string): Promise<Grant[]> {
  return (await call('get', `/gates/${gateId}/grants`)).body.items;
}

/** The link of the newest grant, as its mail would hold it. */
async function link(gateId: string): Promise<string> {
  const row = await one<{ id: string; expires_at: Date }>(
    api.db,
    sql`SELECT id, expires_at FROM gate_grants WHERE gate_id = ${gateId} ORDER BY id DESC LIMIT 1`,
  );
  if (!row) throw new Error('nothing was granted');
  const url = gateUrl(api.deps.keyring, api.url, { workspaceId: workspace.id, grantId: row.id }, row.expires_at);
  return new URL(url).pathname;
}

const accesses = async (gateId: string) =>
  (
    await api.db.query<{ outcome: string }>(
      sql`SELECT outcome FROM gate_accesses WHERE gate_id = ${gateId} ORDER BY id`,
    )
  ).rows.map(({ outcome }) => outcome);

test('the mailed link leads to the resource, and what was typed becomes the profile only then', async () => {
  const { id, slug } = await gate({ policy: { conditions: [{ type: 'fields', names: ['first_name'] }] } });
  const email = 'reader@gates.example';
  expect((await ask(slug, { email })).status).toBe(422);
  const asked = await ask(slug, { email, first_name: 'Rita' });
  expect(asked.status).toBe(202);
  const mails = () => smtp.accepted.filter((message) => message.to === email);
  await until('the mail has arrived', () => mails().length > 0);
  const raw = (mails()[0]?.raw ?? '')
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  const links = new Set(raw.match(/http:\/\/[^\s"<>]*\/gates\/[\w.-]+/g));
  expect(links.size).toBe(1);
  expect(raw).not.toContain('Rita');
  const name = () => one<{ first_name: string }>(api.db, sql`SELECT first_name FROM contacts WHERE email = ${email}`);
  expect(await name()).toEqual({ first_name: '' });
  const path = new URL([...links][0] ?? '').pathname;
  expect((await api.request('head', path)).status).toBe(200);
  const opened = await api.request('get', path);
  expect(opened.status).toBe(302);
  expect(opened.headers.get('location')).toBe('https://files.example/guide.pdf');
  expect(opened.headers.get('referrer-policy')).toBe('no-referrer');
  expect(await name()).toEqual({ first_name: 'Rita' });
  expect(await grants(id)).toMatchObject([{ status: 'GRANTED', uses: 1 }]);
});

test('a consent has to be confirmed before the link opens', async () => {
  const newsletter = await purposeId('newsletter');
  const { id, slug } = await gate({
    policy: { conditions: [{ type: 'consent', purpose_id: newsletter }] },
    opt_in_purpose_id: newsletter,
    resource: { type: 'json', document: { code: 'SPRING' } },
  });
  const email = 'consenting@gates.example';
  // Without asking for the opt-in the condition cannot be met: refused, no mail, and the same answer.
  const refused = await ask(slug, { email });
  const accepted = await ask(slug, { email, opt_in: true });
  expect([refused.status, refused.body]).toEqual([accepted.status, accepted.body]);
  expect(await grants(id)).toMatchObject([
    { status: 'GRANTED', verdicts: [{ met: false }] },
    { status: 'REFUSED', verdicts: [{ met: false }] },
  ]);
  const path = await link(id);
  const early = await api.request('get', path, { headers: { 'accept-language': 'de' } });
  expect(early.status).toBe(403);
  expect(early.text).toContain('Etwas fehlt noch');
  const [request] = await requestsOf(api, workspace.id, email);
  const token = await confirmToken(api, workspace.id, request?.id ?? '');
  expect((await api.request('post', `/confirm/${token}`)).status).toBe(200);
  const open = await api.request('get', path);
  expect(open.status).toBe(200);
  expect(open.body).toEqual({ code: 'SPRING' });
  expect(await accesses(id)).toEqual(['CONDITIONS', 'GIVEN']);
});

test('membership opens a gate, and leaving the list closes it again', async () => {
  const made = await call('post', '/contacts', { body: { email: 'member@gates.example' } });
  const list = await one<{ id: string }>(
    api.db,
    sql`INSERT INTO audiences (workspace_id, name) VALUES (${workspace.id}, 'Club') RETURNING id`,
  );
  const { id, slug } = await gate({
    policy: {
      match: 'any',
      conditions: [
        { type: 'audience', audience_id: list?.id },
        { type: 'consent', purpose_id: await purposeId('newsletter') },
      ],
    },
  });
  await ask(slug, { email: 'stranger@gates.example' });
  expect(await grants(id)).toMatchObject([{ status: 'REFUSED' }]);
  await api.db.query(
    sql`INSERT INTO audience_members (workspace_id, audience_id, contact_id) VALUES (${workspace.id}, ${list?.id}, ${made.body.id})`,
  );
  await ask(slug, { email: 'member@gates.example' });
  const path = await link(id);
  expect((await api.request('get', path)).status).toBe(302);
  await api.db.query(sql`DELETE FROM audience_members WHERE audience_id = ${list?.id}`);
  expect((await api.request('get', path)).status).toBe(403);
});

test('a file is copied from its upload and given as it is', async () => {
  const bytes = new Uint8Array(600_000).map((_, index) => index % 251);
  const upload = await call('post', '/uploads', {
    rawBody: bytes,
    headers: { 'content-type': 'application/octet-stream' },
  });
  const { id, slug } = await gate({
    resource: { type: 'file', upload_id: upload.body.id, filename: 'größe.pdf', content_type: 'application/pdf' },
  });
  await api.db.query(sql`DELETE FROM uploads WHERE id = ${upload.body.id}`);
  await ask(slug, { email: 'file@gates.example' });
  const answer = await fetch(new URL(await link(id), api.url));
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toBe('application/pdf');
  expect(answer.headers.get('content-disposition')).toContain('attachment');
  expect(Buffer.from(await answer.arrayBuffer()).equals(Buffer.from(bytes))).toBe(true);
});

test('a link works as often as it may, until its time, unless it was revoked, the gate closed or the person erased', async () => {
  const one_use = await gate({ max_uses: 1 });
  await ask(one_use.slug, { email: 'often@gates.example' });
  const path = await link(one_use.id);
  // Both at once: one of them gets it.
  const both = await Promise.all([api.request('get', path), api.request('get', path)]);
  expect(both.map(({ status }) => status).sort()).toEqual([302, 410]);
  expect((await accesses(one_use.id)).sort()).toEqual(['GIVEN', 'USED_UP']);

  const more = await gate();
  await ask(more.slug, { email: 'often@gates.example' });
  const revoked = await link(more.id);
  const [grant] = await grants(more.id);
  const take = () => call('post', `/gates/${more.id}/grants/${grant?.id}/revoke`);
  expect((await take()).body).toMatchObject({ status: 'REVOKED' });
  expect((await take()).status).toBe(409);
  expect((await api.request('get', revoked)).status).toBe(410);
  await ask(more.slug, { email: 'late@gates.example' });
  const late = await link(more.id);
  await api.db.query(sql`UPDATE gate_grants SET expires_at = sally_now() WHERE gate_id = ${more.id}`);
  expect((await api.request('get', late)).status).toBe(410);
  await ask(more.slug, { email: 'closed@gates.example' });
  const closed = await link(more.id);
  expect((await call('delete', `/gates/${more.id}`)).status).toBe(204);
  expect((await api.request('get', closed)).status).toBe(410);
  expect(await accesses(more.id)).toEqual(['REVOKED', 'EXPIRED', 'CLOSED']);
  expect((await ask(more.slug, { email: 'closed@gates.example' })).status).toBe(404);
});

test('a crowd of requests for one address mails three links, and a program that fills the honeypot none', async () => {
  const { id, slug } = await gate();
  for (let n = 0; n < 5; n += 1) expect((await ask(slug, { email: 'crowd@gates.example' })).status).toBe(202);
  expect(await grants(id)).toHaveLength(3);
  expect((await ask(slug, { email: 'bot@gates.example', website: 'https://spam.example' })).status).toBe(202);
  expect(await grants(id)).toHaveLength(3);
});

test('bad input is answered clearly', async () => {
  const { id, slug } = await gate();
  const foreign = await api.createWorkspace();
  for (const more of [
    { resource: { type: 'url', url: 'javascript:alert(1)' } },
    { resource: { type: 'file', upload_id: id } },
    { policy: { conditions: [{ type: 'consent', purpose_id: id }] } },
    { policy: { conditions: [{ type: 'audience', audience_id: id }] } },
    { policy: { conditions: [{ type: 'fields', names: ['unknown'] }] } },
    { policy: { conditions: [{ type: 'sql', where: '1=1' }] } },
    { max_uses: 0 },
    { link_seconds: 10 },
    { opt_in_purpose_id: await purposeId('transactional') },
  ]) {
    const body = { slug: 'bad', name: 'Bad', resource: { type: 'url', url: 'https://files.example' }, ...more };
    expect({ more, status: (await call('post', '/gates', { body })).status }).toEqual({ more, status: 422 });
  }
  const twice = { slug, name: 'Twice', resource: { type: 'url', url: 'https://files.example' } };
  expect((await call('post', '/gates', { body: twice })).status).toBe(409);
  expect((await call('patch', `/gates/${id}`, { body: { name: 'X' }, headers: { 'if-match': '"v9"' } })).status).toBe(
    412,
  );
  expect((await call('patch', `/gates/${id}`, { body: { name: 'New' } })).body).toMatchObject({
    name: 'New',
    version: 2,
  });
  expect(
    (await api.request('get', `/workspaces/${foreign.id}/gates/${id}`, { token: foreign.tokens.owner })).status,
  ).toBe(404);
  expect((await ask(slug, { email: 'no address' })).status).toBe(422);
  expect((await ask(slug, { email: 'a@gates.example', opt_in: true })).status).toBe(422);
  expect((await ask('unknown', { email: 'a@gates.example' })).status).toBe(404);
  await ask(slug, { email: 'cut@gates.example' });
  const [request] = await requestsOf(api, workspace.id, 'consenting@gates.example');
  const another = request ? await confirmToken(api, workspace.id, request.id) : 'x';
  for (const token of ['x', another, (await link(id)).slice(7, -3)]) {
    expect((await api.request('get', `/gates/${token}`)).status).toBe(404);
  }
});
