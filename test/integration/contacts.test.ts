import { Client } from 'pg';
import type { ProfileChanges } from '../../domain/contacts';
import { fromSubmissionPayload, rebuildProfile } from '../../domain/contacts';
import { startTestApi, type TestApi, type TestRequest } from '../support/api';

const CONTACTS = '/workspaces/{ws}/contacts';
const FIELDS = '/workspaces/{ws}/contact-fields';

let api: TestApi;
let counter = 0;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'contacts', temporal: 'absent' });
  for (const body of [
    { name: 'plan', type: 'enum', enum_values: ['free', 'pro'], default_value: 'free' },
    { name: 'seats', type: 'number' },
    { name: 'signed_up', type: 'date' },
    { name: 'notes', type: 'text' },
  ]) {
    expect((await call('post', FIELDS, { body })).status).toBe(201);
  }
});
afterAll(() => api.close());

const call = (method: string, path: string, request: TestRequest = {}) =>
  api.request(method, path, { token: api.tokens.marketer, ...request });

async function create(body: object = {}) {
  counter += 1;
  const made = await call('post', CONTACTS, { body: { email: `person${counter}@example.org`, ...body } });
  expect(made.status).toBe(201);
  return made.body;
}

async function analyse(table: string): Promise<void> {
  const owner = new Client(api.database.ownerUrl);
  await owner.connect();
  await owner.query(`ANALYZE ${table}`);
  await owner.end();
}

/** Every contact's row equals the fold of its submissions. */
async function expectRebuildable(): Promise<number> {
  const { rows: contacts } = await api.db.query(
    'SELECT id, email, first_name, last_name, locale, time_zone, tags, fields FROM contacts',
  );
  for (const row of contacts) {
    const { rows } = await api.db.query('SELECT payload FROM submissions WHERE contact_id = $1 ORDER BY id', [row.id]);
    const profile = rebuildProfile(rows.map(({ payload }): ProfileChanges => fromSubmissionPayload(payload)));
    expect({ ...profile, firstName: profile.firstName ?? '', lastName: profile.lastName ?? '' }).toEqual({
      email: row.email,
      firstName: row.first_name,
      lastName: row.last_name,
      locale: row.locale,
      timeZone: row.time_zone,
      tags: row.tags,
      fields: row.fields,
    });
  }
  return contacts.length;
}

describe('contacts', () => {
  it('are stored in normal form, with defaults, submission, event and audit row', async () => {
    const body = {
      email: '  Ada.Lovelace@BÜCHER.example ',
      first_name: ' Ada ',
      last_name: '',
      locale: 'en_gb',
      time_zone: 'europe/london',
      tags: ['vip', 'early', 'vip'],
      fields: { seats: 3, notes: null },
    };
    const made = await call('post', CONTACTS, { body });
    expect(made.status).toBe(201);
    expect(made.headers.get('etag')).toBe('"v1"');
    expect(made.body).toMatchObject({
      email: 'ada.lovelace@xn--bcher-kva.example',
      status: 'ACTIVE',
      first_name: 'Ada',
      last_name: null,
      locale: 'en-GB',
      time_zone: 'Europe/London',
      tags: ['early', 'vip'],
      fields: { plan: 'free', seats: 3 },
      version: 1,
    });
    const { rows } = await api.db.query(
      `SELECT (SELECT count(*) FROM submissions WHERE contact_id = $1 AND origin = 'API' AND actor_id = $2) AS submissions,
        (SELECT count(*) FROM marketing_events WHERE contact_id = $1 AND event_type = 'contact_created') AS events,
        (SELECT count(*) FROM audit_log WHERE entity_id = $1 AND action = 'contact.create') AS audited`,
      [made.body.id, api.workspace.people.marketer.id],
    );
    expect(rows).toEqual([{ submissions: 1, events: 1, audited: 1 }]);
    const { rows: stored } = await api.db.query('SELECT email_hash FROM contacts WHERE id = $1', [made.body.id]);
    expect(stored[0]?.email_hash).toEqual(api.deps.addressHasher.hash('ada.lovelace@xn--bcher-kva.example'));
    expect((await call('get', `${CONTACTS}/${made.body.id}`)).body).toEqual(made.body);
  });

  it('are unique by normalised address', async () => {
    const first = await create({ email: 'Unique@example.org' });
    const second = await call('post', CONTACTS, { body: { email: 'unique@EXAMPLE.org' } });
    expect(second.status).toBe(409);
    expect(second.body).toMatchObject({ contact_id: first.id, errors: [{ pointer: '/body/email' }] });
    const other = await create();
    const taken = await call('patch', `${CONTACTS}/${other.id}`, { body: { email: 'unique@example.org' } });
    expect(taken.status).toBe(409);
    const raced = await Promise.all(
      [1, 2, 3, 4].map(() => call('post', CONTACTS, { body: { email: 'raced@example.org' } })),
    );
    expect(raced.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409]);
  });

  it('change only where asked, by one submission each', async () => {
    const made = await create({ first_name: 'Ada', tags: ['a'], fields: { seats: 1, notes: 'x' } });
    const path = `${CONTACTS}/${made.id}`;
    const same = await call('patch', path, { body: { first_name: 'Ada', fields: { seats: 1 } } });
    expect(same.body).toEqual(made);
    const changed = await call('patch', path, {
      body: { last_name: 'Lovelace', tags: ['b'], fields: { seats: 2, notes: null } },
      headers: { 'if-match': '"v1"' },
    });
    expect(changed.body).toMatchObject({ first_name: 'Ada', last_name: 'Lovelace', tags: ['b'], version: 2 });
    expect(changed.body.fields).toEqual({ plan: 'free', seats: 2 });
    const stale = await call('patch', path, { body: { first_name: 'Eve' }, headers: { 'if-match': '"v1"' } });
    expect(stale.status).toBe(412);
    const submissions = await call('get', `${path}/submissions`, { query: { limit: 1 } });
    expect(submissions.body.items.map(({ payload }: { payload: unknown }) => payload)).toEqual([
      { last_name: 'Lovelace', tags: { set: ['b'] }, fields: { seats: 2, notes: null } },
    ]);
    const older = await call('get', `${path}/submissions`, { query: { cursor: submissions.body.next_cursor } });
    expect(older.body).toMatchObject({ items: [{ origin: 'API', payload: { first_name: 'Ada' } }], next_cursor: null });
  });

  it('that bounced become active by a new address, and keep other states', async () => {
    const bounced = await create();
    const unsubscribed = await create();
    await api.db.query(`UPDATE contacts SET status = 'BOUNCED' WHERE id = $1`, [bounced.id]);
    await api.db.query(`UPDATE contacts SET status = 'UNSUBSCRIBED' WHERE id = $1`, [unsubscribed.id]);
    const renamed = await call('patch', `${CONTACTS}/${bounced.id}`, { body: { first_name: 'Still' } });
    expect(renamed.body.status).toBe('BOUNCED');
    const moved = await call('patch', `${CONTACTS}/${bounced.id}`, { body: { email: 'new-home@example.org' } });
    expect(moved.body).toMatchObject({ status: 'ACTIVE', email: 'new-home@example.org' });
    const stays = await call('patch', `${CONTACTS}/${unsubscribed.id}`, { body: { email: 'other-home@example.org' } });
    expect(stays.body.status).toBe('UNSUBSCRIBED');
    const { rows } = await api.db.query('SELECT email_hash FROM contacts WHERE id = $1', [bounced.id]);
    expect(rows[0]?.email_hash).toEqual(api.deps.addressHasher.hash('new-home@example.org'));
  });

  it.each([
    [{ email: 'nobody' }, '/body/email'],
    [{ email: 'a@x.example\r\nBcc: b@x.example' }, '/body/email'],
    [{ first_name: 'Ada\r\nBcc: eve@example.org' }, '/body/first_name'],
    [{ last_name: 'x'.repeat(201) }, '/body/last_name'],
    [{ locale: 'klingon-but-longer' }, '/body/locale'],
    [{ time_zone: 'Mars/Olympus' }, '/body/time_zone'],
    [{ tags: [''] }, '/body/tags'],
    [{ tags: 'vip' }, '/body/tags'],
    [{ fields: { seats: 'three' } }, '/body/fields/seats'],
    [{ fields: { plan: 'gold' } }, '/body/fields/plan'],
    [{ fields: { signed_up: '2025-02-30' } }, '/body/fields/signed_up'],
    [{ fields: { 'no/such': 1 } }, '/body/fields/no~1such'],
    [{ fields: { notes: 'a\0b' } }, '/body/fields/notes'],
    [{ nickname: 'Countess' }, '/body'],
    [{ status: 'ACTIVE' }, '/body'],
  ])('are not made from %j', async (body, pointer) => {
    const refused = await call('post', CONTACTS, { body: { email: 'never@example.org', ...body } });
    expect(refused.status).toBe(422);
    expect(refused.body.errors[0].pointer).toBe(pointer);
    const { rows } = await api.db.query(`SELECT count(*) AS count FROM contacts WHERE email = 'never@example.org'`);
    expect(rows).toEqual([{ count: 0 }]);
  });

  it('have at most 32 KiB of custom fields together', async () => {
    for (const name of ['long_a', 'long_b', 'long_c', 'long_d']) {
      expect((await call('post', FIELDS, { body: { name, type: 'text' } })).status).toBe(201);
    }
    const long = 'é'.repeat(6_000);
    const made = await create({ fields: { long_a: long, long_b: long } });
    const refused = await call('patch', `${CONTACTS}/${made.id}`, { body: { fields: { long_c: long } } });
    expect(refused.status).toBe(422);
    expect(refused.body.errors[0].pointer).toBe('/body/fields');
  });

  it('are listed and searched by the beginning of address and names, page by page', async () => {
    const people = [
      { email: 'zx-first@example.org', first_name: 'Quintus', last_name: 'Maximus', tags: ['roman'] },
      { email: 'zx-second@example.org', first_name: 'Marcus', last_name: 'Quintilian' },
      { email: 'quintina@example.org', first_name: 'Percent', last_name: '100%_', tags: ['roman'] },
    ];
    const made = [];
    for (const person of people) made.push((await create(person)).id);
    const search = async (query: Record<string, string | number>) =>
      (await call('get', CONTACTS, { query })).body.items.map(({ id }: { id: string }) => id);
    expect(await search({ search: 'quint' })).toEqual([...made].reverse());
    expect(await search({ search: 'ZX-F' })).toEqual([made[0]]);
    expect(await search({ search: '100%_' })).toEqual([made[2]]);
    expect(await search({ search: '%' })).toEqual([]);
    expect(await search({ search: 'quint', tag: 'roman' })).toEqual([made[2], made[0]]);
    expect(await search({ search: 'quint', status: 'BOUNCED' })).toEqual([]);
    expect(await search({ tag: 'roman' })).toEqual([made[2], made[0]]);
    const pages: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page = await call('get', CONTACTS, { query: { search: 'quint', limit: 1, ...(cursor ? { cursor } : {}) } });
      pages.push(...page.body.items.map(({ id }: { id: string }) => id));
      cursor = page.body.next_cursor;
    }
    expect(pages).toEqual([...made].reverse());
    const other = await api.createWorkspace();
    const foreign = await api.request('get', `/workspaces/${other.id}/contacts`, {
      token: other.tokens.viewer,
      query: { search: 'quint' },
    });
    expect(foreign.body.items).toEqual([]);
    expect((await call('get', CONTACTS, { query: { search: ' ' } })).status).toBe(422);
    expect((await call('get', CONTACTS, { query: { cursor: 'WyJub25zZW5zZSJd' } })).status).toBe(422);
  });

  it('can be rebuilt from their submissions', async () => {
    expect(await expectRebuildable()).toBeGreaterThan(10);
  });
});

describe('custom fields', () => {
  it('are defined, changed, archived and removed', async () => {
    const made = await call('post', FIELDS, { body: { name: 'colour', type: 'text', label: 'Colour' } });
    const path = `${FIELDS}/${made.body.id}`;
    expect(made.body).toMatchObject({ name: 'colour', type: 'text', required: false, archived: false, version: 1 });
    expect((await call('post', FIELDS, { body: { name: 'colour', type: 'text' } })).status).toBe(409);
    const asEnum = { type: 'enum', enum_values: ['red', 'blue'], default_value: 'red' };
    expect((await call('patch', path, { body: asEnum })).body).toMatchObject({ ...asEnum, version: 2 });
    const contact = await create({ fields: { colour: 'blue' } });
    const retyped = await call('patch', path, { body: { type: 'text', enum_values: null, default_value: null } });
    expect([retyped.status, retyped.body.errors[0].pointer]).toEqual([409, '/body/type']);
    expect((await call('delete', path)).status).toBe(409);
    expect((await call('patch', path, { body: { archived: true } })).body.archived).toBe(true);
    const refused = await call('patch', `${CONTACTS}/${contact.id}`, { body: { fields: { colour: 'red' } } });
    expect(refused.status).toBe(422);
    const kept = await call('patch', `${CONTACTS}/${contact.id}`, { body: { fields: { seats: 9 } } });
    expect(kept.body.fields).toMatchObject({ colour: 'blue', seats: 9 });
    const names = async (query = {}) =>
      (await call('get', FIELDS, { query })).body.items.map(({ name }: { name: string }) => name);
    expect(await names()).not.toContain('colour');
    expect(await names({ archived: 'true' })).toContain('colour');
    const unused = await call('post', FIELDS, { body: { name: 'unused', type: 'url' } });
    expect((await call('delete', `${FIELDS}/${unused.body.id}`)).status).toBe(204);
    expect((await call('get', `${FIELDS}/${unused.body.id}`)).status).toBe(404);
  });

  it('that are required must be there, and stay', async () => {
    const field = await call('post', FIELDS, { body: { name: 'country', type: 'text', required: true } });
    const lacking = await call('post', CONTACTS, { body: { email: 'lacking@example.org' } });
    expect([lacking.status, lacking.body.errors[0].pointer]).toEqual([422, '/body/fields/country']);
    const made = await create({ fields: { country: 'DE' } });
    const removed = await call('patch', `${CONTACTS}/${made.id}`, { body: { fields: { country: null } } });
    expect(removed.status).toBe(422);
    await call('patch', `${FIELDS}/${field.body.id}`, { body: { archived: true } });
  });

  it.each([
    [{ name: 'Email Address', type: 'text' }, '/body/name'],
    [{ name: 'first_name', type: 'text' }, '/body/name'],
    [{ name: 'x', type: 'enum' }, '/body/enum_values'],
    [{ name: 'x', type: 'number', default_value: 'one' }, '/body/default_value'],
    [{ name: 'x', type: 'text', enum_values: ['a'] }, '/body/enum_values'],
    [{ name: 'x', type: 'colour' }, '/body/type'],
  ])('are not made from %j', async (body, pointer) => {
    const refused = await call('post', FIELDS, { body });
    expect([refused.status, refused.body.errors[0].pointer]).toEqual([422, pointer]);
  });
});

describe('search at 200,000 contacts', () => {
  it('reads by index, whatever the statistics say', async () => {
    const workspace = await api.createWorkspace('Large');
    // In parts, so that none of the statements takes as long as one may.
    for (let from = 1; from <= 200_000; from += 25_000) {
      await api.db.query(
        `INSERT INTO contacts (workspace_id, email, email_hash, first_name, last_name, created_at, updated_at)
         SELECT $1, 'p' || md5(n::text) || '@x.example', '', 'First' || n % 5000, 'Last' || n % 7000, now(), now()
         FROM generate_series($2::integer, $3::integer) AS n`,
        [workspace.id, from, from + 24_999],
      );
    }
    const { rows: functions } = await api.db.query<{ body: string }>(
      `SELECT prosrc AS body FROM pg_proc WHERE proname = 'sally_search_contacts'`,
    );
    for (const analysed of [false, true]) {
      if (analysed) await analyse('contacts');
      const plan = await api.db.transaction(async (tx) => {
        await tx.query(`SELECT set_config('sally.workspace', $1, true)`, [workspace.id]);
        await tx.query(`SET LOCAL plan_cache_mode = force_generic_plan`);
        await tx.query(`PREPARE search (uuid, text, text, text, uuid, integer) AS ${functions[0]?.body}`);
        const { rows } = await tx.query<{ 'QUERY PLAN': string }>(
          `EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE search ('${workspace.id}', 'pabc1', NULL, NULL, NULL, 51)`,
        );
        await tx.query('DEALLOCATE search');
        return rows.map((row) => row['QUERY PLAN']).join('\n');
      });
      for (const index of [
        'contacts_workspace_id_email_key',
        'contacts_first_name_prefix',
        'contacts_last_name_prefix',
      ]) {
        expect(plan).toContain(index);
      }
      expect(plan).not.toMatch(/Seq Scan on contacts/);
    }
    const found = await api.request('get', `/workspaces/${workspace.id}/contacts`, {
      token: workspace.tokens.viewer,
      query: { search: 'first4999' },
    });
    expect(found.body.items).toHaveLength(40);
  });
});
