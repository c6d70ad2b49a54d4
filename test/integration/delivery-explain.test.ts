import fc from 'fast-check';
import { Client } from 'pg';
import { beginRun, materialiseBatch } from '../../db/campaigns';
import { lockGroup } from '../../db/delivery/claim';
import { explainFacts } from '../../db/delivery/explain';
import { toFacts } from '../../db/delivery/facts';
import { judge, type Verdict } from '../../domain/delivery';
import { uuidv7 } from '../../platform/ids';
import { one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { addConsented, audienceOf, sentOff } from '../support/campaign-runs';
import { claimRows, keysOf, loseClaim } from '../support/deliveries';
import { exampleWorld, type World } from '../support/examples';
import { draftCampaign } from '../support/examples/content';

let api: TestApi;
let world: World;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'delivery-explain' });
});
beforeEach(async () => {
  world = await exampleWorld(api);
});
afterAll(() => api.close());

const explain = (contactId: string, campaignId: string, of = world) =>
  api.request('GET', `/workspaces/${of.workspace.id}/contacts/${contactId}/explain`, {
    token: of.workspace.tokens.viewer,
    query: { campaign: campaignId },
  });

async function begun(more: Record<string, unknown> = {}) {
  const ids = await sentOff(world, more);
  const run = { workspaceId: world.workspace.id, runId: ids.runId };
  await beginRun(api.db, run.workspaceId, run.runId);
  while ((await materialiseBatch(api.db, run, 1_000)).kind !== 'stopped');
  return ids;
}

describe('an explanation', () => {
  test('of a draft says that nobody has approved it, and who would get it', async () => {
    const [reader] = await addConsented(world, 1);
    const stranger = await world.contact();
    const campaignId = await draftCampaign(world);
    const { body } = await explain(reader ?? '', campaignId);
    expect(body).toMatchObject({
      hypothetical: true,
      in_audience: true,
      run_id: null,
      verdict: { kind: 'FAIL', reason: 'APPROVAL_VOID', until: null },
      evidence: { approval: null, consent: { status: 'granted', source: 'api' } },
      delivery: null,
    });
    const other = (await explain(stranger, campaignId)).body;
    expect(other.in_audience).toBe(false);
    expect(other.checks).toContainEqual({
      check: 'consent',
      applies: true,
      verdict: { kind: 'FAIL', reason: 'CONSENT_MISSING', until: null },
    });
  });

  test('names the record that stops the message, and what became of its row', async () => {
    const [reader = '', suppressed = ''] = await addConsented(world, 2);
    const { campaignId, runId } = await begun();
    const suppression = await world.insert('suppressions', {
      address_hash: (
        await one<{ h: Buffer }>(api.db, sql`SELECT email_hash AS h FROM contacts WHERE id = ${suppressed}`)
      )?.h,
      hint: 'r…@gmail.com',
      reason: 'MANUAL',
      source: 'API',
    });
    const before = await explain(suppressed, campaignId);
    expect(before.body).toMatchObject({
      hypothetical: false,
      run_id: runId,
      verdict: { kind: 'FAIL', reason: 'SUPPRESSED_ADDRESS' },
      evidence: {
        address_suppression: { id: suppression, reason: 'MANUAL' },
        approval: { decision: 'APPROVED', decided_by: world.workspace.people.owner.id },
      },
      delivery: { status: 'QUEUED', reason: null },
    });
    expect((await explain(reader, campaignId)).body.verdict).toEqual({ kind: 'OK', reason: null, until: null });
    const claim = await claimRows(api.db, uuidv7(), await keysOf(api.db, runId));
    expect((await explain(suppressed, campaignId)).body.delivery).toMatchObject({
      status: 'FAILED',
      reason: 'SUPPRESSED_ADDRESS',
    });
    if (claim) await loseClaim(api.db, claim);
    expect((await explain(reader, campaignId)).body.delivery).toMatchObject({ status: 'UNCONFIRMED' });
  });

  test('of somebody outside the lists says so', async () => {
    const [member = '', excluded = '', outside = ''] = await addConsented(world, 3);
    const include = [await audienceOf(world, [member, excluded])];
    const exclude = [await audienceOf(world, [excluded])];
    const { campaignId } = await begun({ all_consented: false, audiences: { include, exclude } });
    const answers = await Promise.all([member, excluded, outside].map((contact) => explain(contact, campaignId)));
    expect(answers.map(({ body }) => [body.in_audience, body.hypothetical, body.verdict.kind])).toEqual([
      [true, false, 'OK'],
      [false, true, 'OK'],
      [false, true, 'OK'],
    ]);
  });

  test('finds neither contacts nor campaigns of another workspace', async () => {
    const [reader = ''] = await addConsented(world, 1);
    const campaignId = await draftCampaign(world);
    const other = await exampleWorld(api);
    expect((await explain(reader, campaignId, other)).status).toBe(404);
    expect((await explain(reader, await draftCampaign(other), other)).status).toBe(404);
    expect((await explain(await other.contact(), campaignId, other)).status).toBe(404);
  });
});

/** Moves the database's clock to today's noon (UTC), so that no window opens or closes while the property is tested. */
async function standAtNoon(): Promise<void> {
  const owner = new Client({ connectionString: api.database.ownerUrl });
  await owner.connect();
  await owner.query(
    `INSERT INTO test_clock (moved_by) SELECT date_trunc('day', now(), 'UTC') + interval '12 hours' - now()`,
  );
  await owner.end();
}

const CONTACTS = 10_000;
const DOMAINS = ['gmail.com', 'gmx.de', 'corp.example', 'blocked.example', 'also-blocked.example'];

/** One campaign of the property; hours count from the noon at which the database's clock stands. */
const campaignSpec = fc.record({
  state: fc.constantFrom('ACTIVE', 'ACTIVE', 'ACTIVE', 'ACTIVE', 'WAITING', 'PAUSED', 'CANCELLED'),
  window: fc.constantFrom(
    null,
    null,
    null,
    { start: '09:00', end: '17:00', timezone: 'UTC' },
    { start: '15:00', end: '17:00', timezone: 'Europe/Berlin' },
    { start: '22:00', end: '06:00', timezone: 'America/New_York' },
  ),
  expiresInHours: fc.constantFrom(null, null, null, -5, 5),
  approval: fc.constantFrom('APPROVED', 'APPROVED', 'APPROVED', 'APPROVED', 'SUBMITTED', 'REJECTED', 'VOIDED'),
  sameHash: fc.constantFrom(true, true, true, true, true, false),
  purpose: fc.nat(2),
  category: fc.option(fc.nat(2)),
});

const contactSpec = fc.record({
  status: fc.constantFrom('ACTIVE', 'ACTIVE', 'ACTIVE', 'ACTIVE', 'UNSUBSCRIBED', 'BOUNCED', 'COMPLAINED'),
  erased: fc.constantFrom(false, false, false, false, false, false, true),
  domain: fc.constantFrom(...DOMAINS, 'gmail.com', 'gmx.de'),
  suppression: fc.constantFrom(null, null, null, null, null, 'ACTIVE', 'HELD'),
  consents: fc.array(fc.constantFrom(null, 'granted', 'granted', 'granted', 'denied', 'pending'), {
    minLength: 3,
    maxLength: 3,
  }),
  categories: fc.array(fc.constantFrom(null, null, true, false), { minLength: 3, maxLength: 3 }),
  frequency: fc.constantFrom('IMMEDIATE', 'IMMEDIATE', 'DAILY', 'WEEKLY', 'MONTHLY'),
  /** Since the last message of each category. */
  lastHours: fc.constantFrom(null, 1, 40, 400, 2_000),
  campaign: fc.nat(59),
  rowExpiresInHours: fc.constantFrom(null, null, null, null, -1, 1),
  /** Whether the row is there when the explanation is asked for, or only when the claim comes. */
  materialised: fc.boolean(),
});

type Spec<A> = A extends fc.Arbitrary<infer S> ? S : never;
type CampaignSpec = Spec<typeof campaignSpec>;
type ContactSpec = Spec<typeof contactSpec>;

const SENDING: CampaignSpec = {
  state: 'ACTIVE',
  window: null,
  expiresInHours: null,
  approval: 'APPROVED',
  sameHash: true,
  purpose: 0,
  category: 0,
};
const READER: ContactSpec = {
  status: 'ACTIVE',
  erased: false,
  domain: 'gmail.com',
  suppression: null,
  consents: ['granted', 'granted', 'granted'],
  categories: [true, true, true],
  frequency: 'DAILY',
  lastHours: null,
  campaign: 0,
  rowExpiresInHours: null,
  materialised: true,
};
/** A random mixture may once lack a verdict: each of these gets another one. */
const CERTAIN: { campaigns: Partial<CampaignSpec>[]; contacts: Partial<ContactSpec>[] } = {
  campaigns: [
    {},
    { state: 'WAITING' },
    { state: 'PAUSED' },
    { state: 'CANCELLED' },
    { window: { start: '22:00', end: '06:00', timezone: 'America/New_York' } },
    { approval: 'VOIDED' },
  ],
  contacts: [
    ...[0, 1, 2, 3, 4, 5].map((campaign) => ({ campaign })),
    { rowExpiresInHours: -1 },
    { erased: true },
    { suppression: 'ACTIVE' },
    { domain: 'blocked.example' },
    { status: 'BOUNCED' },
    { status: 'COMPLAINED' },
    { status: 'UNSUBSCRIBED' },
    { consents: [null, null, null] },
    { consents: ['denied', 'denied', 'denied'] },
    { categories: [false, false, false] },
    { lastHours: 1 },
  ],
};

test(`explains as the claim decides, for ${CONTACTS} random contacts`, async () => {
  const seed = Number(process.env.PROPERTY_SEED ?? Math.floor(Math.random() * 2 ** 31));
  const someCampaigns = fc.sample(campaignSpec, { seed, numRuns: 60 - CERTAIN.campaigns.length });
  const campaigns = [...CERTAIN.campaigns.map((more) => ({ ...SENDING, ...more })), ...someCampaigns];
  const someContacts = fc.sample(contactSpec, { seed: seed + 1, numRuns: CONTACTS - CERTAIN.contacts.length });
  const contacts = [...CERTAIN.contacts.map((more) => ({ ...READER, ...more })), ...someContacts];
  const ws = world.workspace.id;
  await standAtNoon();
  const ids = <T>(list: readonly T[]): string[] => list.map(() => uuidv7());
  const purposes = ids([0, 1, 2]);
  const categories = ids([0, 1, 2]);
  const campaignIds = ids(campaigns);
  const messageIds = ids(campaigns);
  const streamIds = ids(campaigns);
  const runIds = ids(campaigns);
  const contactIds = ids(contacts);
  const lane = await world.insert('lanes', { kind: 'pool', key: 'property' });
  const hashes = contacts.map((_, index) => api.deps.addressHasher.hash(`contact${index}@${contacts[index]?.domain}`));
  await api.db.query(sql`
    INSERT INTO purposes (workspace_id, id, key, name, kind, wording)
    SELECT ${ws}, id, 'p' || n, 'P', 'marketing', '' FROM unnest(${purposes}::uuid[]) WITH ORDINALITY AS t (id, n)`);
  await api.db.query(sql`
    INSERT INTO preference_categories (workspace_id, id, key, name)
    SELECT ${ws}, id, 'c' || n, 'C' FROM unnest(${categories}::uuid[]) WITH ORDINALITY AS t (id, n)`);
  const purposeOf = campaigns.map((spec) => purposes[spec.purpose]);
  const categoryOf = campaigns.map((spec) => (spec.category === null ? null : categories[spec.category]));
  await api.db.query(sql`
    INSERT INTO campaigns (workspace_id, id, name, purpose_id, category_id, all_consented)
    SELECT ${ws}, id, 'C', purpose, category, true
    FROM unnest(${campaignIds}::uuid[], ${purposeOf}::uuid[], ${categoryOf}::uuid[]) AS t (id, purpose, category)`);
  await api.db.query(sql`
    INSERT INTO messages (workspace_id, id, origin, campaign_id, subject, html, text, from_name, from_email, compiled, sha256,
      approval, purpose_id, category_id)
    SELECT ${ws}, id, 'CAMPAIGN', campaign, 'S', 'H', 'T', 'F', 'f@sender.example', '{}', 'sha', approval, purpose, category
    FROM unnest(${messageIds}::uuid[], ${campaignIds}::uuid[], ${campaigns.map((spec) => spec.approval)}::text[],
      ${purposeOf}::uuid[], ${categoryOf}::uuid[]) AS t (id, campaign, approval, purpose, category)`);
  await api.db.query(sql`
    INSERT INTO streams (workspace_id, id, lane_id, source_type, state, priority, send_window, expires_at)
    SELECT ${ws}, id, ${lane}, 'CAMPAIGN', state, 10, win::jsonb, sally_now() + hours * interval '1 hour'
    FROM unnest(${streamIds}::uuid[], ${campaigns.map((spec) => spec.state)}::text[],
      ${campaigns.map((spec) => (spec.window ? JSON.stringify(spec.window) : null))}::text[],
      ${campaigns.map((spec) => spec.expiresInHours)}::int[]) AS t (id, state, win, hours)`);
  await api.db.query(sql`
    INSERT INTO campaign_runs (workspace_id, id, campaign_id, message_id, sha256, stream_id, status, scheduled_at)
    SELECT ${ws}, id, campaign, message, CASE WHEN same THEN 'sha' ELSE 'another' END, stream, 'SENDING', sally_now()
    FROM unnest(${runIds}::uuid[], ${campaignIds}::uuid[], ${messageIds}::uuid[], ${streamIds}::uuid[],
      ${campaigns.map((spec) => spec.sameHash)}::bool[]) AS t (id, campaign, message, stream, same)`);
  await api.db.query(sql`
    INSERT INTO contacts (workspace_id, id, email, email_hash, status, erased_at)
    SELECT ${ws}, id, 'contact' || n - 1 || '@' || domain, hash, status, CASE WHEN erased THEN sally_now() END
    FROM unnest(${contactIds}::uuid[], ${contacts.map((spec) => spec.domain)}::text[], ${hashes}::bytea[],
      ${contacts.map((spec) => spec.status)}::text[], ${contacts.map((spec) => spec.erased)}::bool[])
      WITH ORDINALITY AS t (id, domain, hash, status, erased, n)`);
  await api.db.query(sql`
    INSERT INTO suppressions (workspace_id, address_hash, hint, reason, source, state)
    SELECT ${ws}, hash, 'x', 'BOUNCE', 'DELIVERY', state
    FROM unnest(${hashes}::bytea[], ${contacts.map((spec) => spec.suppression)}::text[]) AS t (hash, state)
    WHERE state IS NOT NULL`);
  for (const [domain, state] of [
    ['blocked.example', 'ACTIVE'],
    ['also-blocked.example', 'HELD'],
  ])
    await world.insert('suppressions', { domain, hint: domain, reason: 'MANUAL', source: 'API', state });
  for (const n of [0, 1, 2]) {
    await api.db.query(sql`
      INSERT INTO consents (workspace_id, contact_id, purpose_id, status, source)
      SELECT ${ws}, id, ${purposes[n]}, status, 'api'
      FROM unnest(${contactIds}::uuid[], ${contacts.map((spec) => spec.consents[n])}::text[]) AS t (id, status)
      WHERE status IS NOT NULL`);
    await api.db.query(sql`
      INSERT INTO category_preferences (workspace_id, contact_id, category_id, subscribed, frequency, source)
      SELECT ${ws}, id, ${categories[n]}, subscribed, frequency, 'API'
      FROM unnest(${contactIds}::uuid[], ${contacts.map((spec) => spec.categories[n])}::bool[],
        ${contacts.map((spec) => spec.frequency)}::text[]) AS t (id, subscribed, frequency)
      WHERE subscribed IS NOT NULL`);
    await api.db.query(sql`
      INSERT INTO frequency_units (workspace_id, contact_id, category_id, source_id, delivery_id, taken_at)
      SELECT ${ws}, id, ${categories[n]}, ${uuidv7()}, gen_random_uuid(), sally_now() - hours * interval '1 hour'
      FROM unnest(${contactIds}::uuid[], ${contacts.map((spec) => spec.lastHours)}::int[]) AS t (id, hours)
      WHERE hours IS NOT NULL`);
  }
  const indexes = contacts.map((_, index) => index);
  const materialise = (list: number[]) =>
    api.db.query(sql`
      INSERT INTO deliveries (workspace_id, source_type, source_id, step_key, recipient_key, contact_id, message_id, lane_id,
        stream_id, mx_group, class, priority, not_before, expires_at)
      SELECT ${ws}, 'CAMPAIGN', run, 'send', contact::text, contact, message, ${lane}, stream, 'other', 'bulk', 10, sally_now(),
        sally_now() + hours * interval '1 hour'
      FROM unnest(${list.map((i) => runIds[campaignAt(i)])}::uuid[], ${list.map((i) => contactIds[i])}::uuid[],
        ${list.map((i) => messageIds[campaignAt(i)])}::uuid[], ${list.map((i) => streamIds[campaignAt(i)])}::uuid[],
        ${list.map((i) => (contacts[i]?.materialised ? contacts[i]?.rowExpiresInHours : null))}::int[])
        AS t (run, contact, message, stream, hours)`);
  const campaignAt = (index: number): number => contacts[index]?.campaign ?? 0;
  await materialise(indexes.filter((index) => contacts[index]?.materialised));
  await api.db.query('ANALYZE deliveries');

  const explained = new Map<string, Verdict>();
  await Promise.all(
    [0, 1, 2, 3].map(async (part) => {
      for (const index of indexes.filter((each) => each % 4 === part)) {
        const contactId = contactIds[index] ?? '';
        const of = {
          workspaceId: ws,
          contactId,
          campaignId: campaignIds[campaignAt(index)] ?? '',
          runId: runIds[campaignAt(index)] ?? '',
        };
        const found = await explainFacts(api.db, of);
        if (!found) throw new Error('a contact was not found');
        expect(found.row !== null).toBe(contacts[index]?.materialised);
        explained.set(contactId, judge(found.facts, found.now));
      }
    }),
  );
  await materialise(indexes.filter((index) => !contacts[index]?.materialised));

  const differing: unknown[] = [];
  const kinds: Record<string, number> = {};
  let compared = 0;
  for (const [position, runId] of runIds.entries()) {
    const keys = await keysOf(api.db, runId);
    await api.db.transaction(async (tx) => {
      const { rows, now } = await lockGroup(tx, { sourceIds: [runId], deliveryIds: keys.map((key) => key.id) });
      for (const row of rows) {
        const verdict = judge(toFacts(row), now ?? new Date());
        const expected = explained.get(row.contact_id ?? '');
        const name = verdict.kind === 'OK' ? 'OK' : verdict.reason;
        kinds[name] = (kinds[name] ?? 0) + 1;
        compared += 1;
        if (JSON.stringify(verdict) !== JSON.stringify(expected))
          differing.push({ campaign: campaigns[position], verdict, expected });
      }
    });
  }
  expect({ seed, compared, differing: differing.slice(0, 5) }).toEqual({ seed, compared: CONTACTS, differing: [] });
  // Every verdict of bulk mail was reached.
  expect(Object.keys(kinds).sort()).toEqual([
    'ADDRESS_BOUNCED',
    'ADDRESS_COMPLAINED',
    'APPROVAL_VOID',
    'CATEGORY_UNSUBSCRIBED',
    'CONSENT_DENIED',
    'CONSENT_MISSING',
    'CONTACT_ERASED',
    'EXPIRED',
    'FREQUENCY_LIMIT',
    'OK',
    'OUTSIDE_SEND_WINDOW',
    'SOURCE_CANCELLED',
    'SOURCE_PAUSED',
    'SOURCE_WAITING',
    'SUPPRESSED_ADDRESS',
    'SUPPRESSED_DOMAIN',
    'UNSUBSCRIBED',
  ]);
}, 300_000);
