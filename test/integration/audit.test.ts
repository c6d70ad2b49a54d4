import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { exampleWorld, type World } from '../support/examples';
import { exampleOf, mutatingOperations, sendExample, withExample } from '../support/walk';

let api: TestApi;
let world: World;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'audit' });
  world = await exampleWorld(api);
});
afterAll(() => api.close());

async function auditRows(requestId: string | null) {
  return many<{ action: string; actor_type: string; actor_id: string | null; entity_type: string }>(
    api.db,
    sql`SELECT action, actor_type, actor_id, entity_type FROM audit_log WHERE request_id = ${requestId}`,
  );
}

async function countAudit(): Promise<number> {
  return (await one<{ n: number }>(api.db, sql`SELECT count(*) AS n FROM audit_log`))?.n ?? 0;
}

describe('the audit trail', () => {
  test('every mutating operation writes its row', async () => {
    const missing: string[] = [];
    for (const route of withExample(mutatingOperations)) {
      const example = await exampleOf(route, world);
      const before = await countAudit();
      const response = await sendExample(api, route, world, example);
      const written = (await countAudit()) - before;
      if (response.status >= 400) missing.push(`${route.operationId}: ${response.status} ${response.text}`);
      else if (written === 0) missing.push(`${route.operationId}: no row`);
      if (route.access !== 'workspace') continue;
      const rows = await auditRows(response.headers.get('x-request-id'));
      if (rows.length === 0) missing.push(`${route.operationId}: no row with the id of the request`);
      const owner = world.workspace.people.owner.id;
      if (rows.some((row) => row.actor_type === 'user' && row.actor_id !== owner)) {
        missing.push(`${route.operationId}: another actor`);
      }
    }
    expect(missing).toEqual([]);
  });

  test('a request that fails leaves no row', async () => {
    const before = await countAudit();
    const response = await api.request('PATCH', '/workspaces/{ws}', {
      token: api.tokens.owner,
      body: { opt_in_reminder_seconds: 86_400, opt_in_expiry_seconds: 3_600 },
    });
    expect(response.status).toBe(422);
    expect(await countAudit()).toBe(before);
  });

  test('holds what was and what is, who did it and through which key', async () => {
    const change = await api.request('PATCH', '/workspaces/{ws}', { token: api.apiKey, body: { name: 'Renamed' } });
    expect(change.status).toBe(200);
    const trail = await api.request('GET', '/workspaces/{ws}/audit', {
      token: api.tokens.owner,
      query: { action: 'workspace.update', limit: 1 },
    });
    expect(trail.body.items).toEqual([
      expect.objectContaining({
        actor_type: 'api_key',
        actor_id: api.workspace.people.owner.id,
        api_key_id: expect.any(String),
        entity_type: 'workspace',
        entity_id: api.workspace.id,
        old_values: { name: 'Test workspace' },
        new_values: { name: 'Renamed' },
        request_id: change.headers.get('x-request-id'),
      }),
    ]);
  });

  test('is filtered and paged', async () => {
    const own = await api.createWorkspace();
    const token = own.tokens.owner;
    const base = `/workspaces/${own.id}`;
    for (const name of ['One', 'Two', 'Three']) await api.request('PATCH', base, { token, body: { name } });
    await api.request('POST', `${base}/api-keys`, { token, body: { name: 'Key', scopes: ['audit:read'] } });
    const list = async (query: Record<string, string | number>) =>
      (await api.request('GET', `${base}/audit`, { token, query })).body;

    const actions = (await list({})).items.map((item: { action: string }) => item.action);
    expect(actions).toEqual(['api-key.create', 'workspace.update', 'workspace.update', 'workspace.update']);
    expect((await list({ entity_type: 'api_key' })).items).toHaveLength(1);
    expect((await list({ entity_id: own.id })).items).toHaveLength(3);
    expect((await list({ actor: own.people.owner.id })).items).toHaveLength(4);
    expect((await list({ actor: own.people.viewer.id })).items).toEqual([]);
    expect((await list({ to: '2020-01-01T00:00:00Z' })).items).toEqual([]);
    expect((await list({ from: '2020-01-01T00:00:00+01:00' })).items).toHaveLength(4);

    const first = await list({ limit: 3 });
    const second = await list({ limit: 3, cursor: first.next_cursor });
    expect([...first.items, ...second.items].map((item) => item.new_values?.name)).toEqual([
      'Key',
      'Three',
      'Two',
      'One',
    ]);
    expect(second.next_cursor).toBeNull();
  });

  test('cannot be changed by the API’s role', async () => {
    await expect(
      api.deps.db.workspaceTransaction(api.workspace.id, (tx) => tx.query('UPDATE audit_log SET action = $1', ['x'])),
    ).rejects.toMatchObject({ code: '42501' });
    await expect(
      api.deps.db.workspaceTransaction(api.workspace.id, (tx) => tx.query('DELETE FROM audit_log')),
    ).rejects.toMatchObject({ code: '42501' });
  });
});
