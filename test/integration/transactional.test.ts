import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { exampleWorld, type World } from '../support/examples';
import { exampleTemplate } from '../support/examples/content';

let api: TestApi;
let world: World;
let slug: string;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'transactional' });
});
beforeEach(async () => {
  world = await exampleWorld(api);
  ({ slug } = await exampleTemplate(world, {
    subject_template: 'Order {{ order }}',
    body_html: '<p>{{ first_name|default("there") }}, your order {{ order }} {{ note }}</p>',
    variables: [
      { name: 'order', required: true },
      { name: 'note', default: 'is on its way' },
    ],
  }));
});
afterAll(() => api.close());

function send(body: unknown, headers?: Record<string, string>, token = world.workspace.apiKey) {
  return api.request('POST', `/workspaces/${world.workspace.id}/email-marketing/messages/send`, {
    token,
    body,
    headers,
  });
}

function rows() {
  return many<Record<string, unknown>>(
    api.db,
    sql`SELECT id, source_id, contact_id, address, recipient_name, class, priority, status, context, message_id,
          recipient_key, address_hash, expires_at - created_at AS lifetime, max_attempts
        FROM deliveries WHERE workspace_id = ${world.workspace.id}`,
  );
}

const to = (email: string, name?: string) => ({ email, ...(name === undefined ? {} : { name }) });

describe('transactional mail', () => {
  test('to an address becomes one row of the ledger', async () => {
    const response = await send({ template: slug, to: to(' Ada@BÜCHER.example ', 'Ada L.'), context: { order: 17 } });
    expect(response.status).toBe(202);
    expect(response.body).toMatchObject({
      status: 'QUEUED',
      workflow: { workflow_id: expect.stringMatching(/^lane\//) },
    });
    const [row] = await rows();
    expect(row).toMatchObject({
      id: response.body.delivery_id,
      source_id: response.body.source_id,
      contact_id: null,
      address: 'ada@xn--bcher-kva.example',
      recipient_name: 'Ada L.',
      class: 'transactional',
      priority: 1,
      context: { order: 17 },
      max_attempts: 4,
    });
    const hash = api.deps.addressHasher.hash('ada@xn--bcher-kva.example');
    expect(row?.address_hash).toEqual(hash);
    expect(row?.recipient_key).toBe(hash.toString('base64url'));
    const message = await one(
      api.db,
      sql`SELECT origin, approval, tracking, from_email, template_defaults FROM messages WHERE id = ${row?.message_id}`,
    );
    expect(message).toMatchObject({
      origin: 'TEMPLATE',
      approval: 'NONE',
      tracking: false,
      from_email: 'news@mail.example',
    });
    expect(message?.template_defaults).toMatchObject({ note: 'is on its way', workspace_name: 'World' });
  });

  test('to a contact, and to an address that belongs to one, is that contact’s', async () => {
    const email = 'grace@contacts.example';
    const contact = await world.contact({ email, email_hash: api.deps.addressHasher.hash(email) });
    await send({ template: slug, contact_id: contact, context: { order: 'a' } });
    await send({ template: slug, to: to('GRACE@contacts.example', 'Other name'), context: { order: 'b' } });
    expect((await rows()).map((row) => [row.contact_id, row.address, row.recipient_key])).toEqual([
      [contact, null, contact],
      [contact, null, contact],
    ]);
  });

  test('repeated with its Idempotency-Key is the same message, also many times at once', async () => {
    const request = () =>
      send({ template: slug, to: to('ada@contacts.example'), context: { order: 1 } }, { 'idempotency-key': 'order-1' });
    const all = await Promise.all(Array.from({ length: 8 }, request));
    expect(all.map((response) => response.status)).toEqual(Array(8).fill(202));
    expect(new Set(all.map((response) => response.body.delivery_id)).size).toBe(1);
    const [row] = await rows();
    expect(await rows()).toHaveLength(1);
    const key = await one(
      api.db,
      sql`SELECT source_id FROM idempotency_keys WHERE workspace_id = ${world.workspace.id} AND key = 'order-1'`,
    );
    expect(key).toEqual({ source_id: row?.source_id });
    const other = await send(
      { template: slug, to: to('eve@contacts.example'), context: { order: 1 } },
      { 'idempotency-key': 'order-1' },
    );
    expect(other.status).toBe(422);
    expect(await rows()).toHaveLength(1);
  });

  test('freezes a template version once, and again when the template or the From changes', async () => {
    const one = () => send({ template: slug, to: to('ada@contacts.example'), context: { order: 1 } });
    const first = (await Promise.all([one(), one(), one()])).map((response) => response.body.message_id);
    expect(new Set(first).size).toBe(1);
    await api.db.query(sql`UPDATE workspaces SET from_email = 'other@mail.example' WHERE id = ${world.workspace.id}`);
    const second = (await one()).body.message_id;
    expect(second).not.toBe(first[0]);
    const { items } = (await world.call('GET', `/workspaces/{ws}/email-marketing/templates?slug=${slug}`)).body;
    await world.call('PATCH', `/workspaces/{ws}/email-marketing/templates/${items[0].id}`, {
      subject_template: '{{ order }}!',
    });
    expect([first[0], second]).not.toContain((await one()).body.message_id);
  });

  test.each([
    ['a template of nobody', { template: 'unknown' }, '/body/template'],
    ['a missing required variable', { context: {} }, '/body/context/order'],
    ['a required variable that is null', { context: { order: null } }, '/body/context/order'],
    ['an unknown variable', { context: { order: 1, 'x/y': 2 } }, '/body/context/x~1y'],
    ['no recipient', { to: undefined }, '/body/to'],
    ['a broken address', { to: to('Ada <ada@contacts.example>') }, '/body/to/email'],
    ['a header in the name', { to: to('ada@contacts.example', 'Ada\r\nBcc: eve@contacts.example') }, '/body/to/name'],
    ['a contact of nobody', { to: undefined, contact_id: '018f0000-0000-7000-8000-000000000000' }, '/body/contact_id'],
    ['an unknown field', { cc: 'eve@contacts.example' }, '/body'],
    ['a context of 100 KB', { context: { order: 'x'.repeat(100_000) } }, '/body/context'],
  ])('refuses %s, without a row', async (_name, more, pointer) => {
    const response = await send({ template: slug, to: to('ada@contacts.example'), context: { order: 1 }, ...more });
    expect(response.status).toBe(422);
    expect(response.body.errors[0].pointer).toBe(pointer);
    expect(await rows()).toEqual([]);
  });

  test('refuses marketing without a campaign, and templates that are off', async () => {
    const news = await exampleTemplate(world, { category: 'NEWSLETTER' });
    expect((await send({ template: news.slug, to: to('ada@contacts.example') })).status).toBe(422);
    const off = await exampleTemplate(world, { is_active: false });
    expect((await send({ template: off.slug, to: to('ada@contacts.example') })).status).toBe(422);
    expect(await rows()).toEqual([]);
  });

  test('needs its permission', async () => {
    const body = { template: slug, to: to('ada@contacts.example'), context: { order: 1 } };
    expect((await send(body, {}, world.workspace.tokens.viewer)).status).toBe(403);
    expect((await send(body, {}, await api.createApiKey(world.workspace, ['contacts:read']))).status).toBe(403);
  });
});
