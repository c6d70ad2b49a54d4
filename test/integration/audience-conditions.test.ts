import fc from 'fast-check';
import { resolveConditions } from '../../db/audiences';
import { compileTree, matchingContacts } from '../../db/audiences/compile';
import { type ConditionTree, parseConditions } from '../../domain/audiences';
import { Database, many, sql } from '../../platform/postgres';
import { randomTrees } from '../support/audience-trees';
import { type AudienceWorld, makeAudienceWorld, seededRandom, URLS } from '../support/audience-world';
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
});

afterAll(async () => {
  await db.close();
  await asApi.close();
  await database.drop();
});

const trees = randomTrees(() => world).trees;

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
  }, 300_000);

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
