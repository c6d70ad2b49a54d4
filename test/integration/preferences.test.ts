import { preferencesUrl } from '../../domain/consent';
import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestWorkspace } from '../support/api';
import { consentWorkspace, messageToken, requestsOf, sentMessage } from '../support/consent-world';

/** Temporal is absent throughout: preferences must not need it. */
let api: TestApi;
let workspace: TestWorkspace;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'preferences', temporal: 'absent' });
  workspace = await consentWorkspace(api);
  for (const category of [
    {
      key: 'product_updates',
      name: 'Product updates',
      description: 'New features',
      translations: { de: { name: 'Neues' } },
    },
    { key: 'community', name: 'Community <b>' },
  ]) {
    const made = await api.request('post', `/workspaces/${workspace.id}/preference-categories`, {
      token: workspace.tokens.owner,
      body: category,
    });
    expect(made.status).toBe(201);
  }
});
afterAll(() => api.close());

const HTML = { accept: 'text/html,application/xhtml+xml' };
const FORM = { ...HTML, 'content-type': 'application/x-www-form-urlencoded' };

async function link(options: Parameters<typeof sentMessage>[2] = {}) {
  const sent = await sentMessage(api, workspace.id, options);
  return { ...sent, path: `/preferences/${messageToken(api, 'message-unsubscribe', sent)}` };
}

async function ownLink(values: { status?: string } = {}) {
  const email = `${crypto.randomUUID()}@people.example`;
  const contact = await one<{ id: string }>(
    api.db,
    sql`INSERT INTO contacts (workspace_id, email, email_hash, status)
        VALUES (${workspace.id}, ${email}, ${api.deps.addressHasher.hash(email)}, ${values.status ?? 'ACTIVE'}) RETURNING id`,
  );
  const contactId = contact?.id ?? '';
  const url = preferencesUrl(api.deps.keyring, api.url, { workspaceId: workspace.id, contactId });
  return { contactId, email, path: new URL(url).pathname };
}

const leavings = (contactId: string | null) =>
  many<{ source: string; scope: string }>(
    api.db,
    sql`SELECT source, scope FROM unsubscribes WHERE contact_id = ${contactId} ORDER BY id`,
  );

const statusOf = async (contactId: string | null) =>
  (await one<{ status: string }>(api.db, sql`SELECT status FROM contacts WHERE id = ${contactId}`))?.status;

describe('as JSON', () => {
  test('shows every category, and changes nothing', async () => {
    const { path, contactId } = await link();
    const answer = await api.request('get', path);
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({
      workspace: 'Consent & Co',
      status: 'ACTIVE',
      categories: [
        {
          key: 'newsletter',
          name: 'Newsletter',
          description: '',
          subscribed: true,
          frequency: 'IMMEDIATE',
          updated_at: null,
        },
        {
          key: 'product_updates',
          name: 'Product updates',
          description: 'New features',
          subscribed: true,
          frequency: 'IMMEDIATE',
          updated_at: null,
        },
        {
          key: 'community',
          name: 'Community <b>',
          description: '',
          subscribed: true,
          frequency: 'IMMEDIATE',
          updated_at: null,
        },
      ],
    });
    expect(await many(api.db, sql`SELECT 1 FROM category_preferences WHERE contact_id = ${contactId}`)).toEqual([]);
    expect(answer.text).not.toContain('@');
  });

  test('saves subscribed and frequency, names what is left, notes the source, and keeps the rest', async () => {
    const { path, contactId } = await ownLink();
    const saved = await api.request('post', path, {
      body: {
        categories: [
          { key: 'newsletter', frequency: 'WEEKLY' },
          { key: 'community', subscribed: false },
        ],
      },
    });
    expect(saved.status).toBe(200);
    expect(
      saved.body.categories.map((row: Record<string, unknown>) => [row.key, row.subscribed, row.frequency]),
    ).toEqual([
      ['newsletter', true, 'WEEKLY'],
      ['product_updates', true, 'IMMEDIATE'],
      ['community', false, 'IMMEDIATE'],
    ]);
    await api.request('post', path, { body: { categories: [{ key: 'newsletter', subscribed: false }] } });
    const again = await api.request('get', path);
    expect(again.body.categories[0]).toMatchObject({ subscribed: false, frequency: 'WEEKLY' });
    expect(await leavings(contactId)).toEqual([
      { source: 'PREFERENCE_CENTER', scope: 'CATEGORY' },
      { source: 'PREFERENCE_CENTER', scope: 'CATEGORY' },
    ]);
    const audit = await many<{ new_values: unknown }>(
      api.db,
      sql`SELECT new_values FROM audit_log WHERE entity_id = ${contactId} AND action = 'preferences.update' ORDER BY id`,
    );
    expect(audit[0]?.new_values).toEqual({
      newsletter: { subscribed: true, frequency: 'WEEKLY' },
      community: { subscribed: false, frequency: 'IMMEDIATE' },
      source: 'PREFERENCE_CENTER',
    });
    expect(await statusOf(contactId)).toBe('ACTIVE');
  });

  test.each([
    [
      'an unknown category',
      {
        categories: [
          { key: 'newsletter', subscribed: false },
          { key: 'nothing', subscribed: false },
        ],
      },
    ],
    [
      'a category named twice',
      {
        categories: [
          { key: 'newsletter', subscribed: true },
          { key: 'newsletter', subscribed: false },
        ],
      },
    ],
    ['an unknown frequency', { categories: [{ key: 'newsletter', frequency: 'HOURLY' }] }],
    ['no choice', { categories: [{ key: 'newsletter' }] }],
    ['no category', { categories: [] }],
    ['an unknown field', { categories: [{ key: 'newsletter', subscribed: false }], status: 'ACTIVE' }],
  ])('%s is a 422 and saves nothing', async (_name, body) => {
    const { path, contactId } = await ownLink();
    expect((await api.request('post', path, { body })).status).toBe(422);
    expect(await many(api.db, sql`SELECT 1 FROM category_preferences WHERE contact_id = ${contactId}`)).toEqual([]);
  });

  test('conflicting changes at once: each is whole, the last one holds', async () => {
    const { path } = await ownLink();
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        api.request('post', path, {
          body: {
            categories: ['newsletter', 'community'].map((key) => ({
              key,
              subscribed: index % 2 === 0,
              frequency: index % 2 === 0 ? 'DAILY' : 'MONTHLY',
            })),
          },
        }),
      ),
    );
    expect(answers.map((answer) => answer.status)).toEqual(Array(12).fill(200));
    const { categories } = (await api.request('get', path)).body;
    const [one_, , three] = categories;
    expect([one_.subscribed, one_.frequency]).toEqual([three.subscribed, three.frequency]);
    expect(one_.frequency).toBe(one_.subscribed ? 'DAILY' : 'MONTHLY');
  });
});

describe('unsubscribing from all', () => {
  test('stops all bulk mail, revokes every marketing consent, notes the source; twice is once', async () => {
    const { path, contactId } = await ownLink();
    const other = await one<{ id: string }>(
      api.db,
      sql`INSERT INTO purposes (workspace_id, key, name, kind, wording) VALUES (${workspace.id}, ${`p${Date.now()}`}, 'More', 'marketing', 'w')
          RETURNING id`,
    );
    const service = await one<{ id: string }>(
      api.db,
      sql`SELECT id FROM purposes WHERE workspace_id = ${workspace.id} AND key = 'transactional'`,
    );
    for (const purpose of [other, service]) {
      await api.db.query(sql`INSERT INTO consents (workspace_id, contact_id, purpose_id, status, source)
        VALUES (${workspace.id}, ${contactId}, ${purpose?.id}, 'granted', 'api')`);
    }
    for (const _ of [1, 2]) {
      const answer = await api.request('post', `${path}/unsubscribe`);
      expect(answer.status).toBe(200);
      expect(answer.body.status).toBe('UNSUBSCRIBED');
    }
    const consents = await many<{ purpose_id: string; status: string }>(
      api.db,
      sql`SELECT purpose_id, status FROM consents WHERE contact_id = ${contactId} ORDER BY status`,
    );
    expect(consents).toEqual([
      { purpose_id: other?.id, status: 'denied' },
      { purpose_id: service?.id, status: 'granted' },
    ]);
    expect(await leavings(contactId)).toEqual([{ source: 'PREFERENCE_CENTER', scope: 'ALL' }]);
  });

  test('a link of a message counts for its campaign, and one-click is noted as LINK', async () => {
    const sent = await link();
    await api.request('post', `${sent.path}/unsubscribe`);
    expect(await statusOf(sent.contactId)).toBe('UNSUBSCRIBED');
    const clicked = await link();
    await api.request('post', clicked.path.replace('/preferences/', '/u/'), {
      rawBody: 'List-Unsubscribe=One-Click',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    const rows = await many<{ source: string; campaign_id: string }>(
      api.db,
      sql`SELECT source, campaign_id FROM unsubscribes WHERE contact_id IN (${sent.contactId}, ${clicked.contactId}) ORDER BY id`,
    );
    expect(rows).toEqual([
      { source: 'PREFERENCE_CENTER', campaign_id: sent.campaignId },
      { source: 'LINK', campaign_id: clicked.campaignId },
    ]);
  });

  test('bounces and complaints are noted by whatever way they come', async () => {
    const { contactId } = await ownLink();
    await api.db.query(sql`UPDATE contacts SET status = 'BOUNCED' WHERE id = ${contactId}`);
    await api.db.query(sql`UPDATE contacts SET status = 'COMPLAINED' WHERE id = ${contactId}`);
    await api.db.query(sql`UPDATE contacts SET first_name = 'Ada' WHERE id = ${contactId}`);
    expect((await leavings(contactId)).map((row) => row.source)).toEqual(['BOUNCE', 'COMPLAINT']);
  });

  test('the same person in another workspace is untouched', async () => {
    const { path, contactId } = await ownLink();
    const other = await consentWorkspace(api);
    const twin = await one<{ id: string }>(
      api.db,
      sql`INSERT INTO contacts (workspace_id, email, email_hash)
          SELECT ${other.id}, email, email_hash FROM contacts WHERE id = ${contactId} RETURNING id`,
    );
    await api.request('post', `${path}/unsubscribe`);
    expect(await statusOf(twin?.id ?? null)).toBe('ACTIVE');
    expect(await many(api.db, sql`SELECT 1 FROM unsubscribes WHERE workspace_id = ${other.id}`)).toEqual([]);
  });
});

describe('subscribing again', () => {
  test('asks for a confirmation and changes nothing before it', async () => {
    const { path, contactId, email } = await ownLink();
    await api.request('post', `${path}/unsubscribe`);
    const answer = await api.request('post', `${path}/resubscribe`);
    expect(answer.status).toBe(202);
    expect(await statusOf(contactId)).toBe('UNSUBSCRIBED');
    const [request] = await requestsOf(api, workspace.id, email);
    expect(request).toMatchObject({ contact_id: contactId, status: 'OPEN', mails_requested: 1 });
    await api.request('post', `${path}/resubscribe`);
    expect(await requestsOf(api, workspace.id, email)).toHaveLength(1);
  });

  test('is refused for an address that bounced', async () => {
    const { path, email } = await ownLink({ status: 'BOUNCED' });
    const answer = await api.request('post', `${path}/resubscribe`);
    expect(answer.status).toBe(409);
    expect(answer.body.state).toBe('BOUNCED');
    expect(await requestsOf(api, workspace.id, email)).toEqual([]);
  });
});

describe('the page', () => {
  test('has a label for every field, no script, no style of its own and no address', async () => {
    const { path, email } = await ownLink();
    const answer = await api.request('get', path, { headers: HTML });
    expect(answer.headers.get('content-type')).toContain('text/html');
    expect(answer.headers.get('vary')).toContain('Accept-Language');
    expect(answer.text).toContain('<html lang="en">');
    expect(answer.text).not.toMatch(/<script|style="|\son\w+=/);
    expect(answer.text).not.toContain(email);
    expect(answer.text).toContain('Community &#60;b&#62;');
    expect(answer.text.match(/<select/g)).toHaveLength(3);
  });

  test.each([
    ['de-AT,de;q=0.9', 'de', 'Ihre E-Mail-Einstellungen', 'Neues'],
    ['fr', 'fr', 'Vos préférences d’e-mail', 'Product updates'],
    ['ja', 'en', 'Your mail preferences', 'Product updates'],
  ])('speaks %s', async (accepted, language, title, category) => {
    const { path } = await ownLink();
    const answer = await api.request('get', path, { headers: { ...HTML, 'accept-language': accepted } });
    expect(answer.text).toContain(`<html lang="${language}">`);
    expect(answer.text).toContain(`<h1>${title}</h1>`);
    expect(answer.text).toContain(`<legend>${category}</legend>`);
    expect(answer.headers.get('content-language')).toBe(language);
  });

  test('its form saves what it showed, and leaves a category made since alone', async () => {
    const { path } = await ownLink();
    const saved = await api.request('post', `${path}/save`, {
      headers: { ...FORM, 'accept-language': 'de' },
      rawBody:
        'shown.newsletter=1&subscribed.newsletter=1&frequency.newsletter=MONTHLY&shown.community=1&frequency.community=DAILY',
    });
    expect(saved.status).toBe(200);
    expect(saved.text).toContain('Ihre Auswahl ist gespeichert');
    const { categories } = (await api.request('get', path)).body;
    expect(categories.map((row: Record<string, unknown>) => [row.subscribed, row.frequency])).toEqual([
      [true, 'MONTHLY'],
      [true, 'IMMEDIATE'],
      [false, 'DAILY'],
    ]);
  });

  test('after unsubscribing it offers to subscribe again, which mails', async () => {
    const { path } = await ownLink();
    const left = await api.request('post', `${path}/unsubscribe`, { headers: FORM, rawBody: '' });
    expect(left.status).toBe(200);
    expect(left.text).toContain(`action="${path}/resubscribe"`);
    expect(left.text).not.toContain('<select');
    const asked = await api.request('post', `${path}/resubscribe`, { headers: FORM, rawBody: '' });
    expect(asked.status).toBe(202);
    expect(asked.text).toContain('A mail is on its way');
  });

  test('the link in a test mail shows the page and changes nothing', async () => {
    const sent = await link({ class: 'test', withoutContact: 'tester@company.example' });
    const shown = await api.request('get', sent.path, { headers: HTML });
    expect(shown.text).toContain('test mail');
    for (const path of ['unsubscribe', 'save', 'resubscribe']) {
      const rawBody = path === 'save' ? 'shown.newsletter=1' : '';
      expect((await api.request('post', `${sent.path}/${path}`, { headers: FORM, rawBody })).status).toBeLessThan(300);
    }
    expect(await one(api.db, sql`SELECT 1 FROM contacts WHERE email = 'tester@company.example'`)).toBeNull();
  });

  test('after a merge, the link of the one who went leads to the one who stayed', async () => {
    const { path, contactId } = await ownLink();
    const survivor = await ownLink();
    await api.db.query(
      sql`UPDATE contacts SET erased_at = sally_now(), merged_into = ${survivor.contactId} WHERE id = ${contactId}`,
    );
    expect((await api.request('post', `${path}/unsubscribe`)).status).toBe(200);
    expect(await statusOf(survivor.contactId)).toBe('UNSUBSCRIBED');
    expect(await statusOf(contactId)).toBe('ACTIVE');
  });

  test('tokens that are cut, altered, of another purpose, or of somebody erased are a 404', async () => {
    const { path, contactId } = await ownLink();
    const sent = await link();
    const tracking = `/preferences/${messageToken(api, 'message-tracking', sent)}`;
    for (const bad of [path.slice(0, -1), `${path}A`, '/preferences/x', tracking, path.replace(/\.[^.]*$/, '.AAAA')]) {
      expect((await api.request('get', bad)).status).toBe(404);
      expect((await api.request('get', bad, { headers: HTML })).text).toContain('This link does not work');
      expect((await api.request('post', `${bad}/unsubscribe`)).status).toBe(404);
    }
    await api.db.query(sql`UPDATE contacts SET erased_at = sally_now() WHERE id = ${contactId}`);
    expect((await api.request('get', path)).status).toBe(404);
  });
});
