import fc from 'fast-check';
import { resolveConditions } from '../../db/audiences';
import { compileTree, matchingContacts } from '../../db/audiences/compile';
import { type ConditionTree, parseConditions } from '../../domain/audiences';
import { Database, many, sql } from '../../platform/postgres';
import {
  type AudienceWorld,
  EVENT_TYPES,
  makeAudienceWorld,
  ORIGINS,
  PLANS,
  seededRandom,
  TAGS,
  URLS,
  WORDS,
  ZONES,
} from '../support/audience-world';
import { naiveMembers } from '../support/naive-audience';
import { type TestDatabase, testDatabase } from '../support/stack';

let database: TestDatabase;
let db: Database;
let asApi: Database;
let world: AudienceWorld;

beforeAll(async () => {
  database = await testDatabase('audience conditions');
  db = new Database({ url: database.workerUrl, applicationName: 'test', connections: 2 });
  asApi = new Database({ url: database.apiUrl, applicationName: 'test', connections: 2 });
  // Another workspace with the same kinds of contacts, of which nothing may ever show.
  await makeAudienceWorld(db, seededRandom(7), 20);
  world = await makeAudienceWorld(db, seededRandom(42), 160);
}, 60_000);

afterAll(async () => {
  await db.close();
  await asApi.close();
  await database.drop();
});

const duration = fc.record({
  amount: fc.integer({ min: 1, max: 12 }),
  unit: fc.constantFrom('hours', 'days', 'weeks'),
});
const days = fc.record({ amount: fc.integer({ min: 1, max: 6 }), unit: fc.constantFrom('days', 'weeks') });
const optional = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined, freq: 1 });
const relative = fc.constantFrom('within_last', 'within_next', 'older_than');
const near = fc.integer({ min: -6 * 24, max: 6 * 24 });
const momentNear = near.map((hours) => new Date(world.now.getTime() + hours * 3_600_000).toISOString());
const dateNear = momentNear.map((text) => text.slice(0, 10));
const textComparison = (words: readonly string[]) =>
  fc.oneof(
    fc.record({
      operator: fc.constantFrom('equals', 'contains', 'starts_with', 'ends_with'),
      value: fc.constantFrom(...words),
    }),
    fc.record({ operator: fc.constant('one_of'), value: fc.subarray([...words], { minLength: 1 }) }),
    fc.constant({ operator: 'missing' }),
  );
const listComparison = fc.oneof(
  fc.record({ operator: fc.constant('contains'), value: fc.constantFrom(...TAGS) }),
  fc.record({
    operator: fc.constantFrom('contains_any', 'contains_all'),
    value: fc.subarray(TAGS, { minLength: 1 }),
  }),
  fc.constant({ operator: 'missing' }),
);
const momentComparison = fc.oneof(
  fc.record({ operator: fc.constantFrom('before', 'after'), value: momentNear }),
  fc.record({ operator: fc.constant('on_date'), value: dateNear }),
  fc.record({ operator: relative, value: duration }),
  fc.constant({ operator: 'missing' }),
);
const custom = <T extends object>(field: string, comparison: fc.Arbitrary<T>) =>
  comparison.map((value) => ({ type: 'custom_field', field, ...value }));
const builtIn = <T extends object>(field: string, comparison: fc.Arbitrary<T>) =>
  comparison.map((value) => ({ type: 'field', field, ...value }));
const key = fc.constantFrom('newsletter', 'offers');

const leaf = fc.oneof(
  builtIn('email', textComparison(['example', 'mail.example', '0'])),
  builtIn('email_domain', textComparison(['example.com', 'example'])),
  builtIn('first_name', textComparison(WORDS)),
  builtIn('last_name', textComparison(WORDS)),
  builtIn('locale', textComparison(['de', 'en-GB', 'en'])),
  builtIn('time_zone', textComparison(ZONES)),
  builtIn('status', textComparison(['ACTIVE', 'BOUNCED'])),
  builtIn('tags', listComparison),
  builtIn('created_at', momentComparison),
  custom('plan', fc.record({ operator: fc.constantFrom('equals'), value: fc.constantFrom(...PLANS) })),
  custom('plan', fc.record({ operator: fc.constant('one_of'), value: fc.subarray(PLANS, { minLength: 1 }) })),
  custom(
    'seats',
    fc.record({
      operator: fc.constantFrom('equals', 'less_than', 'at_most', 'greater_than', 'at_least'),
      value: fc.constantFrom(-1, 0, 2, 2.5, 3),
    }),
  ),
  custom('seats', fc.constant({ operator: 'missing' })),
  custom('vip', fc.record({ operator: fc.constant('equals'), value: fc.boolean() })),
  custom('birthday', fc.record({ operator: fc.constantFrom('equals', 'before', 'after'), value: dateNear })),
  custom('birthday', fc.record({ operator: relative, value: days })),
  custom('birthday', fc.constant({ operator: 'missing' })),
  custom('last_login', momentComparison),
  custom('interests', listComparison),
  custom('note', textComparison(WORDS)),
  custom('site', textComparison([...URLS, 'SHOP'])),
  fc.record({
    type: fc.constant('consent'),
    purpose: key,
    status: fc.constantFrom('granted', 'denied', 'pending', 'none'),
  }),
  fc.record({ type: fc.constant('category'), category: key, subscribed: fc.boolean() }),
  fc.constantFrom(0, 1).map((index) => ({ type: 'audience', audience_id: world.audienceIds[index] })),
  fc.record({
    type: fc.constant('submission'),
    origin: optional(fc.constantFrom(...ORIGINS)),
    at_least: optional(fc.integer({ min: 1, max: 3 })),
    within: optional(duration),
  }),
  fc.record({
    type: fc.constant('event'),
    event_type: fc.constantFrom(...EVENT_TYPES, 'never_seen'),
    at_least: optional(fc.integer({ min: 1, max: 3 })),
    within: optional(duration),
  }),
  fc
    .record({
      type: fc.constant('engagement'),
      activity: fc.constantFrom('opened', 'clicked', 'bounced', 'received', 'nothing_received'),
      campaign: optional(fc.constantFrom(0, 1)),
      url: optional(fc.constantFrom(...URLS, 'https://elsewhere.example/')),
      within: optional(duration),
    })
    .map(({ campaign, url, ...rest }) => ({
      ...rest,
      ...(campaign === undefined ? {} : { campaign_id: world.campaignIds[campaign] }),
      ...(rest.activity === 'clicked' && url !== undefined ? { url } : {}),
    })),
);

const { node } = fc.letrec<{ node: unknown }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    leaf,
    fc.record({ all: fc.array(tie('node'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ any: fc.array(tie('node'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ not: tie('node') }),
  ),
}));
/** Groups at the top, so that most trees have several conditions. */
const trees = fc.oneof(
  node,
  fc.record({ all: fc.array(node, { minLength: 2, maxLength: 4 }) }),
  fc.record({ any: fc.array(node, { minLength: 2, maxLength: 4 }) }),
);

/** As it goes through the API: JSON, read, resolved. */
async function prepared(
  given: unknown,
): Promise<{ tree: ConditionTree; lookups: Awaited<ReturnType<typeof lookupsOf>> }> {
  const parsed = parseConditions(JSON.parse(JSON.stringify(given)));
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return { tree: parsed.tree, lookups: await lookupsOf(parsed.tree) };
}

async function lookupsOf(tree: ConditionTree) {
  const resolved = await resolveConditions(db, world.workspaceId, tree);
  if (!resolved.ok) throw new Error(JSON.stringify(resolved.problems));
  return resolved.lookups;
}

const ids = (rows: { id: string }[]) => rows.map((row) => row.id).sort();

describe('conditions compiled to SQL', () => {
  test('select whom a naive evaluator selects, as sets, contact by contact, and through row-level security', async () => {
    let empty = 0;
    await fc.assert(
      fc.asyncProperty(trees, async (given) => {
        const { tree, lookups } = await prepared(given);
        const expected = naiveMembers(tree, { ...world, now: lookups.now });
        if (expected.length === 0) empty += 1;
        expect(ids(await many(db, matchingContacts(tree, lookups)))).toEqual(expected);
        const each = compileTree(tree, lookups, 'each');
        const eachRows = await asApi.workspaceTransaction(world.workspaceId, (tx) =>
          many<{ id: string }>(
            tx,
            sql`SELECT c.id FROM contacts c ${each.joins} WHERE c.erased_at IS NULL AND ${each.predicate}`,
          ),
        );
        expect(ids(eachRows)).toEqual(expected);
      }),
      { numRuns: 500 },
    );
    // The trees say something: most select somebody.
    expect(empty).toBeLessThan(250);
  }, 180_000);

  test('bind every value', async () => {
    const { tree, lookups } = await prepared({
      any: [
        { type: 'custom_field', field: 'note', operator: 'equals', value: "O'Hara; DROP TABLE" },
        { type: 'field', field: 'tags', operator: 'contains', value: '$1' },
        { type: 'engagement', activity: 'clicked', url: URLS[0] },
      ],
    });
    const { text } = matchingContacts(tree, lookups);
    for (const word of ['DROP', 'Hara', 'shop.example', world.workspaceId]) expect(text).not.toContain(word);
  });

  test('a deep tree and one of 100 conditions are answered', async () => {
    const one = { type: 'field', field: 'email', operator: 'contains', value: '@' };
    let deep: unknown = one;
    for (let depth = 0; depth < 7; depth += 1) deep = { not: deep };
    const wide = { all: Array.from({ length: 100 }, (_, index) => ({ ...one, value: index % 2 ? '@' : 'e' })) };
    for (const given of [deep, wide]) {
      const { tree, lookups } = await prepared(given);
      const expected = naiveMembers(tree, { ...world, now: lookups.now });
      expect(ids(await many(db, matchingContacts(tree, lookups)))).toEqual(expected);
    }
  });
});
