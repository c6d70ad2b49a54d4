import type { AnyRoute } from '../../api/http/route';
import { routes } from '../../api/routes';
import { mayDo, PERMISSIONS, type Permission, ROLES, type Role } from '../../domain/workspace';
import { uuidv7 } from '../../platform/ids';
import { startTestApi, type TestApi, type TestResponse } from '../support/api';
import { exampleWorld, type World } from '../support/examples';
import {
  exampleOf,
  fillPath,
  inParallel,
  pathParameters,
  sendExample,
  withExample,
  workspaceOperations,
} from '../support/walk';

/** The role matrix as it is meant to be: o owner, m marketer, a approver, p operator, v viewer. */
const MATRIX: Record<Permission, string> = {
  'workspace:read': 'omapv',
  'workspace:write': 'o',
  'members:read': 'omapv',
  'members:write': 'o',
  'keys:read': 'omap',
  'keys:write': 'omap',
  'audit:read': 'oap',
  'contacts:read': 'omapv',
  'contacts:write': 'om',
  'consent:read': 'omapv',
  'consent:write': 'om',
  'content:read': 'omapv',
  'content:write': 'om',
  'content:approve': 'oa',
  'campaigns:read': 'omapv',
  'campaigns:write': 'om',
  'campaigns:operate': 'omap',
  'delivery:read': 'omapv',
  'delivery:settle': 'op',
  'messages:send': 'om',
  'senders:read': 'omapv',
  'senders:write': 'op',
  'suppressions:read': 'omapv',
  'suppressions:write': 'omp',
  'alerts:read': 'omapv',
  'alerts:write': 'op',
};
const LETTERS: Record<Role, string> = { owner: 'o', marketer: 'm', approver: 'a', operator: 'p', viewer: 'v' };

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'access' });
});
afterAll(() => api.close());

/** A request that gets past authentication and permission, but names nothing that exists. */
function knock(route: AnyRoute, token: string): Promise<TestResponse> {
  const ids = Object.fromEntries(pathParameters(route.path).map((name) => [name, uuidv7()]));
  const type = route.accepts?.types[0] ?? 'application/json';
  return api.request(route.method, fillPath(route.path, { ...ids, ws: api.workspace.id }), {
    token,
    ...(route.body || route.accepts ? { rawBody: '{}', headers: { 'content-type': type } } : {}),
  });
}

/** Refused for want of a permission, as opposed to a 403 for another reason (a key where a person is needed). */
function isRefused(response: TestResponse): boolean {
  return response.status === 403 && 'permission' in response.body;
}

describe('roles × permissions', () => {
  test.each(PERMISSIONS)('%s', (permission) => {
    const granted = ROLES.filter((role) => mayDo(role, null, permission)).map((role) => LETTERS[role]);
    expect(granted.join('')).toBe(MATRIX[permission]);
  });
});

describe('roles × operations', () => {
  test('every operation of a workspace asks for a permission', () => {
    expect(workspaceOperations.filter((route) => !route.permission).map((route) => route.operationId)).toEqual([]);
    const elsewhere = routes.filter(
      (route) => route.path.startsWith('/workspaces/{ws}') && route.access !== 'workspace',
    );
    expect(elsewhere).toEqual([]);
  });

  test.each(ROLES)('%s', async (role) => {
    const wrong: string[] = [];
    await inParallel(workspaceOperations, async (route) => {
      const response = await knock(route, api.tokens[role]);
      const may = route.permission !== undefined && MATRIX[route.permission].includes(LETTERS[role]);
      if (isRefused(response) === may || response.status >= 500) wrong.push(`${route.operationId}: ${response.status}`);
    });
    expect(wrong).toEqual([]);
  });

  test('a key can do what its scope and the role of its person both allow', async () => {
    const wrong: string[] = [];
    for (const permission of new Set(workspaceOperations.map((route) => route.permission))) {
      if (!permission) continue;
      const scoped = await api.createApiKey(api.workspace, [permission]);
      const ofViewer = await api.createApiKey(api.workspace, [permission], 'viewer');
      await inParallel(workspaceOperations, async (route) => {
        const response = await knock(route, scoped);
        if (isRefused(response) === (route.permission === permission) || response.status >= 500) {
          wrong.push(`${route.operationId} with ${permission}: ${response.status}`);
        }
        if (route.permission !== permission) return;
        const limited = await knock(route, ofViewer);
        if (isRefused(limited) === MATRIX[permission].includes('v')) {
          wrong.push(`${route.operationId} with ${permission} of a viewer: ${limited.status}`);
        }
      });
    }
    expect(wrong).toEqual([]);
  });

  test('nobody gets in without a token, with a wrong one, or with a key outside a workspace', async () => {
    const wrong: string[] = [];
    const guarded = routes.filter((candidate) => candidate.access !== 'public');
    await inParallel(guarded, async (route) => {
      for (const token of [undefined, 'nonsense', `sally_${'x'.repeat(43)}`]) {
        const ids = Object.fromEntries(pathParameters(route.path).map((name) => [name, uuidv7()]));
        const path = fillPath(route.path, { ...ids, ws: api.workspace.id });
        const { status, headers } = await api.request(route.method, path, { token });
        if (status !== 401 || !headers.get('www-authenticate')) wrong.push(`${route.operationId}: ${status}`);
      }
    });
    expect(wrong).toEqual([]);
    expect((await api.request('GET', '/auth/workspaces', { token: api.apiKey })).status).toBe(401);
  });
});

describe('a foreign workspace', () => {
  let own: World;
  let foreign: World;
  beforeAll(async () => {
    own = await exampleWorld(api);
    foreign = await exampleWorld(api);
  });

  test('is not there: every operation on its path is 404', async () => {
    const wrong: string[] = [];
    const outsiderKey = await api.createApiKey(own.workspace, PERMISSIONS);
    for (const route of withExample(workspaceOperations)) {
      const example = await exampleOf(route, foreign);
      for (const token of [own.workspace.tokens.owner, outsiderKey]) {
        const { status } = await sendExample(api, route, foreign, example, { token });
        if (status !== 404) wrong.push(`${route.operationId}: ${status}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('has nothing that could be reached under the path of one’s own', async () => {
    const wrong: string[] = [];
    for (const route of withExample(workspaceOperations)) {
      if (pathParameters(route.path).length === 0) continue;
      const mine = await exampleOf(route, own);
      const theirs = await exampleOf(route, foreign);
      const response = await sendExample(api, route, own, mine, { params: theirs.params });
      if (response.status !== 404) wrong.push(`${route.operationId}: ${response.status} ${response.text}`);
      // The same request with an id of one's own is answered: the 404 came from the id alone.
      const again = await sendExample(api, route, own, mine);
      if (again.status >= 400) wrong.push(`${route.operationId} with an id of its own: ${again.status} ${again.text}`);
    }
    expect(wrong).toEqual([]);
  });

  test('answers as one that does not exist', async () => {
    const token = own.workspace.tokens.owner;
    const there = await api.request('GET', `/workspaces/${foreign.workspace.id}`, { token });
    const nowhere = await api.request('GET', `/workspaces/${uuidv7()}`, { token });
    expect(there.status).toBe(404);
    expect({ ...there.body, instance: '' }).toEqual({ ...nowhere.body, instance: '' });
  });
});
