import { beginRun, materialiseBatch } from '../../db/campaigns';
import { uuidv7 } from '../../platform/ids';
import { sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { addConsented, sentOff } from '../support/campaign-runs';
import { exampleWorld, type World } from '../support/examples';

let api: TestApi;
let world: World;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'timeline', temporal: 'absent' });
  world = await exampleWorld(api);
});
afterAll(() => api.close());

const timeline = (contactId: string, query: Record<string, string | number> = {}, of = world) =>
  api.request('GET', `/workspaces/${of.workspace.id}/contacts/${contactId}/timeline`, {
    token: of.workspace.tokens.viewer,
    query,
  });

interface Item {
  kind: string;
  id: string;
  at: string;
  details: Record<string, unknown>;
}

/** All pages, `limit` items at a time. */
async function all(contactId: string, limit: number): Promise<Item[]> {
  const items: Item[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { body, status } = await timeline(contactId, { limit, ...(cursor === '' ? {} : { cursor }) });
    expect(status).toBe(200);
    items.push(...body.items);
    cursor = body.next_cursor;
  }
  return items;
}

test('a timeline holds submissions, consents, memberships, messages and engagements, and its pages neither skip nor repeat', async () => {
  const [reader = ''] = await addConsented(world, 1);
  await world.call('patch', `/workspaces/{ws}/contacts/${reader}`, { first_name: 'Grace' });
  const purposes = await world.call('get', '/workspaces/{ws}/purposes');
  const service = purposes.body.items.find((item: { key: string }) => item.key === 'transactional');
  await world.call('put', `/workspaces/{ws}/contacts/${reader}/consents/${service.id}`, { status: 'granted' });
  const list = await world.audience();
  await api.db.query(sql`SELECT sally_append_event(${world.workspace.id}, 'segment_membership_changed', ${reader}, NULL,
    jsonb_build_object('audience_id', ${list}::text, 'change', 'added'))`);
  const run = await sentOff(world);
  const reference = { workspaceId: world.workspace.id, runId: run.runId };
  await beginRun(api.db, reference.workspaceId, reference.runId);
  while ((await materialiseBatch(api.db, reference, 1_000)).kind !== 'stopped');
  await api.db.query(sql`
    INSERT INTO engagements (id, workspace_id, source_id, delivery_id, kind, link_position, actor, occurred_at)
    SELECT ${uuidv7()}, workspace_id, source_id, id, 'OPEN', NULL, 'human', sally_now() FROM deliveries WHERE contact_id = ${reader}`);
  // Many at the same moment: only the id tells them apart.
  await api.db.query(sql`
    INSERT INTO submissions (workspace_id, contact_id, origin, payload, created_at)
    SELECT ${world.workspace.id}, ${reader}, 'API', '{}', '2026-01-01T00:00:00Z' FROM generate_series(1, 7)`);
  const whole = await all(reader, 200);
  const kinds = new Set(whole.map((item) => item.kind));
  expect([...kinds].sort()).toEqual(['consent', 'engagement', 'membership', 'message', 'submission']);
  const of = (kind: string) => whole.filter((item) => item.kind === kind).map((item) => item.details);
  expect(of('membership')).toEqual([{ audience_id: list, change: 'added' }]);
  expect(of('message')).toMatchObject([
    { source_type: 'CAMPAIGN', campaign_id: run.campaignId, status: 'QUEUED', class: 'bulk' },
  ]);
  expect(of('engagement')).toMatchObject([{ kind: 'OPEN', actor: 'human' }]);
  expect(of('consent')[0]).toMatchObject({ purpose: expect.any(String), status: 'granted' });
  expect(of('submission')).toContainEqual(expect.objectContaining({ payload: { first_name: 'Grace' } }));
  const times = whole.map((item) => Date.parse(item.at));
  expect(times).toEqual([...times].sort((a, b) => b - a));
  for (const limit of [1, 2, 5]) expect(await all(reader, limit)).toEqual(whole);
  const some = await timeline(reader, { kinds: 'consent,engagement' });
  expect(new Set(some.body.items.map((item: Item) => item.kind))).toEqual(new Set(['consent', 'engagement']));
});

test('a timeline is of a contact of this workspace, and refuses what it does not know', async () => {
  const contact = await world.contact();
  expect((await timeline(contact)).body).toEqual({ items: [], next_cursor: null });
  const foreign = await exampleWorld(api);
  expect((await timeline(contact, {}, foreign)).status).toBe(404);
  const cursors = ['x', Buffer.from(JSON.stringify(["2026-01-01'", contact])).toString('base64url')];
  for (const query of [{ kinds: 'secrets' }, { kinds: '' }, ...cursors.map((cursor) => ({ cursor }))]) {
    expect((await timeline(contact, query as Record<string, string>)).status).toBe(422);
  }
});
