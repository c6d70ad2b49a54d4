import * as fc from 'fast-check';
import { runImportSlice } from '../../activities/contacts/import-slice';
import { many, sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestWorkspace } from '../support/api';
import { rebuiltProfiles, startImport, storedProfiles } from '../support/imports';

let api: TestApi;
let counter = 0;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'contacts identity' });
});
afterAll(() => api.close());

const call = (method: string, path: string, body?: unknown, workspace: TestWorkspace = api.workspace) =>
  api.request(method, `/workspaces/${workspace.id}/${path}`, { token: workspace.tokens.marketer, body });

const upsert = (contacts: unknown[], workspace?: TestWorkspace) =>
  call('post', 'contacts/upsert', { contacts }, workspace);

/** An address that no other test has. */
const address = () => `person-${++counter}@identity.example`;
const crm = (value: string) => ({ kind: 'crm', value });

describe('external ids', () => {
  it('of several kinds find a contact, and belong to one', async () => {
    const email = address();
    const ids = [crm(`A-${counter}`), { kind: 'shop', value: `9-${counter}` }];
    const made = await call('post', 'contacts', { email, external_ids: ids });
    expect(made.status).toBe(201);
    expect(made.body.external_ids).toEqual(ids);
    for (const external_id of ids) {
      const found = await call('post', 'contacts/lookup', { external_id });
      expect(found.body.id).toBe(made.body.id);
    }
    expect((await call('post', 'contacts/lookup', { email: email.toUpperCase() })).body.id).toBe(made.body.id);
    expect((await call('post', 'contacts/lookup', { external_id: crm('nobody') })).status).toBe(404);
    expect((await call('post', 'contacts/lookup', {})).status).toBe(422);
    const other = await call('post', 'contacts', { email: address(), external_ids: [ids[0]] });
    expect(other.status).toBe(409);
    expect(other.body.contact_id).toBe(made.body.id);
    expect((await call('post', 'contacts/lookup', { email: `person-${counter}@identity.example` })).status).toBe(404);
    const moved = await call('patch', `contacts/${made.body.id}`, { external_ids: [ids[1], crm('B')] });
    expect(moved.body.external_ids).toEqual([crm('B'), ids[1]]);
    expect((await call('post', 'contacts/lookup', { external_id: ids[0] })).status).toBe(404);
  });

  it('of another workspace mean nothing', async () => {
    const other = await api.createWorkspace('Other');
    await call('post', 'contacts', { email: address(), external_ids: [crm('foreign')] }, other);
    expect((await call('post', 'contacts/lookup', { external_id: crm('foreign') })).status).toBe(404);
    const mine = await upsert([{ email: address(), external_ids: [crm('foreign')] }]);
    expect(mine.body).toMatchObject({ created: 1 });
  });
});

describe('upsert', () => {
  it('makes, changes and leaves contacts, with a result for each row', async () => {
    const [known, fresh] = [address(), address()];
    const before = await call('post', 'contacts', { email: known, first_name: 'Ada', tags: ['a'] });
    const answer = await upsert([
      { email: known.toUpperCase(), first_name: 'Ada' },
      { email: fresh, last_name: 'Hopper', external_ids: [crm('U-1')] },
      { external_ids: [crm('U-1')], first_name: 'Grace' },
      { email: known, locale: 'klingon-but-longer' },
      { external_ids: [crm('U-2')] },
      { first_name: 'Nobody' },
      { email: 'not an address' },
    ]);
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ created: 1, updated: 1, unchanged: 1, rejected: 4 });
    const { results } = answer.body;
    expect(results.map(({ status }: { status: string }) => status)).toEqual([
      'unchanged',
      'created',
      'updated',
      'rejected',
      'rejected',
      'rejected',
      'rejected',
    ]);
    expect(results[0].contact_id).toBe(before.body.id);
    expect(results[1].contact_id).toBe(results[2].contact_id);
    const pointers = results.slice(3).map((row: { error: { errors: { pointer: string }[] } }) => row.error.errors[0]);
    expect(pointers.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
      '/contacts/3/locale',
      '/contacts/4/email',
      '/contacts/5/email',
      '/contacts/6/email',
    ]);
    const read = await call('get', `contacts/${results[1].contact_id}`);
    expect(read.body).toMatchObject({ email: fresh, first_name: 'Grace', last_name: 'Hopper', version: 2 });
    const submissions = await call('get', `contacts/${results[1].contact_id}/submissions`);
    expect(submissions.body.items).toHaveLength(2);
  });

  it('follows an external id to a new address, keeps what the person chose, and makes a bounced contact ACTIVE', async () => {
    for (const status of ['BOUNCED', 'UNSUBSCRIBED']) {
      const external_ids = [crm(`move-${status}`)];
      const [from, to] = [address(), address()];
      const made = await upsert([{ email: from, external_ids }]);
      const id = made.body.results[0].contact_id;
      await api.db.query(sql`UPDATE contacts SET status = ${status} WHERE id = ${id}`);
      const moved = await upsert([{ email: to, external_ids }]);
      expect(moved.body.results[0]).toMatchObject({ status: 'updated', contact_id: id });
      const read = await call('get', `contacts/${id}`);
      expect(read.body).toMatchObject({ email: to, status: status === 'BOUNCED' ? 'ACTIVE' : 'UNSUBSCRIBED' });
      const [row] = await many<{ same: Buffer }>(api.db, sql`SELECT email_hash AS same FROM contacts WHERE id = ${id}`);
      expect(row?.same).toEqual(api.deps.addressHasher.hash(to));
    }
  });

  it('refuses keys that name different contacts, and an address that is being left', async () => {
    const [a, b] = [address(), address()];
    await upsert([
      { email: a, external_ids: [crm('amb-a')] },
      { email: b, external_ids: [crm('amb-b')] },
    ]);
    const answer = await upsert([
      { external_ids: [crm('amb-a'), crm('amb-b')] },
      { email: b, external_ids: [crm('amb-a')] },
      { email: address(), external_ids: [crm('amb-a')] },
      { email: a, first_name: 'New' },
    ]);
    const codes = answer.body.results.map((row: { error: { code: string } | null }) => row.error?.code ?? null);
    expect(codes).toEqual(['ambiguous', 'ambiguous', null, 'address-taken']);
    expect(answer.body.results[0].error.contact_ids).toHaveLength(2);
  });

  it('answers every row when addresses go round among contacts, in one request and in several at once', async () => {
    const people = Array.from({ length: 4 }, (_, index) => ({
      email: address(),
      external_ids: [crm(`round-${counter}-${index}`)],
    }));
    await upsert(people);
    const [a, b] = people;
    if (!a || !b) throw new Error('there are four');
    const swapped = await upsert([
      { ...a, email: b.email },
      { ...b, email: a.email },
    ]);
    const codes = (answer: typeof swapped) =>
      answer.body.results.map((row: { error: { code: string } | null }) => row.error?.code ?? null);
    expect(codes(swapped)).toEqual(['ambiguous', 'ambiguous']);
    const round = await upsert([
      { ...a, email: address() },
      { ...b, email: a.email },
      { ...a, email: b.email },
      { email: b.email, first_name: 'B' },
      { ...a, email: a.email },
    ]);
    expect(codes(round)).toEqual([null, 'address-taken', 'ambiguous', null, 'address-taken']);

    const addresses = [...people.map(({ email }) => email), address(), address()];
    const row = fc.record({ person: fc.nat(3), email: fc.constantFrom(...addresses), known: fc.boolean() });
    const batch = fc.array(row, { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(fc.array(batch, { minLength: 2, maxLength: 4 }), async (batches) => {
        const answers = await Promise.all(
          batches.map((rows) =>
            upsert(
              rows.map(({ person, email, known }) => ({
                email,
                external_ids: known ? people[person]?.external_ids : [],
              })),
            ),
          ),
        );
        for (const [index, answer] of answers.entries()) {
          expect([answer.status, answer.body.results?.length]).toEqual([200, batches[index]?.length]);
        }
      }),
      { numRuns: 15 },
    );
  });

  it('makes a new contact for an external id whose contact is being erased', async () => {
    const external_ids = [crm(`erased-${counter}`)];
    const made = await upsert([{ email: address(), external_ids }]);
    const id = made.body.results[0].contact_id;
    const erased = await api.request('delete', `/workspaces/${api.workspace.id}/contacts/${id}`, {
      token: api.workspace.tokens.owner,
    });
    expect(erased.status).toBe(202);
    const again = await upsert([{ email: address(), external_ids }]);
    expect(again.body.results[0]).toMatchObject({ status: 'created' });
    expect(again.body.results[0].contact_id).not.toBe(id);
  });

  it('checks required fields where it makes a contact, and gives defaults', async () => {
    const workspace = await api.createWorkspace('Required');
    await call(
      'post',
      'contact-fields',
      { name: 'plan', type: 'enum', enum_values: ['free', 'pro'], default_value: 'free' },
      workspace,
    );
    await call(
      'post',
      'contact-fields',
      { name: 'seats', type: 'number', required: true, is_segmentable: true },
      workspace,
    );
    const answer = await upsert(
      [
        { email: 'a@req.example', fields: { seats: 3 } },
        { email: 'b@req.example' },
        { email: 'a@req.example', fields: { seats: 'x' } },
        { email: 'a@req.example', fields: { seats: null } },
        { email: 'a@req.example', fields: { plan: 'pro', seats: 4 } },
      ],
      workspace,
    );
    expect(answer.body.results.map(({ status }: { status: string }) => status)).toEqual([
      'created',
      'rejected',
      'rejected',
      'rejected',
      'updated',
    ]);
    const found = await call('post', 'contacts/lookup', { email: 'a@req.example' }, workspace);
    expect(found.body.fields).toEqual({ plan: 'pro', seats: 4 });
    const index = await many(
      api.db,
      sql`SELECT number_value FROM contact_attributes WHERE workspace_id = ${workspace.id}`,
    );
    expect(index).toEqual([{ number_value: 4 }]);
  });

  it('applies each contact once when many requests make the same ones at once', async () => {
    const workspace = await api.createWorkspace('Race');
    const batch = Array.from({ length: 200 }, (_, i) => ({
      email: `r${i}@race.example`,
      external_ids: [crm(`r${i}`)],
    }));
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, shift) =>
        upsert([...batch.slice(shift * 30), ...batch.slice(0, shift * 30)], workspace),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(answers.reduce((sum, { body }) => sum + body.created, 0)).toBe(200);
    const [row] = await many(api.db, sql`SELECT count(*) AS count FROM contacts WHERE workspace_id = ${workspace.id}`);
    expect(row).toEqual({ count: 200 });
  });

  it('refuses what is no batch', async () => {
    for (const contacts of [
      [],
      Array.from({ length: 1_001 }, () => ({ email: 'a@b.example' })),
      [{ email: 5 }],
      [{ nick: 'x' }],
    ]) {
      expect((await upsert(contacts)).status).toBe(422);
    }
    const sneaky = await upsert([
      { email: address(), first_name: `'; DROP TABLE contacts; --`, external_ids: [crm(`'); --`)] },
    ]);
    expect(sneaky.body.created).toBe(1);
    const large = await upsert([{ email: address(), external_ids: [{ kind: 'Big', value: 'x' }] }]);
    expect(large.status).toBe(422);
  });
});

test('a profile that was edited past the API is made again from its submissions', async () => {
  const made = await call('post', 'contacts', { email: address(), first_name: 'Ada', tags: ['x'] });
  const path = `contacts/${made.body.id}/rebuild`;
  expect((await call('post', path)).body).toMatchObject({ same: true, submissions: 1, contact: { version: 1 } });
  await api.db.query(sql`UPDATE contacts SET first_name = 'Eve', tags = '{y}' WHERE id = ${made.body.id}`);
  const rebuilt = await call('post', path);
  expect(rebuilt.body).toMatchObject({
    same: false,
    changes: { first_name: 'Ada', tags: { set: ['x'] } },
    contact: { first_name: 'Ada', tags: ['x'], version: 2 },
  });
  const bare = await api.db.query(
    sql`INSERT INTO contacts (workspace_id, email, email_hash) VALUES (${api.workspace.id}, ${address()}, '\\x00') RETURNING id`,
  );
  expect((await call('post', `contacts/${bare.rows[0]?.id}/rebuild`)).status).toBe(409);
});

test('any history of imports, upserts, changes and merges is the fold of its submissions', async () => {
  const workspace = await api.createWorkspace('Fold');
  await call('post', 'contact-fields', { name: 'score', type: 'number', is_segmentable: true }, workspace);
  await call('post', 'contact-fields', { name: 'likes', type: 'list' }, workspace);
  const person = fc.integer({ min: 0, max: 4 });
  const values = fc.record(
    {
      first_name: fc.option(fc.constantFrom('Ada', 'Grace'), { nil: null }),
      tags: fc.subarray(['x', 'y', 'z']),
      fields: fc.record(
        {
          score: fc.option(fc.integer({ min: 0, max: 9 }), { nil: null }),
          likes: fc.option(fc.subarray(['p', 'q']), { nil: null }),
        },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: [] },
  );
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('upsert' as const),
      rows: fc.array(fc.tuple(person, person, values), { minLength: 1, maxLength: 6 }),
    }),
    fc.record({ kind: fc.constant('patch' as const), person, values }),
    fc.record({
      kind: fc.constant('import' as const),
      rows: fc.array(
        fc.tuple(
          person,
          fc.constantFrom('', 'Ada', 'Grace'),
          fc.constantFrom('', '1', '7', 'x'),
          fc.constantFrom('', 'x', 'y;z'),
        ),
        { minLength: 1, maxLength: 6 },
      ),
    }),
    fc.record({ kind: fc.constant('merge' as const), person, other: person }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), fc.uuid(), async (steps, run) => {
      const email = (i: number) => `p${i}-${run}@fold.example`;
      const idOf = async (i: number): Promise<string | null> =>
        (await call('post', 'contacts/lookup', { email: email(i) }, workspace)).body.id ?? null;
      for (const one of steps) {
        if (one.kind === 'upsert') {
          const rows = one.rows.map(([at, key, input]) => ({
            email: email(at),
            external_ids: [crm(`${key}-${run}`)],
            ...input,
          }));
          expect((await upsert(rows, workspace)).status).toBe(200);
        } else if (one.kind === 'import') {
          const lines = one.rows.map(([at, name, score, tags]) => `${email(at)},${name},${score},${tags}`);
          const file = ['email,first_name,score,tags', ...lines].join('\n');
          const { id: jobId } = await startImport(workspace, api.url, `${file}\n`);
          const control = { budgetMs: 10_000, pulse: () => {} };
          const deps = { db: api.db, addressHasher: api.deps.addressHasher };
          const slice = await runImportSlice(deps, { workspaceId: workspace.id, jobId }, control);
          expect(slice.state).toBe('DONE');
        } else if (one.kind === 'patch') {
          const id = await idOf(one.person);
          if (id) expect((await call('patch', `contacts/${id}`, one.values, workspace)).status).toBe(200);
        } else {
          const [id, other] = [await idOf(one.person), await idOf(one.other)];
          if (!id || !other || id === other) continue;
          const merged = await call('post', `contacts/${id}/merge`, { contact_id: other }, workspace);
          expect(merged.status).toBe(200);
        }
      }
      const stored = await storedProfiles(api.db, workspace.id);
      const rebuilt = await rebuiltProfiles(api.db, workspace.id);
      for (const [key, profile] of stored) {
        expect(rebuilt.get(key)).toEqual(profile);
      }
      const wrong = await many(
        api.db,
        sql`SELECT c.id FROM contacts c JOIN contact_field_definitions d ON d.workspace_id = c.workspace_id AND d.name = 'score'
            LEFT JOIN contact_attributes a ON a.workspace_id = c.workspace_id AND a.contact_id = c.id AND a.field_id = d.id
            WHERE c.workspace_id = ${workspace.id} AND (c.fields ->> 'score')::double precision IS DISTINCT FROM a.number_value`,
      );
      expect(wrong).toEqual([]);
    }),
    { numRuns: 25 },
  );
});
