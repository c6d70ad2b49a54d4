import { one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestWorkspace } from '../support/api';
import { consentWorkspace, messageToken, type SentMessage, sentMessage } from '../support/consent-world';

/** Temporal is absent throughout: unsubscribing must not need it. */
let api: TestApi;
let workspace: TestWorkspace;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'unsubscribe', temporal: 'absent' });
  workspace = await consentWorkspace(api);
});

afterAll(async () => {
  await api.close();
});

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

async function message(options: Parameters<typeof sentMessage>[2] = {}): Promise<SentMessage & { path: string }> {
  const sent = await sentMessage(api, workspace.id, options);
  return { ...sent, path: `/u/${messageToken(api, 'message-unsubscribe', sent)}` };
}

/** Everything that an unsubscribe may change. */
async function effects(sent: SentMessage, contactId = sent.contactId) {
  return one<Record<string, unknown>>(
    api.db,
    sql`SELECT
          (SELECT status FROM contacts WHERE id = ${contactId}) AS contact,
          (SELECT status FROM consents WHERE contact_id = ${contactId} AND purpose_id = ${sent.purposeId}) AS consent,
          (SELECT subscribed FROM category_preferences WHERE contact_id = ${contactId}) AS category,
          (SELECT count(*) FROM consent_events WHERE contact_id = ${contactId} AND source = 'unsubscribe') AS proof,
          (SELECT count(*) FROM engagements WHERE delivery_id = ${sent.deliveryId} AND kind = 'UNSUBSCRIBE') AS engagements,
          (SELECT count(*) FROM marketing_events WHERE contact_id = ${contactId} AND event_type = 'email_unsubscribed') AS events,
          (SELECT count(*) FROM audit_log WHERE entity_id = ${contactId} AND action = 'contact.unsubscribe') AS audit`,
  );
}

const NOTHING = { contact: 'ACTIVE', consent: null, category: null, proof: 0, engagements: 0, events: 0, audit: 0 };
const ALL = {
  contact: 'UNSUBSCRIBED',
  consent: 'denied',
  category: null,
  proof: 1,
  engagements: 1,
  events: 1,
  audit: 1,
};

const oneClick = (path: string) => api.request('post', path, { rawBody: 'List-Unsubscribe=One-Click', headers: FORM });

describe('one-click (RFC 8058)', () => {
  test('urlencoded, without cookie, redirect or log-in', async () => {
    const sent = await message();
    const response = await oneClick(sent.path);
    expect(response.status).toBe(200);
    expect(response.headers.get('set-cookie')).toBeNull();
    expect(await effects(sent)).toEqual(ALL);
  });

  test('multipart/form-data', async () => {
    const sent = await message();
    const form = new FormData();
    form.set('List-Unsubscribe', 'One-Click');
    const encoded = new Response(form);
    const response = await api.request('post', sent.path, {
      rawBody: await encoded.text(),
      headers: { 'content-type': encoded.headers.get('content-type') ?? '' },
    });
    expect(response.status).toBe(200);
    expect(await effects(sent)).toEqual(ALL);
  });

  test('twice, and at once, is the same as once', async () => {
    const sent = await message();
    const answers = await Promise.all(Array.from({ length: 6 }, () => oneClick(sent.path)));
    expect(answers.map((answer) => answer.status)).toEqual(Array(6).fill(200));
    expect(await effects(sent)).toEqual(ALL);
  });

  test.each([
    ['something else', 'List-Unsubscribe=Maybe', FORM],
    ['an empty form', '', FORM],
    [
      'a cut multipart body',
      '--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click',
      { 'content-type': 'multipart/form-data; boundary=x' },
    ],
    ['a boundless multipart body', 'x', { 'content-type': 'multipart/form-data' }],
    ['a large body', `List-Unsubscribe=One-Click&x=${'x'.repeat(20_000)}`, FORM],
  ])('%s changes nothing and is a 400', async (_name, rawBody, headers) => {
    const sent = await message();
    expect((await api.request('post', sent.path, { rawBody, headers })).status).toBe(400);
    expect(await effects(sent)).toEqual(NOTHING);
  });

  test('another content type is a 415', async () => {
    const sent = await message();
    expect((await api.request('post', sent.path, { body: { 'List-Unsubscribe': 'One-Click' } })).status).toBe(415);
    expect(await effects(sent)).toEqual(NOTHING);
  });
});

describe('the page', () => {
  test('opening it changes nothing', async () => {
    const sent = await message();
    for (const method of ['get', 'get', 'head']) expect((await api.request(method, sent.path)).status).toBe(200);
    const page = await api.request('get', sent.path);
    expect(page.text).toContain('<form method="post"');
    expect(page.text).not.toMatch(/<script|style="/);
    expect(page.text).not.toContain('recipients.example');
    expect(await effects(sent)).toEqual(NOTHING);
  });

  test('"this category" leaves the rest alone', async () => {
    const sent = await message();
    await api.db.query(sql`INSERT INTO consents (workspace_id, contact_id, purpose_id, status, source)
      VALUES (${workspace.id}, ${sent.contactId}, ${sent.purposeId}, 'granted', 'api')`);
    const response = await api.request('post', sent.path, { rawBody: 'choice=category', headers: FORM });
    expect(response.status).toBe(200);
    expect(response.text).toContain('Newsletter');
    expect(await effects(sent)).toEqual({
      ...NOTHING,
      consent: 'granted',
      category: false,
      engagements: 1,
      events: 1,
      audit: 1,
    });
  });

  test('"everything" after "this category" still works, and the page then says what is done', async () => {
    const sent = await message();
    await api.request('post', sent.path, { rawBody: 'choice=category', headers: FORM });
    await api.request('post', sent.path, { rawBody: 'choice=everything', headers: FORM });
    expect(await effects(sent)).toEqual({ ...ALL, category: false, events: 2, audit: 2 });
    expect((await api.request('get', sent.path)).text).toContain('You are unsubscribed');
  });
});

describe('who and what is meant', () => {
  test('a complaint or bounce is not softened to UNSUBSCRIBED, consent is revoked all the same', async () => {
    const sent = await message();
    await api.db.query(sql`UPDATE contacts SET status = 'COMPLAINED' WHERE id = ${sent.contactId}`);
    await oneClick(sent.path);
    expect(await effects(sent)).toEqual({ ...ALL, contact: 'COMPLAINED' });
  });

  test('an address without a contact becomes an unsubscribed contact; receipts still reach it', async () => {
    const address = `${crypto.randomUUID()}@customers.example`;
    const sent = await message({ class: 'transactional', withoutContact: address });
    expect((await oneClick(sent.path)).status).toBe(200);
    expect((await oneClick(sent.path)).status).toBe(200);
    const contact = await one<{ id: string }>(api.db, sql`SELECT id FROM contacts WHERE email = ${address}`);
    expect(await effects(sent, contact?.id ?? null)).toEqual(ALL);
    const suppressed = await one(api.db, sql`SELECT 1 FROM suppressions WHERE workspace_id = ${workspace.id}`);
    expect(suppressed).toBeNull();
  });

  test('an address that has become a contact since means that contact', async () => {
    const address = `${crypto.randomUUID()}@customers.example`;
    const sent = await message({ class: 'transactional', withoutContact: address });
    const contact = await one<{ id: string }>(
      api.db,
      sql`INSERT INTO contacts (workspace_id, email, email_hash)
          VALUES (${workspace.id}, ${address}, ${api.deps.addressHasher.hash(address)}) RETURNING id`,
    );
    await oneClick(sent.path);
    expect(await effects(sent, contact?.id ?? null)).toEqual(ALL);
  });

  test('the link in a test mail has no effect', async () => {
    const sent = await message({ class: 'test', withoutContact: 'colleague@company.example' });
    expect((await oneClick(sent.path)).status).toBe(200);
    expect(await one(api.db, sql`SELECT 1 FROM contacts WHERE email = 'colleague@company.example'`)).toBeNull();
  });

  test('the same person in another workspace stays subscribed', async () => {
    const other = await consentWorkspace(api);
    const sent = await message();
    const twin = await one<{ id: string }>(
      api.db,
      sql`INSERT INTO contacts (workspace_id, email, email_hash)
          SELECT ${other.id}, email, email_hash FROM contacts WHERE id = ${sent.contactId} RETURNING id`,
    );
    await oneClick(sent.path);
    const row = await one<{ status: string }>(api.db, sql`SELECT status FROM contacts WHERE id = ${twin?.id}`);
    expect(row?.status).toBe('ACTIVE');
  });

  test('tokens that are cut, altered, or made for tracking are a 404 and change nothing', async () => {
    const sent = await message();
    const token = sent.path.slice('/u/'.length);
    const wrong = [token.slice(1), `${token}A`, `A${token.slice(1)}`, messageToken(api, 'message-tracking', sent), 'x'];
    for (const bad of wrong) {
      expect((await api.request('get', `/u/${bad}`)).status).toBe(404);
      expect((await oneClick(`/u/${bad}`)).status).toBe(404);
    }
    expect(await effects(sent)).toEqual(NOTHING);
  });
});
