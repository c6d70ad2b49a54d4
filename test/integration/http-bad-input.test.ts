import { z } from 'zod';
import type { AnyRoute } from '../../api/http/route';
import { routes } from '../../api/routes';
import { startTestApi, type TestApi } from '../support/api';
import { type ExampleRequest, exampleWorld, type World } from '../support/examples';
import { exampleOf, inParallel, sendExample, withExample } from '../support/walk';

let api: TestApi;
let world: World;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'http-bad-input' });
  world = await exampleWorld(api);
});
afterAll(() => api.close());

const operations = withExample(routes.filter((route) => !route.hidden));
const withJson = operations.filter((route) => route.body && (route.accepts?.mode ?? 'json') === 'json');

/** What a field is replaced by. */
const NASTY: [string, unknown][] = [
  ['NUL', 'a\0b'],
  ['half a surrogate pair', 'a\ud800b'],
  ['a line break', 'a\r\nX-Injected: yes'],
  ['a long text', 'x'.repeat(70_000)],
  ['a huge number', 1e308],
  ['a negative number', -1],
  ['null', null],
  ['a list', [[[]]]],
  ['an object', { $ne: 1 }],
  ['SQL', `'; DROP TABLE contacts; --`],
];

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** Copies of a body, each with one value (at any depth) replaced by `nasty`. */
function spoilt(value: unknown, nasty: unknown): unknown[] {
  if (Array.isArray(value)) {
    return [nasty, ...value.flatMap((item, index) => spoilt(item, nasty).map((bad) => value.with(index, bad)))];
  }
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value);
    return [nasty, ...fields.flatMap(([key, field]) => spoilt(field, nasty).map((bad) => ({ ...value, [key]: bad })))];
  }
  return [nasty];
}

/** Tries requests and lists those whose answer is not as it should be. */
async function complaints(
  list: AnyRoute[],
  attempts: (example: ExampleRequest, route: AnyRoute) => [string, ExampleRequest][],
  isRight: (status: number, body: { errors?: { pointer: string }[] } | null) => boolean,
): Promise<string[]> {
  const wrong: string[] = [];
  for (const route of list) {
    const example = await exampleOf(route, world);
    await inParallel(attempts(example, route), async ([name, request]) => {
      const { status, body, text } = await sendExample(api, route, world, request);
      if (!isRight(status, body)) wrong.push(`${route.operationId}, ${name}: ${status} ${text.slice(0, 200)}`);
    });
  }
  return wrong;
}

function isObject(value: unknown): value is Record<string, Json> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

test('an unknown field, another type of content, broken and oversized JSON: a 4xx that says so, everywhere', async () => {
  const json = { 'content-type': 'application/json' };
  const attempt = async (
    name: string,
    change: (example: ExampleRequest, route: AnyRoute) => ExampleRequest,
    status: number,
  ) =>
    (
      await complaints(
        withJson,
        (example, route) => [[name, change(example, route)]],
        (got, body) => got === status && (status !== 422 || (body?.errors?.length ?? 0) > 0),
      )
    ).map((text) => `${status} expected: ${text}`);
  const raw = (example: ExampleRequest, rawBody: string, headers: Record<string, string>) => ({
    ...example,
    body: undefined,
    rawBody,
    headers: { ...example.headers, ...headers },
  });
  const wrong = [
    ...(await attempt(
      'unknown field',
      (example) => ({ ...example, body: { ...(isObject(example.body) ? example.body : {}), no_such_field: 1 } }),
      422,
    )),
    ...(await attempt('a list', (example) => ({ ...example, body: [1, 2] }), 422)),
    ...(await attempt('broken', (example) => raw(example, '{"a":', json), 400)),
    ...(await attempt('a form', (example) => raw(example, 'a=b', { 'content-type': 'text/plain' }), 415)),
    ...(await attempt(
      'oversized',
      (example, { bodyLimit = 256 * 1024 }) => raw(example, JSON.stringify('x'.repeat(bodyLimit)), json),
      413,
    )),
  ];
  expect(wrong).toEqual([]);
}, 300_000);

test('no value of any field brings out a 500', async () => {
  const wrong = await complaints(
    withJson,
    (example) =>
      NASTY.flatMap(([name, nasty]) =>
        spoilt(example.body, nasty).map((body): [string, ExampleRequest] => [name, { ...example, body }]),
      ),
    (status) => status < 500,
  );
  expect(wrong).toEqual([]);
}, 300_000);

test('no parameter brings out a 500, and unknown ones are refused', async () => {
  const readers = operations.filter((route) => route.method === 'get' && route.access === 'workspace');
  const cursor = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const names = (route: AnyRoute) => (route.query instanceof z.ZodObject ? Object.keys(route.query.shape) : []);
  const values = [
    '\0',
    '\ud800',
    "'",
    '-1',
    '99999999999999999999',
    '2026-01-01T00:00:00-20:59',
    cursor(['x']),
    cursor(['\0', '1']),
    cursor([]),
    '%',
  ];
  const wrong = await complaints(
    readers,
    (example, route) =>
      names(route).flatMap((name) =>
        values.map((value): [string, ExampleRequest] => [
          `${name}=${JSON.stringify(value)}`,
          { ...example, query: { ...example.query, [name]: value } },
        ]),
      ),
    (status) => status < 500,
  );
  const refused = await complaints(
    readers,
    (example) => [['unknown', { ...example, query: { ...example.query, no_such_parameter: '1' } }]],
    (status) => status === 422,
  );
  expect([...wrong, ...refused]).toEqual([]);
}, 300_000);
