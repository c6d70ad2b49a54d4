import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Ajv2020 from 'ajv/dist/2020';
import addFormats from 'ajv-formats';
import { z } from 'zod';
import type { AnyRoute } from '../../api/http/route';
import { routes } from '../../api/routes';
import { startTestApi, type TestApi } from '../support/api';
import { exampleWorld } from '../support/examples';
import { exampleOf, sendExample, withExample, withoutExample } from '../support/walk';

const operationSchema = z.looseObject({
  operationId: z.string(),
  responses: z.record(z.string(), z.looseObject({ content: z.record(z.string(), z.unknown()).optional() })),
});
type Paths = Record<string, Record<string, z.output<typeof operationSchema>>>;

const specEndpoints = z.object({
  endpoints: z.array(
    z.object({ section: z.string(), method: z.string(), path: z.string(), implementedBy: z.string().nullable() }),
  ),
});

function readJson(...path: string[]): unknown {
  return JSON.parse(readFileSync(join(__dirname, '..', '..', ...path), 'utf8'));
}

let api: TestApi;
let document: Record<string, unknown>;
let paths: Paths;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'openapi' });
  document = (await api.request('GET', '/openapi.json')).body;
  paths = z.record(z.string(), z.record(z.string(), operationSchema)).parse(document.paths);
});
afterAll(() => api.close());

function operations() {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
}

function validator(): Ajv2020 {
  // Only what JSON Schema itself knows is checked; OpenAPI's own keywords (example) are not errors.
  const ajv = new Ajv2020({ strict: false, allErrors: true, logger: false });
  addFormats(ajv);
  return ajv;
}

/** A JSON pointer (RFC 6901) as a URI fragment. */
function pointer(...steps: string[]): string {
  return `#/${steps.map((step) => encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`;
}

describe('the OpenAPI document', () => {
  test('is a valid OpenAPI 3.1 document', () => {
    const validate = validator().compile(z.looseObject({}).parse(readJson('test/fixtures/openapi/schema-3.1.json')));
    validate(document);
    expect(validate.errors ?? []).toEqual([]);
  });

  test('has unique camel-case operation ids, and a success with a schema for every operation', () => {
    const ids = operations().map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.filter((operationId) => !/^[a-z][A-Za-z0-9]*$/.test(operationId))).toEqual([]);
    const without = operations().filter(({ operation }) => {
      const successes = Object.entries(operation.responses).filter(([status]) => Number(status) < 400);
      return !successes.some(([status, { content }]) => ['204', '302', '303'].includes(status) || content);
    });
    expect(without.map(({ operation }) => operation.operationId)).toEqual([]);
  });

  test('declares every error as a problem (what a mail leads to answers with a page or image), and that a sign-in may be refused', () => {
    const errors = operations().flatMap(({ operation }) =>
      Object.entries(operation.responses)
        .filter(([status]) => Number(status) >= 400)
        .map(([status, { content }]) => ({
          error: `${operation.operationId} ${status}`,
          types: Object.keys(content ?? {}),
        })),
    );
    const bare = errors.filter(
      ({ types }) => !types.some((type) => ['application/problem+json', 'text/html', 'image/gif'].includes(type)),
    );
    expect(bare).toEqual([]);
    expect(errors.map(({ error }) => error)).toContain('createSession 401');
  });

  test.each([
    ['link', '/t/c/{click_token}', '/t/c/0'],
    ['pixel', '/t/p/{pixel_id}.gif', '/t/p/0.gif'],
  ])('declares what a %s of a mail that was cut off answers', async (_what, path, request) => {
    const { status, headers } = await api.request('GET', request);
    const { content } = paths[path]?.get?.responses[String(status)] ?? {};
    expect(status).toBe(404);
    expect(Object.keys(content ?? {})).toEqual([headers.get('content-type')?.split(';')[0]]);
  });

  test('holds every route that is not a page', () => {
    const documented = operations().map(({ method, path }) => `${method} ${path}`);
    const served = routes
      .filter((route) => !route.hidden)
      .map((route) => `${route.method.toUpperCase()} ${route.path}`);
    expect(served.filter((route) => !documented.includes(route))).toEqual([]);
  });

  test('has an example request for every operation (how to add one: test/support/examples.ts)', () => {
    expect(withoutExample(routes)).toEqual([]);
  });

  test('tells the truth: every operation’s answer to its example matches its schema', async () => {
    const world = await exampleWorld(api);
    const ajv = validator();
    ajv.addSchema({ $id: 'openapi', ...document });
    const wrong: string[] = [];
    const check = async (route: AnyRoute): Promise<string | null> => {
      const response = await sendExample(api, route, world, await exampleOf(route, world));
      const type = response.headers.get('content-type')?.split(';')[0];
      const declared = paths[route.path]?.[route.method]?.responses[String(response.status)];
      if (!declared || response.status >= 400) return `${response.status} ${response.text.slice(0, 300)}`;
      if (!declared.content) return response.text === '' ? null : 'a body that is not declared';
      if (!type || !(type in declared.content)) return `content type ${type}`;
      if (!type.endsWith('json')) return null;
      const at = ['paths', route.path, route.method, 'responses', String(response.status), 'content', type, 'schema'];
      const validate = ajv.compile({ $ref: `openapi${pointer(...at)}` });
      return validate(response.body) ? null : ajv.errorsText(validate.errors);
    };
    for (const route of withExample(routes.filter((candidate) => !candidate.hidden))) {
      const problem = await check(route);
      if (problem) wrong.push(`${route.operationId}: ${problem}`);
    }
    expect(wrong).toEqual([]);
  }, 400_000);
});

describe('docs/spec-endpoints.json', () => {
  const { endpoints } = specEndpoints.parse(readJson('docs/spec-endpoints.json'));
  const shape = (path: string) => path.replace(/\{\w+\}/g, '{}');

  test('lists the 48 endpoints of the specification once each', () => {
    expect(endpoints).toHaveLength(48);
    expect(new Set(endpoints.map(({ method, path }) => `${method} ${shape(path)}`)).size).toBe(48);
  });

  test('agrees with the document: what is implemented is there, what is not is absent', () => {
    const served = new Map(
      operations().map(({ method, path, operation }) => [`${method} ${shape(path)}`, operation.operationId]),
    );
    const difference = endpoints
      .map(({ method, path, implementedBy }) => ({
        endpoint: `${method} ${path}`,
        listed: implementedBy,
        served: served.get(`${method} ${shape(path)}`) ?? null,
      }))
      .filter((endpoint) => endpoint.listed !== endpoint.served);
    expect(difference).toEqual([]);
  });
});

describe('/docs', () => {
  test('shows every operation, and needs nothing that the content security policy forbids', async () => {
    const page = await api.request('GET', '/docs');
    expect(page.status).toBe(200);
    expect(page.headers.get('content-type')).toMatch(/^text\/html/);
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('unsafe');
    for (const { operation } of operations()) expect(page.text).toContain(`id="${operation.operationId}"`);
    expect(page.text).not.toMatch(/<style|<script(?! src="\/docs\/filter\.js" defer>)|\sstyle=|\son\w+=|https?:\/\//);
    const links = [...page.text.matchAll(/href="#([^"]+)"/g)].map((match) => match[1]);
    expect(links.filter((target) => !page.text.includes(`id="${target}"`))).toEqual([]);
    for (const [path, type] of [
      ['/docs/style.css', 'text/css'],
      ['/docs/filter.js', 'text/javascript'],
    ]) {
      const asset = await api.request('GET', path ?? '');
      expect(asset.status).toBe(200);
      expect(asset.headers.get('content-type')).toContain(type);
    }
  });
});
