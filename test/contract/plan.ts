import type { AnyRoute, ContextByAccess } from '../../api/http/route';
import type { TestApi } from '../support/api';
import { type ExampleRequest, exampleWorld, type World } from '../support/examples';
import { exampleOf } from '../support/walk';

/** One request that the operation answers with success, in the form that hooks.py reads. */
interface PlannedExample {
  path: Record<string, string>;
  query: Record<string, string | number | boolean>;
  headers: Record<string, string>;
  body?: unknown;
  mediaType?: string;
}

/** What hooks.py gets: by operationId, requests that are right. The first is sent, the others lend ids and fields. */
export interface Plan {
  seed: number;
  operations: Record<string, { examples: PlannedExample[] }>;
}

/** An operation that changes or ends what it is asked about needs more than one; the more, the longer it takes. */
const SPARE = 3;

/** Makes for each route a workspace of its own, so that nothing that one ends is missed by another, and its requests. */
export async function makePlan(api: TestApi, routes: AnyRoute[], seed: number): Promise<Plan> {
  const plan: Plan = { seed, operations: {} };
  for (const route of routes) {
    const world = await exampleWorld(api);
    const examples: PlannedExample[] = [];
    const count = route.method === 'get' || route.readOnly ? 1 : 1 + SPARE;
    while (examples.length < count) examples.push(planned(route, world, await exampleOf(route, world)));
    plan.operations[route.operationId] = { examples };
  }
  return plan;
}

function planned(route: AnyRoute, world: World, example: ExampleRequest): PlannedExample {
  const { workspace } = world;
  // A session knows the person; a key only acts within its workspace.
  const tokens: Record<keyof ContextByAccess, string | null> = {
    workspace: workspace.apiKey,
    session: workspace.tokens.owner,
    public: null,
  };
  const token = tokens[route.access as keyof ContextByAccess];
  const { 'content-type': ownType, ...headers } = example.headers ?? {};
  const path = { ...(route.path.includes('{ws}') ? { ws: workspace.id } : {}), ...example.params };
  const base = {
    path,
    query: example.query ?? {},
    headers: { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...capitalised(headers) },
  };
  const mediaType = ownType ?? 'application/json';
  if (example.body !== undefined) return { ...base, body: example.body, mediaType };
  if (example.rawBody === undefined) return base;
  const body = mediaType.endsWith('form-urlencoded')
    ? Object.fromEntries(new URLSearchParams(example.rawBody))
    : example.rawBody;
  return { ...base, body, mediaType };
}

/** An example's own Authorization takes the place of ours. */
function capitalised(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name === 'authorization' ? 'Authorization' : name, value]),
  );
}
