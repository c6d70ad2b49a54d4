import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { createApplication } from '../../api/http/application';
import { PROBLEMS } from '../../api/http/problem';
import { type AnyRoute, defineRoute } from '../../api/http/route';
import { plainText, z } from '../../api/http/schemas';
import { changed, many, one, sql } from '../../platform/postgres';
import { sendRequest, startTestApi, type TestApi, type TestRequest } from '../support/api';
import { testDatabase } from '../support/stack';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'http' });
});
afterAll(() => api.close());

describe('probes and metrics', () => {
  test('tell that the process lives, is ready, and what it measured', async () => {
    expect((await api.request('GET', '/healthz')).body).toEqual({ status: 'ok' });
    const ready = await api.request('GET', '/readyz');
    expect(ready.status).toBe(200);
    expect(ready.body).toEqual({ status: 'ready', postgres: 'up', temporal: 'up' });
    await api.request('GET', '/workspaces/{ws}', { token: api.apiKey });
    const metrics = await api.request('GET', '/metrics');
    expect(metrics.headers.get('content-type')).toContain('text/plain');
    expect(metrics.text).toContain(
      'sally_http_request_duration_seconds_count{operation="getWorkspace",method="GET",status="200"}',
    );
    for (const name of ['campaign_delivery_duration_seconds', 'marketing_events_ingested_total']) {
      expect(metrics.text).toContain(`# TYPE ${name}`);
    }
    expect(metrics.text).not.toContain('@');
  });

  const others: (() => Promise<void>)[] = [];
  afterAll(async () => {
    for (const close of others) await close();
  });

  test('stay ready and answer without Temporal', async () => {
    const alone = await startTestApi({ databaseName: 'http-alone', temporal: 'absent' });
    others.push(alone.close);
    const ready = await alone.request('GET', '/readyz');
    expect(ready.status).toBe(200);
    expect(ready.body).toEqual({ status: 'ready', postgres: 'up', temporal: 'down' });
    const change = await alone.request('PATCH', '/workspaces/{ws}', { token: alone.apiKey, body: { name: 'Alone' } });
    expect(change.status).toBe(200);
  });

  test('say that the API is not ready without Postgres, and requests get a 503', async () => {
    const database = await testDatabase('http-lost');
    const apiUrl = database.apiUrl.replace(/:\d+\//, ':1/');
    const lost = await startTestApi({ databaseName: 'http-lost', database: { ...database, apiUrl } });
    others.push(lost.close, database.drop);
    const ready = await lost.request('GET', '/readyz');
    expect({ status: ready.status, postgres: ready.body.postgres }).toEqual({ status: 503, postgres: 'down' });
    expect((await lost.request('GET', '/healthz')).status).toBe(200);
    const answer = await lost.request('GET', '/workspaces/{ws}', { token: lost.apiKey });
    expect(answer.status).toBe(503);
    expect(answer.headers.get('retry-after')).not.toBeNull();
    expect(answer.text).not.toMatch(/127\.0\.0\.1|sally_api/);
  });
});

describe('every answer', () => {
  test('has a request id, strict headers and no trace of the server’s make', async () => {
    const { headers } = await api.request('GET', '/workspaces/{ws}', { token: api.apiKey });
    expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-powered-by')).toBeNull();
  });

  test('that is an error is a problem document; docs/problems.md has all of them', async () => {
    const { status, headers, body } = await api.request('GET', '/nowhere');
    expect(status).toBe(404);
    expect(headers.get('content-type')).toContain('application/problem+json');
    expect(body).toEqual({
      type: 'urn:sally:problem:not-found',
      title: PROBLEMS['not-found'].title,
      status: 404,
      detail: expect.any(String),
      instance: `urn:uuid:${headers.get('x-request-id')}`,
    });
    const page = readFileSync(join(__dirname, '../../docs/problems.md'), 'utf8');
    const listed = [...page.matchAll(/^\| `([a-z-]+)` \| (\d+) \|/gm)].map((match) => `${match[1]} ${match[2]}`);
    expect(listed).toEqual(Object.entries(PROBLEMS).map(([type, problem]) => `${type} ${problem.status}`));
  });
});

describe('bad requests', () => {
  const patch = (request: TestRequest) =>
    api.request('PATCH', '/workspaces/{ws}', { token: api.tokens.owner, ...request });
  const json = (rawBody: string) => patch({ rawBody, headers: { 'content-type': 'application/json' } });

  test.each<[string, TestRequest, number, string | undefined]>([
    ['an unknown field', { body: { name: 'A', colour: 'red' } }, 422, '/body'],
    ['a wrong type', { body: { name: 7 } }, 422, '/body/name'],
    ['an array for an object', { body: [] }, 422, '/body'],
    ['null', { rawBody: 'null', headers: { 'content-type': 'application/json' } }, 422, '/body'],
    ['no body', {}, 422, '/body'],
    ['cut JSON', { rawBody: '{"name":', headers: { 'content-type': 'application/json' } }, 400, '/body'],
    ['a form', { rawBody: 'name=A', headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 415, undefined],
    ['no content type', { rawBody: new Uint8Array([123, 125]) }, 415, undefined],
    [
      'another charset',
      { rawBody: '{}', headers: { 'content-type': 'application/json; charset=iso-8859-1' } },
      415,
      undefined,
    ],
    [
      'an unknown encoding',
      { rawBody: '{}', headers: { 'content-type': 'application/json', 'content-encoding': 'br2' } },
      415,
      undefined,
    ],
    ['an unknown parameter', { body: {}, query: { dry: '1' } }, 422, '/query'],
    ['a strange If-Match', { body: {}, headers: { 'if-match': 'v1' } }, 422, '/headers/if-match'],
    ['a line break in a header text', { body: { from_name: 'A\r\nBcc: b@c.example' } }, 422, '/body/from_name'],
  ])('%s', async (_name, request, status, pointer) => {
    const response = await patch(request);
    expect({ status: response.status, pointer: response.body.errors?.[0]?.pointer }).toEqual({ status, pointer });
  });

  test('too much JSON, also when it is compressed', async () => {
    expect((await json(JSON.stringify({ name: 'x'.repeat(300_000) }))).status).toBe(413);
    const bomb = gzipSync(Buffer.alloc(50_000_000, 0x20));
    const response = await patch({
      rawBody: new Uint8Array(bomb),
      headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
    });
    expect(response.status).toBe(413);
  });

  test('deep nesting and keys that mean something to JavaScript', async () => {
    const deep = `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`;
    expect((await json(`{"template_context":${deep}}`)).status).toBe(422);
    expect((await json(deep)).status).toBe(422);
    const polluted = await json('{"template_context":{"__proto__":{"admin":true},"constructor":{"prototype":{}}}}');
    expect(polluted.status).toBeLessThan(500);
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  test('paths that are no paths, ids that are no ids', async () => {
    const token = api.tokens.owner;
    for (const path of [
      '/workspaces/%E0%A4%A',
      '/workspaces/%00',
      '/workspaces/..%2f',
      `/workspaces/${'9'.repeat(4_000)}`,
    ]) {
      const { status } = await api.request('GET', path, { token });
      expect({ path, fourHundreds: status >= 400 && status < 500 }).toEqual({ path, fourHundreds: true });
    }
    expect((await api.request('DELETE', '/workspaces/{ws}/api-keys/1', { token })).status).toBe(404);
    const upper = await api.request('GET', `/workspaces/${api.workspace.id.toUpperCase()}`, { token });
    expect(upper.status).toBe(200);
  });

  test('a method that does not exist names those that do', async () => {
    const response = await api.request('PUT', '/workspaces/{ws}', { token: api.tokens.owner, body: {} });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('GET, PATCH');
  });

  test('pages that nobody gave out', async () => {
    const list = (query: Record<string, string>) =>
      api.request('GET', '/workspaces/{ws}/audit', { token: api.tokens.owner, query });
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    for (const cursor of [
      'x',
      '',
      encode('a'),
      encode(['not an id']),
      encode([1]),
      encode(['a', 'b']),
      'x'.repeat(600),
    ]) {
      const response = await list({ cursor });
      expect({ cursor, status: response.status }).toEqual({ cursor, status: 422 });
    }
    for (const limit of ['0', '201', '-1', '1.5', 'many', '']) expect((await list({ limit })).status).toBe(422);
    for (const from of ['yesterday', '2020-01-01', '2020-13-01T00:00:00Z'])
      expect((await list({ from })).status).toBe(422);
    const twice = await fetch(`${api.url}/workspaces/${api.workspace.id}/audit?limit=1&limit=2`, {
      headers: { authorization: `Bearer ${api.tokens.owner}` },
    });
    expect(twice.status).toBe(422);
  });
});

describe('the application around a route', () => {
  /** Counts how often it was really run, by a row of its own. */
  const create = defineRoute({
    operationId: 'createNote',
    method: 'post',
    path: '/workspaces/{ws}/notes',
    tag: 'Test',
    summary: 'Creates',
    access: 'workspace',
    permission: 'workspace:write',
    idempotent: true,
    body: z.strictObject({ text: plainText(100), fail: z.boolean().optional() }),
    responses: { 201: { description: 'Created' } },
    async handle(context, { body }) {
      await context.audit({ action: 'note.create', entityType: 'note', entityId: null, new: { text: body.text } });
      await context.tx.query('SELECT pg_sleep(0.2)');
      if (body.fail) throw new Error('person@people.example broke it');
      return { status: 201, body: { text: body.text } };
    },
  });
  const wrongFollowUp = defineRoute({
    operationId: 'wrongFollowUp',
    method: 'post',
    path: '/workspaces/{ws}/follow-ups',
    tag: 'Test',
    summary: 'Fails after its commit',
    access: 'workspace',
    permission: 'workspace:write',
    responses: { 204: { description: 'Done' } },
    async handle(context) {
      await changed(context.tx, sql`UPDATE workspaces SET name = 'Followed' WHERE id = ${context.workspaceId}`);
      context.afterCommit(() => Promise.reject(new Error('Temporal is away')));
      return { status: 204 };
    },
  });
  const testRoutes: AnyRoute[] = [create, wrongFollowUp];
  let server: Server;
  let url: string;
  beforeAll(async () => {
    server = createServer(
      createApplication({ ...api.deps, log: api.deps.log.child({}, { level: 'silent' }) }, testRoutes),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  const note = (key: string | null, body: unknown) =>
    sendRequest(url, 'POST', `/workspaces/${api.workspace.id}/notes`, {
      token: api.tokens.owner,
      body,
      headers: key === null ? {} : { 'idempotency-key': key },
    });
  const notes = async (text: string) =>
    (await many(api.db, sql`SELECT 1 FROM audit_log WHERE action = 'note.create' AND new_values->>'text' = ${text}`))
      .length;

  test('the same Idempotency-Key, many times at once: done once, answered alike', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => note('key-1', { text: 'once' })));
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(201));
    expect(new Set(answers.map(({ text }) => text))).toEqual(new Set(['{"text":"once"}']));
    expect(answers.filter(({ headers }) => headers.get('idempotent-replayed') === 'true')).toHaveLength(7);
    expect(await notes('once')).toBe(1);
  });

  test('another request with the same key is refused; without a key it is done each time', async () => {
    await note('key-2', { text: 'two' });
    const other = await note('key-2', { text: 'other' });
    expect({ status: other.status, type: other.body.type }).toEqual({
      status: 422,
      type: 'urn:sally:problem:idempotency-key-reused',
    });
    await note(null, { text: 'each' });
    await note(null, { text: 'each' });
    expect(await notes('each')).toBe(2);
    expect((await note('k'.repeat(256), { text: 'long' })).status).toBe(422);
  });

  test('a request that fails leaves nothing, does not use up its key, and tells nothing about people', async () => {
    const failed = await note('key-3', { text: 'three', fail: true });
    expect(failed.status).toBe(500);
    expect(failed.text).not.toContain('@');
    expect(await notes('three')).toBe(0);
    expect((await note('key-3', { text: 'three' })).status).toBe(201);
  });

  test('what fails after the commit does not change the answer', async () => {
    const path = `/workspaces/${api.workspace.id}/follow-ups`;
    expect((await sendRequest(url, 'POST', path, { token: api.tokens.owner })).status).toBe(204);
    const row = await one<{ name: string }>(api.db, sql`SELECT name FROM workspaces WHERE id = ${api.workspace.id}`);
    expect(row?.name).toBe('Followed');
  });
});
