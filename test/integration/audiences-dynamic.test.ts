import { previewConditions, refreshAudience, resolveConditions } from '../../db/audiences';
import { parseConditions } from '../../domain/audiences';
import { Database, many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { exampleWorld, type World } from '../support/examples';

const AUDIENCES = '/workspaces/{ws}/audiences';
const named = (first_name: string) => ({ type: 'field', field: 'first_name', operator: 'equals', value: first_name });

let api: TestApi;
let world: World;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'dynamic audiences' });
});
beforeEach(async () => {
  world = await exampleWorld(api);
});
afterAll(() => api.close());

function request(method: string, path: string, body?: unknown, token = world.workspace.tokens.owner) {
  return api.request(method, path.replace('{ws}', world.workspace.id), { token, body });
}

async function dynamic(conditions: unknown): Promise<string> {
  const made = await request('post', AUDIENCES, { name: `Segment ${world.unique()}`, conditions });
  expect(made.text).toContain('"type":"DYNAMIC"');
  return made.body.id;
}

const refresh = (audienceId: string) => refreshAudience(api.db, { workspaceId: world.workspace.id, audienceId });
const read = async (audienceId: string) => (await request('get', `${AUDIENCES}/${audienceId}`)).body;
async function members(audienceId: string): Promise<string[]> {
  const { body } = await request('get', `${AUDIENCES}/${audienceId}/members`);
  return body.items.map((item: { contact_id: string }) => item.contact_id);
}
function changes(audienceId: string) {
  return many<{ contact_id: string; change: string }>(
    api.db,
    sql`SELECT contact_id, payload ->> 'change' AS change FROM marketing_events
        WHERE workspace_id = ${world.workspace.id} AND event_type = 'segment_membership_changed'
          AND payload ->> 'audience_id' = ${audienceId} ORDER BY event_id`,
  );
}
const openAlerts = () =>
  many<{ cause: string }>(
    api.db,
    sql`SELECT cause FROM alerts WHERE workspace_id = ${world.workspace.id} AND kind = 'audience-refresh' AND resolved_at IS NULL`,
  );

describe('a dynamic audience', () => {
  test('begins with a baseline, then tells of every change', async () => {
    const [ada, grace] = [await world.contact({ first_name: 'Ada' }), await world.contact({ first_name: 'Grace' })];
    const audience = await dynamic(named('Ada'));
    expect(await read(audience)).toMatchObject({
      member_count: 0,
      conditions: named('Ada'),
      calculation: { state: 'PENDING', error: null, last_calculated_at: null, is_time_dependent: false },
    });
    expect(await refresh(audience)).toEqual({ outcome: 'refreshed', added: 1, removed: 0 });
    expect(await members(audience)).toEqual([ada]);
    expect(await changes(audience)).toEqual([]);
    const shown = await read(audience);
    expect(shown).toMatchObject({ member_count: 1, calculation: { state: 'CURRENT' } });
    expect(Date.parse(shown.calculation.last_calculated_at)).toBeGreaterThan(0);

    await api.db.query(sql`UPDATE contacts SET first_name = 'Ada' WHERE id = ${grace}`);
    await api.db.query(sql`UPDATE contacts SET first_name = 'Grace' WHERE id = ${ada}`);
    expect(await refresh(audience)).toEqual({ outcome: 'refreshed', added: 1, removed: 1 });
    expect(await members(audience)).toEqual([grace]);
    expect(await changes(audience)).toEqual(
      expect.arrayContaining([
        { contact_id: grace, change: 'added' },
        { contact_id: ada, change: 'removed' },
      ]),
    );
    expect(await refresh(audience)).toEqual({ outcome: 'refreshed', added: 0, removed: 0 });
    expect(await changes(audience)).toHaveLength(2);
  });

  test('takes a changed definition for a new baseline', async () => {
    const [ada, grace] = [await world.contact({ first_name: 'Ada' }), await world.contact({ first_name: 'Grace' })];
    const audience = await dynamic(named('Ada'));
    await refresh(audience);
    const changed = await request('patch', `${AUDIENCES}/${audience}`, { conditions: { not: named('Ada') } });
    // Until it is calculated, it has the members of before.
    expect(changed.body).toMatchObject({ version: 2, member_count: 1, calculation: { state: 'PENDING' } });
    expect(await members(audience)).toEqual([ada]);
    await refresh(audience);
    expect(await members(audience)).toEqual([grace]);
    expect(await changes(audience)).toEqual([]);
    // The same conditions in other words of JSON are no change.
    const same = await request('patch', `${AUDIENCES}/${audience}`, { conditions: { not: { ...named('Ada') } } });
    expect(same.body.calculation.state).toBe('CURRENT');
  });

  test('more differences than fit one transaction arrive in batches, counted', async () => {
    await api.db.query(sql`
      INSERT INTO contacts (workspace_id, email, email_hash, first_name)
      SELECT ${world.workspace.id}, 'p' || n || '@bulk.example', sha256(('p' || n)::bytea), 'Bulk'
      FROM generate_series(1, 45000) n`);
    const audience = await dynamic(named('Bulk'));
    expect(await refresh(audience)).toEqual({ outcome: 'refreshed', added: 45_000, removed: 0 });
    expect(await read(audience)).toMatchObject({ member_count: 45_000, calculation: { state: 'CURRENT' } });
    // A calculation that died between two batches: differences that were left over do no harm.
    await api.db.query(sql`
      INSERT INTO audience_differences SELECT workspace_id, ${audience}, id, false FROM contacts
      WHERE workspace_id = ${world.workspace.id} LIMIT 10`);
    expect(await refresh(audience)).toEqual({ outcome: 'refreshed', added: 0, removed: 0 });
    const row = await one<{ members: number }>(
      api.db,
      sql`SELECT count(*) AS members FROM audience_members WHERE audience_id = ${audience}`,
    );
    expect(row?.members).toBe(45_000);
  });

  test('keeps its last good members when a calculation fails, alerts, and recovers', async () => {
    const field = await world.insert('contact_field_definitions', {
      name: 'seats',
      label: 'Seats',
      type: 'number',
      is_segmentable: true,
      index_state: 'READY',
    });
    const contact = await world.contact({ fields: JSON.stringify({ seats: 5 }) });
    const audience = await dynamic({ type: 'custom_field', field: 'seats', operator: 'at_least', value: 5 });
    await refresh(audience);
    const segmentable = (yes: boolean) =>
      api.db.query(sql`UPDATE contact_field_definitions SET is_segmentable = ${yes},
        index_state = ${yes ? 'READY' : 'NONE'} WHERE id = ${field}`);
    await segmentable(false);
    expect((await refresh(audience)).outcome).toBe('failed');
    expect(await members(audience)).toEqual([contact]);
    expect((await read(audience)).calculation).toMatchObject({ state: 'FAILED', error: 'DEFINITION' });
    expect(await openAlerts()).toEqual([{ cause: audience }]);
    await segmentable(true);
    expect((await refresh(audience)).outcome).toBe('refreshed');
    expect((await read(audience)).calculation).toMatchObject({ state: 'CURRENT', error: null });
    expect(await openAlerts()).toEqual([]);
  });

  test('two calculations at once: one works, the other leaves', async () => {
    await world.contact({ first_name: 'Ada' });
    const audience = await dynamic(named('Ada'));
    const blocker = new Database({ url: api.database.workerUrl, applicationName: 'blocker', connections: 1 });
    await blocker.transaction(async (tx) => {
      // It waits for a calculation.
      await tx.query('SET LOCAL idle_in_transaction_session_timeout = 0');
      await tx.query(sql`SELECT pg_advisory_xact_lock(hashtextextended('audience-refresh/' || ${audience}, 0))`);
      expect((await refresh(audience)).outcome).toBe('busy');
    });
    await blocker.close();
    expect((await refresh(audience)).outcome).toBe('refreshed');
  });

  test('takes no members by hand or by import', async () => {
    const contact = await world.contact();
    const audience = await dynamic(named('Ada'));
    for (const method of ['post', 'delete']) {
      const refused = await request(method, `${AUDIENCES}/${audience}/members`, { contact_ids: [contact] });
      expect(refused.status).toBe(409);
      expect(refused.body.state).toBe('DYNAMIC');
    }
    const upload = await world.insert('uploads', {
      filename: 'a.csv',
      content_type: 'text/csv',
      completed_at: new Date(),
    });
    const imported = await request('post', '/workspaces/{ws}/imports', { upload_id: upload, audience_id: audience });
    expect(imported.status).toBe(422);
    const list = await world.audience();
    expect((await request('patch', `${AUDIENCES}/${list}`, { conditions: named('Ada') })).status).toBe(422);
    expect((await request('post', `${AUDIENCES}/${list}/refresh`)).status).toBe(409);
  });
});

describe('audiences made of audiences', () => {
  const of = (audience_id: string) => ({ type: 'audience', audience_id });

  test('follow a list that changes', async () => {
    const [list, contact] = [await world.audience(), await world.contact()];
    const inner = await dynamic(of(list));
    const outer = await dynamic({ not: of(inner) });
    for (const audience of [inner, outer]) await refresh(audience);
    expect(await members(outer)).toEqual([contact]);
    await request('post', `${AUDIENCES}/${list}/members`, { contact_ids: [contact] });
    const dirty = async () =>
      (
        await many<{ id: string }>(
          api.db,
          sql`SELECT id FROM audiences WHERE workspace_id = ${world.workspace.id} AND dirty_at IS NOT NULL`,
        )
      ).map((row) => row.id);
    expect(await dirty()).toEqual([inner]);
    await refresh(inner);
    expect(await dirty()).toEqual([outer]);
    await refresh(outer);
    expect(await members(outer)).toEqual([]);
    expect(await dirty()).toEqual([]);
  });

  test('are never made of themselves', async () => {
    const first = await dynamic(named('Ada'));
    const second = await dynamic({ any: [named('Grace'), of(first)] });
    const third = await dynamic({ not: of(second) });
    for (const target of [first, second, third]) {
      const refused = await request('patch', `${AUDIENCES}/${first}`, { conditions: { all: [of(target)] } });
      expect(refused.status).toBe(422);
      expect(refused.body.errors[0].pointer).toBe('/body/conditions');
    }
    // Two changes at once that would make a circle only together: one of them is refused.
    const [a, b] = [await dynamic(named('Ada')), await dynamic(named('Ada'))];
    const answers = await Promise.all([
      request('patch', `${AUDIENCES}/${a}`, { conditions: of(b) }),
      request('patch', `${AUDIENCES}/${b}`, { conditions: of(a) }),
    ]);
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, 422]);
  });

  test('keep what they are made of', async () => {
    const list = await world.audience();
    const user = await dynamic(of(list));
    const refused = await request('delete', `${AUDIENCES}/${list}`);
    expect(refused.status).toBe(409);
    expect(refused.body.detail).toContain((await read(user)).name);
    expect((await request('delete', `${AUDIENCES}/${user}`)).status).toBe(204);
    expect((await request('delete', `${AUDIENCES}/${list}`)).status).toBe(204);
  });
});

describe('previews', () => {
  const preview = (conditions: unknown) => request('post', `${AUDIENCES}/preview`, { conditions });

  test('count, and show ten', async () => {
    for (let n = 0; n < 12; n += 1) await world.contact({ first_name: 'Ada' });
    const other = await world.contact({ first_name: 'Grace' });
    const found = await preview(named('Ada'));
    expect(found.status).toBe(200);
    expect(found.body).toMatchObject({ count: 12, is_estimate: false });
    expect(found.body.samples).toHaveLength(10);
    expect((await preview({ not: named('Ada') })).body).toMatchObject({
      count: 1,
      samples: [{ contact_id: other, first_name: 'Grace', last_name: null, status: 'ACTIVE' }],
    });
    expect((await preview(named('Nobody'))).body).toEqual({ count: 0, is_estimate: false, samples: [] });
  });

  test.each([
    ['no object', 'x', ''],
    ['an empty group', { all: [] }, '/all'],
    ['a group with something else', { all: [named('Ada')], any: [] }, ''],
    ['an unknown type', { type: 'horoscope' }, '/type'],
    ['an unknown member', { ...named('Ada'), color: 'red' }, ''],
    ['an unknown built-in field', { ...named('Ada'), field: 'email_hash' }, '/field'],
    ['a wrong operator for the type', { any: [{ ...named('Ada'), operator: 'within_last' }] }, '/any/0'],
    ['a wrong operand', { ...named('Ada'), value: 7 }, ''],
    ['NUL', { not: named('\0') }, '/not/value'],
    ['a custom field that does not exist', { type: 'custom_field', field: 'nope', operator: 'missing' }, '/field'],
    ['a field name with SQL', { type: 'custom_field', field: 'a"; --', operator: 'missing' }, '/field'],
    ['an unknown purpose', { type: 'consent', purpose: 'nope', status: 'granted' }, '/purpose'],
    ['an unknown category', { type: 'category', category: 'nope', subscribed: true }, '/category'],
    ['an unknown audience', { type: 'audience', audience_id: '01900000-0000-7000-8000-000000000000' }, '/audience_id'],
    [
      'an unknown campaign',
      { type: 'engagement', activity: 'opened', campaign_id: '01900000-0000-7000-8000-000000000000' },
      '/campaign_id',
    ],
    ['a link that was not clicked', { type: 'engagement', activity: 'opened', url: 'https://a.example' }, ''],
    ['no times at all', { type: 'event', event_type: 'purchase', at_least: 0 }, '/at_least'],
  ])('refuse %s', async (_what, conditions, place) => {
    const refused = await preview(conditions);
    expect(refused.status).toBe(422);
    expect(refused.body.errors[0].pointer).toBe(`/body/conditions${place}`);
  });

  test('refuse trees that are too deep or too large', async () => {
    let deep: unknown = named('Ada');
    for (let depth = 0; depth < 8; depth += 1) deep = { not: deep };
    expect((await preview(deep)).body.errors[0].detail).toContain('deeper than 8');
    const wide = { any: Array.from({ length: 101 }, () => named('Ada')) };
    expect((await preview(wide)).body.errors[0].detail).toContain('more than 100');
    const spread = { any: [{ all: wide.any.slice(0, 60) }, { all: wide.any.slice(0, 60) }] };
    expect((await preview(spread)).body.errors[0].detail).toContain('more than 100');
  });

  test('name the field that is not segmentable, and one whose index is not ready', async () => {
    await world.insert('contact_field_definitions', { name: 'plain', label: 'Plain', type: 'text' });
    const building = { label: 'New', type: 'text', is_segmentable: true, index_state: 'BUILDING' };
    await world.insert('contact_field_definitions', { name: 'fresh', ...building });
    for (const [field, words] of [
      ['plain', 'not segmentable'],
      ['fresh', 'still being made'],
    ]) {
      const refused = await preview({ all: [{ type: 'custom_field', field, operator: 'missing' }] });
      expect(refused.status).toBe(422);
      expect(refused.body.errors).toEqual([
        { pointer: '/body/conditions/all/0/field', detail: expect.stringContaining(`"${field}"`) },
      ]);
      expect(refused.body.detail).toContain(words);
    }
  });

  test('estimate from a sample what takes too long to count', async () => {
    const ws = world.workspace.id;
    await api.db.query(sql`
      INSERT INTO contacts (workspace_id, email, email_hash, tags, locale)
      SELECT ${ws}, 'e' || n || '@estimate.example', sha256(('e' || n)::bytea),
        CASE WHEN n % 2 = 0 THEN '{even}'::text[] ELSE '{}' END, 'de'
      FROM generate_series(1, 30000) n`);
    const owner = new Database({ url: api.database.ownerUrl, applicationName: 'owner', connections: 1 });
    await owner.query('ANALYZE contacts');
    await owner.close();
    const even = parseConditions({
      all: [
        { type: 'field', field: 'tags', operator: 'contains', value: 'even' },
        { not: { type: 'consent', purpose: 'newsletter', status: 'granted' } },
      ],
    });
    if (!even.ok) throw new Error('no tree');
    const { tree } = even;
    const limits = { exactMs: 1, estimateMs: 30_000 };
    const found = await api.deps.db.workspaceTransaction(ws, async (tx) => {
      const resolution = await resolveConditions(tx, ws, tree);
      if (!resolution.ok) throw new Error('not resolved');
      const estimates = [];
      for (let n = 0; n < 16; n += 1) estimates.push(await previewConditions(tx, tree, resolution.lookups, limits));
      const counted = await previewConditions(tx, tree, resolution.lookups, { ...limits, exactMs: 30_000 });
      // The transaction goes on, with its own limits.
      const timeout = await one<{ statement_timeout: string }>(tx, sql`SHOW statement_timeout`);
      expect(timeout?.statement_timeout).toBe('30s');
      return { estimates, counted };
    });
    expect(found.counted).toMatchObject({ count: 15_000, isEstimate: false });
    for (const estimated of found.estimates) {
      expect(estimated?.isEstimate).toBe(true);
      expect(estimated?.samples).toHaveLength(10);
    }
    // A sample of a few dozen pages may be a third off; their mean is not.
    const mean = found.estimates.reduce((sum, estimated) => sum + (estimated?.count ?? 0), 0) / found.estimates.length;
    expect(mean).toBeGreaterThan(9_000);
    expect(mean).toBeLessThan(21_000);
  });

  test('know nothing of another workspace', async () => {
    const other = await exampleWorld(api);
    await other.contact({ first_name: 'Ada' });
    const list = await other.audience();
    expect((await preview(named('Ada'))).body.count).toBe(0);
    expect((await preview({ type: 'audience', audience_id: list })).status).toBe(422);
  });
});
