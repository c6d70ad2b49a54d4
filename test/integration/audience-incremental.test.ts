import fc from 'fast-check';
import { addMembers, refreshAudience, removeMembers, resolveConditions } from '../../db/audiences';
import { matchingContacts } from '../../db/audiences/compile';
import { recordConsent } from '../../db/consent';
import { changeContact, createContact, lockContact, lockForMerge, mergeContacts } from '../../db/contacts';
import { appendEvent } from '../../db/events';
import { recordEngagements } from '../../db/tracking';
import { parseConditions } from '../../domain/audiences';
import { canonicalHash } from '../../domain/content';
import { AddressHasher } from '../../platform/crypto';
import { uuidv7 } from '../../platform/ids';
import { Database, many, one, sql } from '../../platform/postgres';
import { somethingIsSettled } from '../support/audience-outcomes';
import { randomTrees } from '../support/audience-trees';
import {
  type AudienceWorld,
  EVENT_TYPES,
  makeAudienceWorld,
  PLANS,
  pick,
  seededRandom,
  TAGS,
  URLS,
  WORDS,
} from '../support/audience-world';
import { eventsReadable, everythingRolledUp } from '../support/events-readable';
import { type TestDatabase, testDatabase } from '../support/stack';

const hasher = new AddressHasher(Buffer.alloc(32, 7).toString('base64url'));
const actorId = uuidv7();

let database: TestDatabase;
let db: Database;
let world: AudienceWorld;

beforeAll(async () => {
  database = await testDatabase('incremental');
  db = new Database({ url: database.workerUrl, applicationName: 'test', connections: 3 });
});
beforeEach(async () => {
  world = await makeAudienceWorld(db, seededRandom(11), 30);
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

async function dynamic(conditions: unknown): Promise<string> {
  const id = uuidv7();
  const definition = JSON.stringify(conditions);
  await db.query(sql`
    INSERT INTO audiences (workspace_id, id, name, type, definition, definition_sha256, uses_audiences)
    VALUES (${world.workspaceId}, ${id}, ${id}, 'DYNAMIC', ${definition}, ${canonicalHash(JSON.parse(definition))},
      ARRAY(SELECT a.id FROM audiences a WHERE position(a.id::text IN ${definition}::text) > 0))`);
  return id;
}

const refresh = (audienceId: string, scope: 'everybody' | 'changed' = 'changed') =>
  refreshAudience(db, { workspaceId: world.workspaceId, audienceId }, scope);

async function members(audienceId: string): Promise<string[]> {
  const rows = await many<{ contact_id: string }>(
    db,
    sql`SELECT contact_id FROM audience_members WHERE workspace_id = ${world.workspaceId} AND audience_id = ${audienceId}
        ORDER BY contact_id`,
  );
  return rows.map((row) => row.contact_id);
}

/** Whom the audience's conditions select now, everybody looked at. */
async function wanted(audienceId: string): Promise<string[]> {
  const row = await one<{ definition: unknown }>(db, sql`SELECT definition FROM audiences WHERE id = ${audienceId}`);
  const parsed = parseConditions(row?.definition);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const resolved = await resolveConditions(db, world.workspaceId, parsed.tree);
  if (!resolved.ok) throw new Error(JSON.stringify(resolved.problems));
  const rows = await many<{ id: string }>(db, matchingContacts(parsed.tree, resolved.lookups));
  return rows.map(({ id }) => id).sort();
}

/** When everybody was looked at; it moves with each full calculation. */
async function lastFull(audienceId: string): Promise<string | null> {
  const row = await one<{ at: string | null }>(
    db,
    sql`SELECT fully_calculated_at::text AS at FROM audiences WHERE id = ${audienceId}`,
  );
  return row?.at ?? null;
}

/** Looked at those alone who changed? */
async function refreshedByChanges(audienceId: string): Promise<boolean> {
  const before = await lastFull(audienceId);
  expect((await refresh(audienceId)).outcome).toBe('refreshed');
  return before === (await lastFull(audienceId));
}

/** Something that happens to a contact, by the functions that the product itself writes with. */
async function somethingHappens(random: () => number): Promise<void> {
  const { workspaceId } = world;
  const alive = await many<{ id: string }>(
    db,
    sql`SELECT id FROM contacts WHERE workspace_id = ${workspaceId} AND erased_at IS NULL ORDER BY id`,
  );
  const contactId = pick(random, alive).id;
  const from = { origin: 'API', originId: null, actorId } as const;
  switch (Math.floor(random() * 10)) {
    case 0:
      return db.transaction(async (tx) => {
        const contact = await lockContact(tx, workspaceId, contactId);
        if (!contact) throw new Error('no contact');
        const fields = { plan: pick(random, PLANS), seats: pick(random, [0, 2, 3]), note: pick(random, WORDS) };
        await changeContact(tx, workspaceId, contact, { firstName: pick(random, WORDS), fields }, null, from);
      });
    case 1:
      return db.transaction(async (tx) => {
        const email = `${uuidv7()}@example.com`;
        const tags = { set: TAGS.slice(0, 2) };
        await createContact(tx, workspaceId, { email, tags }, hasher.hash(email), from);
      });
    case 2: {
      const purpose = await one<{ id: string }>(
        db,
        sql`SELECT id FROM purposes WHERE workspace_id = ${workspaceId} AND key = ${pick(random, ['newsletter', 'offers'])}`,
      );
      const status = pick(random, ['granted', 'denied'] as const);
      const statement = { workspaceId, contactId, purposeId: purpose?.id ?? '', status, wordingVersion: null };
      return db.transaction(async (tx) => {
        await recordConsent(tx, { ...statement, source: 'api' });
      });
    }
    case 3: {
      const change = random() < 0.5 ? addMembers : removeMembers;
      return db.transaction(async (tx) => {
        await change(tx, workspaceId, pick(random, world.audienceIds), [contactId]);
      });
    }
    case 4:
      return appendEvent(db, { workspaceId, type: pick(random, EVENT_TYPES), contactId, payload: {} });
    case 5: {
      const sent = await many<{ id: string; source_id: string }>(
        db,
        sql`SELECT id, source_id FROM deliveries WHERE workspace_id = ${workspaceId} ORDER BY id`,
      );
      const delivery = pick(random, sent);
      const kind = pick(random, ['OPEN', 'CLICK'] as const);
      const linkPosition = kind === 'CLICK' ? Math.floor(random() * URLS.length) : null;
      const actor = pick(random, ['human', 'unknown', 'machine'] as const);
      const where = { workspaceId, sourceId: delivery.source_id, deliveryId: delivery.id };
      await recordEngagements(db, [{ id: uuidv7(), ...where, kind, linkPosition, actor, occurredAt: new Date() }]);
      return random() < 0.7 ? everythingRolledUp(db) : undefined;
    }
    case 6:
      return db.transaction(async (tx) => {
        const other = pick(random, alive).id;
        if (other === contactId) return;
        const pair = await lockForMerge(tx, workspaceId, contactId, other);
        if (!pair.survivor || !pair.other) throw new Error('no pair');
        await mergeContacts(tx, workspaceId, pair.survivor, pair.other, { hasher, actorId });
      });
    case 7:
    case 8:
      await somethingIsSettled(db, workspaceId, random);
      return random() < 0.7 ? everythingRolledUp(db) : undefined;
    default:
      return db.transaction(async (tx) => {
        // As an erasure begins: the tombstone and its event in one transaction.
        await tx.query(sql`
          UPDATE contacts SET email = ${`${contactId}@erased.invalid`}, first_name = '', tags = '{}', fields = '{}',
            erased_at = sally_now() WHERE workspace_id = ${workspaceId} AND id = ${contactId}`);
        await appendEvent(tx, { workspaceId, type: 'contact_erased', contactId, payload: {} });
      });
  }
}

describe('a calculation of what changed', () => {
  test('gives the members that a full one gives, on random trees and random changes', async () => {
    const { trees, tracked } = randomTrees(() => world);
    const some = fc.tuple(fc.array(tracked, { minLength: 7, maxLength: 7 }), trees, fc.integer());
    let byChanges = 0;
    await fc.assert(
      fc.asyncProperty(some, async ([given, other, seed]) => {
        const random = seededRandom(seed);
        const audiences: string[] = [];
        for (const tree of [...given, other]) audiences.push(await dynamic(tree));
        for (const audience of audiences) expect(await refreshedByChanges(audience)).toBe(false);
        for (let round = 0; round < 3; round += 1) {
          for (let change = 0; change < 4; change += 1) await somethingHappens(random);
          if (round === 2) await everythingRolledUp(db);
          for (const audience of audiences) {
            if (await refreshedByChanges(audience)) byChanges += 1;
            expect(await members(audience)).toEqual(await wanted(audience));
          }
        }
      }),
      { numRuns: 3 },
    );
    // All trees but the last of each run are of conditions that changes are told of.
    expect(byChanges).toBeGreaterThanOrEqual(3 * 7 * 3);
  }, 300_000);

  test('tells of each change, and sees a transaction that was open meanwhile', async () => {
    const audience = await dynamic({ type: 'custom_field', field: 'plan', operator: 'equals', value: 'pro' });
    const [someone] = world.contacts.filter((c) => !c.gone && c.mergedInto === null && c.fields.plan !== 'pro');
    if (!someone) throw new Error('nobody to change');
    await refresh(audience);
    const from = { origin: 'API', originId: null, actorId } as const;
    await db.transaction(async (tx) => {
      // It waits for two calculations.
      await tx.query('SET LOCAL idle_in_transaction_session_timeout = 0');
      const contact = await lockContact(tx, world.workspaceId, someone.id);
      if (!contact) throw new Error('no contact');
      await changeContact(tx, world.workspaceId, contact, { fields: { plan: 'pro' } }, null, from);
      // A calculation that cannot see it yet must not put it behind itself.
      expect(await refreshedByChanges(audience)).toBe(true);
      expect(await members(audience)).not.toContain(someone.id);
    });
    expect(await refreshedByChanges(audience)).toBe(true);
    expect(await members(audience)).toContain(someone.id);
    const told = await many(
      db,
      sql`SELECT contact_id FROM marketing_events WHERE workspace_id = ${world.workspaceId}
            AND event_type = 'segment_membership_changed' AND payload ->> 'audience_id' = ${audience}`,
    );
    expect(told).toEqual([{ contact_id: someone.id }]);
  });

  test('looks at everybody after what nobody was told of by name', async () => {
    const inner = await dynamic({ type: 'field', field: 'first_name', operator: 'equals', value: 'Ada' });
    const outer = await dynamic({ not: { type: 'audience', audience_id: inner } });
    await refresh(outer);
    // The first members of another audience come without events.
    await refresh(inner);
    expect(await refreshedByChanges(outer)).toBe(false);
    expect(await members(outer)).toEqual(await wanted(outer));
    expect(await refreshedByChanges(outer)).toBe(true);
    // An import tells of all its contacts by one event.
    await appendEvent(db, { workspaceId: world.workspaceId, type: 'contacts_imported', payload: {} });
    // While a transaction that is older than this event is open, in whatever suite, each calculation reads it again.
    await eventsReadable(db);
    expect(await refreshedByChanges(outer)).toBe(false);
    // What the names in a tree stand for: another zone moves the dates of moments.
    await db.query(sql`UPDATE workspaces SET time_zone = 'Asia/Tokyo' WHERE id = ${world.workspaceId}`);
    expect(await refreshedByChanges(outer)).toBe(false);
    expect(await refreshedByChanges(outer)).toBe(true);
    // A failure, a day gone by, or another cluster's transactions.
    for (const change of [
      sql`calculation_error = 'TIMEOUT'`,
      sql`fully_calculated_at = sally_now() - interval '25 hours'`,
      sql`seen_transaction = '9000000000000'`,
    ]) {
      await db.query(sql`UPDATE audiences SET ${change} WHERE id = ${outer}`);
      expect(await refreshedByChanges(outer)).toBe(false);
    }
    // On demand it is everybody, always.
    const before = await lastFull(outer);
    await refresh(outer, 'everybody');
    expect(await lastFull(outer)).not.toBe(before);
  });
});
