import { many, sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestResponse } from '../support/api';

const BASE = '/workspaces/{ws}/email-marketing/templates';
const VALID = {
  name: 'Welcome',
  category: 'GENERAL',
  subject_template: 'Hello {{ first_name|default("there") }}',
  body_html: '<p>Hello {{ first_name|default("there") }}, your plan is {{ plan }}</p>',
  variables: [{ name: 'plan', default: 'Basic', description: 'Name of the plan' }],
};

let api: TestApi;
let counter = 0;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'templates' });
  await api.db.query(
    sql`INSERT INTO contact_field_definitions (workspace_id, name, label, type)
        VALUES (${api.workspace.id}, 'shoe_size', 'Shoe size', 'number')`,
  );
});
afterAll(() => api.close());

function call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<TestResponse> {
  return api.request(method, `${BASE}${path}`, { token: api.tokens.marketer, body, headers });
}

async function create(more: Record<string, unknown> = {}): Promise<TestResponse> {
  counter += 1;
  return call('POST', '', { ...VALID, slug: `template-${counter}`, ...more });
}

async function made(more: Record<string, unknown> = {}) {
  const response = await create(more);
  expect(response.status).toBe(201);
  return response.body;
}

describe('templates', () => {
  test('are made, read, listed and filtered', async () => {
    const template = await made({ category: 'NEWSLETTER', preview_text: 'Read this' });
    expect(template).toMatchObject({ version: 1, is_active: true, body_text: null, warnings: [] });
    const read = await call('GET', `/${template.id}`);
    expect(read.body).toMatchObject({ ...VALID, category: 'NEWSLETTER', preview_text: 'Read this' });
    expect(read.headers.get('etag')).toBe('"v1"');
    await made({ is_active: false });
    const query = async (values: Record<string, string>) =>
      (await api.request('GET', BASE, { token: api.tokens.viewer, query: values })).body.items;
    expect(await query({ category: 'NEWSLETTER' })).toEqual([expect.objectContaining({ id: template.id })]);
    expect(await query({ slug: template.slug })).toHaveLength(1);
    expect((await query({ is_active: 'false' })).every((item: { is_active: boolean }) => !item.is_active)).toBe(true);
  });

  test('page through a list without gaps', async () => {
    for (let index = 0; index < 5; index++) await made();
    const ids: string[] = [];
    let cursor: string | null = null;
    do {
      const query: Record<string, string | number> = cursor === null ? { limit: 2 } : { limit: 2, cursor };
      const page: TestResponse = await api.request('GET', BASE, { token: api.tokens.viewer, query });
      ids.push(...page.body.items.map((item: { id: string }) => item.id));
      cursor = page.body.next_cursor;
    } while (cursor !== null);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toEqual([...ids].sort().reverse());
    expect(ids.length).toBeGreaterThanOrEqual(5);
  });

  test('get a new version when content changes, and only then', async () => {
    const template = await made();
    const renamed = await call('PATCH', `/${template.id}`, { name: 'Other name', is_active: false });
    expect(renamed.body).toMatchObject({ version: 1, name: 'Other name', is_active: false });
    expect(renamed.headers.get('etag')).toBe('"v2"');
    const changed = await call('PATCH', `/${template.id}`, { body_html: '<p>{{ plan }}</p>' });
    expect(changed.body).toMatchObject({ version: 2, body_html: '<p>{{ plan }}</p>' });
    const same = await call('PATCH', `/${template.id}`, { body_html: '<p>{{ plan }}</p>' });
    expect(same.body.version).toBe(2);
    const versions = await many(
      api.db,
      sql`SELECT version, body_html FROM template_versions WHERE template_id = ${template.id} ORDER BY version`,
    );
    expect(versions).toEqual([
      { version: 1, body_html: VALID.body_html },
      { version: 2, body_html: '<p>{{ plan }}</p>' },
    ]);
  });

  test('honour If-Match; of two changes at once one wins', async () => {
    const template = await made();
    expect((await call('PATCH', `/${template.id}`, { name: 'A' }, { 'if-match': '"v1"' })).status).toBe(200);
    expect((await call('PATCH', `/${template.id}`, { name: 'B' }, { 'if-match': '"v1"' })).status).toBe(412);
    expect((await call('DELETE', `/${template.id}`, undefined, { 'if-match': '"v1"' })).status).toBe(412);
    const both = await Promise.all(
      ['<p>1 {{ plan }}</p>', '<p>2 {{ plan }}</p>'].map((body_html) =>
        call('PATCH', `/${template.id}`, { body_html }, { 'if-match': '"v2"' }),
      ),
    );
    expect(both.map((response) => response.status).sort()).toEqual([200, 412]);
  });

  test('keep slugs unique until deleted', async () => {
    const template = await made();
    const taken = await create({ slug: template.slug });
    expect(taken.status).toBe(409);
    expect(taken.body.errors[0].pointer).toBe('/body/slug');
    expect((await call('DELETE', `/${template.id}`)).status).toBe(204);
    expect((await call('GET', `/${template.id}`)).status).toBe(404);
    expect((await create({ slug: template.slug })).status).toBe(201);
  });

  test('of one slug made many times at once exist once', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => call('POST', '', { ...VALID, slug: 'at-once' })));
    expect(all.map((response) => response.status).sort()).toEqual([201, ...Array(7).fill(409)]);
  });

  test('repeat the answer for the same Idempotency-Key', async () => {
    const send = () => call('POST', '', { ...VALID, slug: 'repeated' }, { 'idempotency-key': 'template-1' });
    const [first, second] = [await send(), await send()];
    expect(second.body.id).toBe(first.body.id);
    expect(second.headers.get('idempotent-replayed')).toBe('true');
  });
});

describe('the lint on save', () => {
  test('names field, line and column of a syntax error', async () => {
    const response = await create({ body_html: '<p>ok</p>\n<p>{% if plan %}</p>\n  {{ plan | }}' });
    expect(response.status).toBe(422);
    expect(response.body.errors[0]).toMatchObject({ pointer: '/body/body_html', line: 3, column: expect.any(Number) });
    expect(response.body.detail).toMatch(/^body_html: line 3, column \d+: /);
  });

  test('refuses undeclared variables; custom fields and built-ins need no declaration', async () => {
    const response = await create({ subject_template: '{{ unknown_thing }}' });
    expect(response.status).toBe(422);
    expect(response.body.errors).toEqual([
      expect.objectContaining({ pointer: '/body/subject_template', detail: expect.stringContaining('unknown_thing') }),
    ]);
    await made({ body_html: '{{ shoe_size }} {{ fields.shoe_size }} {{ email }} {{ unsubscribe_url }} {{ plan }}' });
  });

  test('warns of unused variables', async () => {
    const template = await made({ variables: [...VALID.variables, { name: 'unused_one' }] });
    expect(template.warnings).toEqual([
      expect.objectContaining({ code: 'UNUSED_VARIABLE', detail: expect.stringContaining('unused_one') }),
    ]);
  });

  test.each([
    ['a part of 5 MB', { body_html: `<p>${'x'.repeat(5 * 1024 * 1024)}</p>` }, '/body/body_html'],
    ['an endless loop', { body_html: '{% for i in range(1000000000) %}x{% endfor %}' }, '/body/body_html'],
    [
      'loops in loops',
      { body_html: '{% for i in range(90000) %}{% for j in range(90000) %}x{% endfor %}{% endfor %}' },
      '/body/body_html',
    ],
    [
      'a macro that calls itself',
      { body_html: '{% macro again() %}{{ again() }}{{ again() }}{% endmacro %}{{ again() }}' },
      '/body/body_html',
    ],
    ['a gigantic string', { body_html: '{{ "x" * 2000000000 }}' }, '/body/body_html'],
    ['an include', { body_text: '{% include "secrets" %}' }, '/body/body_text'],
    ['an unknown filter', { body_html: '{{ plan|exec }}' }, '/body/body_html'],
    [
      'a line break in the subject',
      { subject_template: 'Hello\r\nBcc: someone@example.com' },
      '/body/subject_template',
    ],
    ['NUL in the HTML', { body_html: 'a\u0000b' }, '/body/body_html'],
    ['a reserved variable', { variables: [{ name: '_open_url' }] }, '/body/variables/0/name'],
    ['a variable declared twice', { variables: [{ name: 'plan' }, { name: 'plan' }] }, '/body/variables'],
    ['a visual template', { template_type: 'VISUAL' }, '/body'],
    ['an unknown category', { category: 'SPAM' }, '/body/category'],
    ['an empty subject', { subject_template: '' }, '/body/subject_template'],
    ['a slug in upper case', { slug: 'UPPER' }, '/body/slug'],
  ])('refuses %s in bounded time, without a trace', async (_name, more, pointer) => {
    const before = (await many(api.db, sql`SELECT 1 FROM templates`)).length;
    const response = await create(more);
    expect(response.status).toBe(422);
    expect(response.body.errors[0].pointer).toBe(pointer);
    expect((await many(api.db, sql`SELECT 1 FROM templates`)).length).toBe(before);
  });

  test('holds for changes too', async () => {
    const template = await made();
    const response = await call('PATCH', `/${template.id}`, { body_html: '{{ "a" * 999999999 }}' });
    expect(response.status).toBe(422);
    expect((await call('GET', `/${template.id}`)).body).toMatchObject({ version: 1, body_html: VALID.body_html });
  });
});

describe('the preview', () => {
  test('renders with a contact and lists what is missing', async () => {
    const template = await made({
      body_html: '<p>{{ first_name }} takes size {{ shoe_size }}, plan {{ plan }}</p>',
    });
    const email = 'ada@contacts.example';
    const [contact] = await many<{ id: string }>(
      api.db,
      sql`INSERT INTO contacts (workspace_id, email, email_hash, first_name)
          VALUES (${api.workspace.id}, ${email}, ${api.deps.addressHasher.hash(email)}, 'Ada <b>') RETURNING id`,
    );
    const preview = await call('POST', `/${template.id}/preview`, { contact_id: contact?.id });
    expect(preview.status).toBe(200);
    expect(preview.body.subject).toBe('Hello Ada <b>');
    expect(preview.body.html).toContain('Ada &lt;b&gt; takes size , plan Basic');
    expect(preview.body.html).toContain('/u/preview');
    expect(preview.body.text).toContain('Ada <b> takes size');
    expect(preview.body.missing).toEqual([{ name: 'shoe_size', fields: ['body_html'], optional: false }]);
  });

  test('renders with a sample context, which wins over defaults', async () => {
    const template = await made();
    const preview = await call('POST', `/${template.id}/preview`, { context: { first_name: 'Grace', plan: 'Gold' } });
    expect(preview.body).toMatchObject({ subject: 'Hello Grace', missing: [] });
    expect(preview.body.html).toContain('your plan is Gold');
  });

  test('says where rendering fails', async () => {
    const template = await made({ body_html: '<p>{{ plan }}</p>\n{{ plan + 1 }}' });
    const preview = await call('POST', `/${template.id}/preview`, { context: { plan: ['no number'] } });
    expect(preview.status).toBe(422);
    expect(preview.body.errors[0]).toMatchObject({ pointer: '/body/body_html', line: 2 });
  });

  test('refuses a contact of nobody', async () => {
    const template = await made();
    const preview = await call('POST', `/${template.id}/preview`, {
      contact_id: '018f0000-0000-7000-8000-000000000000',
    });
    expect(preview.status).toBe(422);
    expect(preview.body.errors[0].pointer).toBe('/body/contact_id');
  });
});
