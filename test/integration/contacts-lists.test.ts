import { startTestApi, type TestApi, type TestRequest, type TestWorkspace } from '../support/api';

let api: TestApi;
let counter = 0;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'contact lists', temporal: 'absent' });
});
afterAll(() => api.close());

const call = (method: string, path: string, request: TestRequest = {}, workspace: TestWorkspace = api.workspace) =>
  api.request(method, path.replace('{ws}', workspace.id), { token: workspace.tokens.marketer, ...request });

async function createContacts(count: number, workspace = api.workspace): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) {
    counter += 1;
    const body = { email: `member${counter}@example.org` };
    ids.push((await call('post', '/workspaces/{ws}/contacts', { body }, workspace)).body.id);
  }
  return ids;
}

describe('static lists', () => {
  it('are made, read, changed and taken out of use', async () => {
    const made = await call('post', '/workspaces/{ws}/audiences', { body: { name: ' Friends ' } });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ name: 'Friends', description: '', member_count: 0, version: 1 });
    const path = `/workspaces/{ws}/audiences/${made.body.id}`;
    expect((await call('post', '/workspaces/{ws}/audiences', { body: { name: 'Friends' } })).status).toBe(409);
    const changed = await call('patch', path, { body: { description: 'Near ones' }, headers: { 'if-match': '"v1"' } });
    expect(changed.body).toMatchObject({ name: 'Friends', description: 'Near ones', version: 2 });
    expect((await call('patch', path, { body: { name: 'X' }, headers: { 'if-match': '"v1"' } })).status).toBe(412);
    expect((await call('delete', path)).status).toBe(204);
    expect((await call('get', path)).status).toBe(404);
    expect((await call('delete', path)).status).toBe(404);
    expect((await call('post', '/workspaces/{ws}/audiences', { body: { name: 'Friends' } })).status).toBe(201);
    expect((await call('post', '/workspaces/{ws}/audiences', { body: { name: 'a\r\nb' } })).status).toBe(422);
  });

  it('count their members exactly, also when members come and go at once', async () => {
    const { body: audience } = await call('post', '/workspaces/{ws}/audiences', { body: { name: 'Counted' } });
    const path = `/workspaces/{ws}/audiences/${audience.id}`;
    const ids = await createContacts(12);
    const add = (contact_ids: string[]) => call('post', `${path}/members`, { body: { contact_ids } });
    const remove = (contact_ids: string[]) => call('delete', `${path}/members`, { body: { contact_ids } });
    expect((await add(ids.slice(0, 5))).body).toEqual({ added: 5, member_count: 5 });
    expect((await add([...ids.slice(3, 7), ids[3] ?? ''])).body).toEqual({ added: 2, member_count: 7 });
    expect((await remove([...ids.slice(0, 2), ids[11] ?? ''])).body).toEqual({ removed: 2, member_count: 5 });
    await Promise.all([
      ...ids.map((id) => add([id])),
      remove(ids.slice(0, 6)),
      ...ids.slice(6).map((id) => remove([id])),
    ]);
    const { rows } = await api.db.query(
      `SELECT member_count, (SELECT count(*) FROM audience_members m WHERE m.audience_id = a.id) AS members
       FROM audiences a WHERE id = $1`,
      [audience.id],
    );
    expect(rows[0]?.member_count).toBe(rows[0]?.members);
    const { rows: events } = await api.db.query(
      `SELECT sum(CASE payload ->> 'change' WHEN 'added' THEN 1 ELSE -1 END)::int AS net FROM marketing_events
       WHERE event_type = 'segment_membership_changed' AND payload ->> 'audience_id' = $1`,
      [audience.id],
    );
    expect(events[0]?.net).toBe(rows[0]?.members);
  });

  it('list members page by page', async () => {
    const { body: audience } = await call('post', '/workspaces/{ws}/audiences', { body: { name: 'Paged' } });
    const path = `/workspaces/{ws}/audiences/${audience.id}/members`;
    const ids = await createContacts(5);
    await call('post', path, { body: { contact_ids: ids } });
    const first = await call('get', path, { query: { limit: 3 } });
    const second = await call('get', path, { query: { limit: 3, cursor: first.body.next_cursor } });
    const listed = [...first.body.items, ...second.body.items].map(({ contact_id }) => contact_id);
    expect(listed).toEqual([...ids].sort());
    expect(second.body.next_cursor).toBeNull();
  });

  it('take contacts of their own workspace only, all or none', async () => {
    const { body: audience } = await call('post', '/workspaces/{ws}/audiences', { body: { name: 'Strict' } });
    const path = `/workspaces/{ws}/audiences/${audience.id}/members`;
    const other = await api.createWorkspace();
    const [[mine = ''], [foreign = '']] = await Promise.all([createContacts(1), createContacts(1, other)]);
    const refused = await call('post', path, { body: { contact_ids: [mine, foreign] } });
    expect([refused.status, refused.body.errors[0].pointer]).toEqual([422, '/body/contact_ids/1']);
    expect((await call('get', path)).body.items).toEqual([]);
    const tooMany = await call('post', path, { body: { contact_ids: Array.from({ length: 1001 }, () => mine) } });
    expect(tooMany.status).toBe(422);
    expect((await call('post', path, {}, other)).status).toBe(422);
    expect((await call('get', path, {}, other)).status).toBe(404);
  });
});

describe('suppressions', () => {
  const PATH = '/workspaces/{ws}/suppressions';

  it('are kept as hash and hint, never as the address, and never cross workspaces', async () => {
    const other = await api.createWorkspace();
    const body = {
      addresses: ['Secret.Person@Example.org', 'secret.person@example.org'],
      domains: ['@BÜCHER.example'],
      note: 'asked',
    };
    const made = await call('post', PATH, { body });
    expect(made.status).toBe(201);
    expect(made.body.items.map(({ hint, domain }: { hint: string; domain: string }) => [hint, domain])).toEqual([
      ['s…@example.org', null],
      ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ]);
    const again = await call('post', PATH, { body });
    expect(again.body).toEqual({ items: [], already_suppressed: 2 });
    const { text } = await call('get', PATH);
    expect(text).not.toContain('secret.person');
    const { rows } = await api.db.query(`SELECT count(*) AS count FROM suppressions s WHERE s::text LIKE '%secret%'`);
    expect(rows).toEqual([{ count: 0 }]);
    const check = (workspace: TestWorkspace, address: string) =>
      call('post', `${PATH}/check`, { body: { address } }, workspace).then((response) => response.body.items.length);
    expect(await check(api.workspace, 'SECRET.person@example.org')).toBe(1);
    expect(await check(api.workspace, 'anybody@bücher.example')).toBe(1);
    expect(await check(other, 'secret.person@example.org')).toBe(0);
    expect((await call('get', PATH, {}, other)).body.items).toEqual([]);
    expect((await call('delete', `${PATH}/${made.body.items[0].id}`, {}, other)).status).toBe(404);
  });

  it('that are held count once they are released', async () => {
    const { rows } = await api.db.query<{ id: string }>(
      `INSERT INTO suppressions (workspace_id, domain, hint, reason, source, state)
       SELECT $1, name, name, 'BOUNCE', 'DELIVERY', 'HELD' FROM unnest(ARRAY['held-a.example', 'held-b.example']) AS name
       RETURNING id`,
      [api.workspace.id],
    );
    const path = `${PATH}/${rows[0]?.id}`;
    expect((await call('get', PATH, { query: { state: 'HELD' } })).body.items).toHaveLength(2);
    expect((await call('post', `${path}/release`)).body).toMatchObject({ state: 'ACTIVE', reason: 'BOUNCE' });
    const twice = await call('post', `${path}/release`);
    expect([twice.status, twice.body.state]).toEqual([409, 'ACTIVE']);
    const byHand = await call('post', PATH, { body: { domains: ['held-b.example'] } });
    expect(byHand.body.items).toMatchObject([{ id: rows[1]?.id, state: 'ACTIVE', reason: 'BOUNCE' }]);
    const lifted = { body: { reason: 'MISTAKE', evidence: 'Our server was at fault' } };
    expect((await call('post', `${path}/remove`, lifted)).status).toBe(200);
    expect((await call('post', `${path}/remove`, lifted)).status).toBe(404);
  });

  it.each([
    [{}, '/body/addresses'],
    [{ addresses: ['fine@example.org', 'broken'] }, '/body/addresses/1'],
    [{ domains: ['not a domain'] }, '/body/domains/0'],
    [{ addresses: ['fine@example.org'], reason: 'BOUNCE' }, '/body'],
    [{ addresses: Array.from({ length: 1001 }, (_, n) => `a${n}@example.org`) }, '/body/addresses'],
  ])('are not made from bad input %#', async (body, pointer) => {
    const refused = await call('post', PATH, { body });
    expect([refused.status, refused.body.errors[0].pointer]).toEqual([422, pointer]);
  });
});
