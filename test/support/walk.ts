import type { AnyRoute } from '../../api/http/route';
import { routes } from '../../api/routes';
import type { TestApi, TestRequest, TestResponse } from './api';
import { type ExampleRequest, examples, type World } from './examples';

/** Operations below /workspaces/{ws}, which need a permission each. */
export const workspaceOperations = routes.filter((route) => route.access === 'workspace');

/** Operations that change something: all but GET and those marked readOnly. */
export const mutatingOperations = routes.filter((route) => route.method !== 'get' && !route.readOnly);

/** Operations without an example request; one test names them all, the other walks pass them by. */
export function withoutExample(list: AnyRoute[]): string[] {
  return list
    .filter((route) => !route.hidden && !(route.operationId in examples))
    .map((route) => `${route.operationId} (${route.method.toUpperCase()} ${route.path})`);
}

export function withExample(list: AnyRoute[]): AnyRoute[] {
  return list.filter((route) => route.operationId in examples);
}

/** Does the work for every item, a few at a time: the API and Postgres then work at once. */
export async function inParallel<T>(items: Iterable<T>, work: (item: T) => Promise<void>): Promise<void> {
  const left = items[Symbol.iterator]();
  const walk = async () => {
    for (let next = left.next(); !next.done; next = left.next()) await work(next.value);
  };
  await Promise.all(Array.from({ length: 4 }, walk));
}

/** Names of a path's parameters without `ws`. */
export function pathParameters(path: string): string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '').filter((name) => name !== 'ws');
}

/** The path with its parameters filled in; throws where a value is missing. */
export function fillPath(path: string, values: Record<string, string>): string {
  return path.replace(/\{(\w+)\}/g, (_all, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`${path} needs a value for ${name}`);
    return encodeURIComponent(value);
  });
}

/** The registered example of an operation, made in `world`. */
export async function exampleOf(route: AnyRoute, world: World): Promise<ExampleRequest> {
  const example = examples[route.operationId];
  if (!example) throw new Error(`${route.operationId} has no example request`);
  return example(world);
}

/** Sends an example as the owner, or as whoever `change` says. `ws` and `params` may be changed too. */
export function sendExample(
  api: TestApi,
  route: AnyRoute,
  world: World,
  example: ExampleRequest,
  change: { token?: string; ws?: string; params?: Record<string, string> } = {},
): Promise<TestResponse> {
  const path = fillPath(route.path, {
    ...example.params,
    ...change.params,
    ws: change.ws ?? example.params?.ws ?? world.workspace.id,
  });
  const request: TestRequest = {
    token: route.access === 'public' ? undefined : (change.token ?? world.workspace.tokens.owner),
    body: example.body,
    rawBody: example.rawBody,
    query: example.query,
    headers: example.headers,
  };
  return api.request(route.method, path, request);
}
