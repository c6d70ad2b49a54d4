import { AddressHasher } from '../../platform/crypto';
import { uuidv7 } from '../../platform/ids';
import { type Database, one, type Queryable, sql } from '../../platform/postgres';
import { everythingRolledUp } from './events-readable';
import type { KnownContact, KnownDelivery, NaiveWorld } from './naive-audience';

/** Small numbers from a seed (mulberry32), so that a failure can be repeated. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export const FIELD_TYPES = {
  plan: 'enum',
  seats: 'number',
  vip: 'boolean',
  birthday: 'date',
  last_login: 'datetime',
  interests: 'list',
  note: 'text',
  site: 'url',
} as const;
export const PLANS = ['free', 'pro', 'team'];
export const ZONES = ['Europe/Berlin', 'Pacific/Kiritimati', 'Pacific/Pago_Pago', 'Asia/Kathmandu', 'America/Havana'];
export const WORDS = ['Ada', 'ada', 'Grace', 'ÄRGER', 'ärger', "O'Hara; DROP TABLE", '100%', 'a_b', '$1', 'x'];
export const URLS = ['https://shop.example/a', 'https://shop.example/b?x=1'];
export const TAGS = ['vip', 'beta', 'news letter', "it's"];
export const EVENT_TYPES = ['purchase', 'page_viewed', 'email_bounced'];
export const ORIGINS = ['API', 'IMPORT', 'SIGN_UP'];

export interface AudienceWorld extends NaiveWorld {
  workspaceId: string;
  audienceIds: string[];
  campaignIds: string[];
}

/** A workspace of `size` random contacts with all that conditions ask about, NULLs included. */
export async function makeAudienceWorld(db: Database, random: () => number, size: number): Promise<AudienceWorld> {
  const now = (await one<{ now: Date }>(db, sql`SELECT sally_now() AS now`))?.now ?? new Date();
  const workspaceId = uuidv7();
  const workspaceZone = 'America/New_York';
  await db.query(sql`INSERT INTO workspaces (id, name, slug, time_zone)
    VALUES (${workspaceId}, 'Audiences', ${`audiences-${workspaceId}`}, ${workspaceZone})`);
  for (const [name, type] of Object.entries(FIELD_TYPES)) {
    await db.query(sql`
      INSERT INTO contact_field_definitions (workspace_id, name, label, type, enum_values, is_segmentable, index_state)
      VALUES (${workspaceId}, ${name}, ${name}, ${type}, ${type === 'enum' ? PLANS : null}, true, 'READY')`);
  }
  for (const key of ['newsletter', 'offers']) {
    await db.query(sql`INSERT INTO purposes (workspace_id, key, name, kind, wording)
      VALUES (${workspaceId}, ${key}, ${key}, 'marketing', 'Yes')`);
    await db.query(
      sql`INSERT INTO preference_categories (workspace_id, key, name) VALUES (${workspaceId}, ${key}, ${key})`,
    );
  }
  const audienceIds = [uuidv7(), uuidv7()];
  for (const id of audienceIds) {
    await db.query(sql`INSERT INTO audiences (workspace_id, id, name) VALUES (${workspaceId}, ${id}, ${id})`);
  }
  const runs = [await insertRun(db, workspaceId), await insertRun(db, workspaceId)];
  const campaignIds = runs.map((run) => run.campaignId);
  const contacts: KnownContact[] = [];
  for (let index = 0; index < size; index += 1) {
    const contact = randomContact(random, now, { audienceIds, campaignIds });
    const earlier = contacts.filter((other) => other.mergedInto === null && !other.gone);
    if (random() < 0.08 && earlier.length > 0) contact.mergedInto = pick(random, earlier).id;
    contacts.push(contact);
    await insertContact(db, workspaceId, contact, runs);
  }
  await everythingRolledUp(db);
  return { contacts, now, workspaceZone, fieldTypes: FIELD_TYPES, workspaceId, audienceIds, campaignIds };
}

export function pick<T>(random: () => number, items: readonly T[]): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}

function randomContact(
  random: () => number,
  now: Date,
  known: { audienceIds: string[]; campaignIds: string[] },
): KnownContact {
  const maybe = <T>(value: () => T, probability = 0.6): T | null => (random() < probability ? value() : null);
  const some = <T>(items: readonly T[]) => items.filter(() => random() < 0.35);
  // Within two weeks on both sides, some of it on the very edges.
  const moment = (range = 14) => new Date(now.getTime() + Math.round((random() * 2 - 1) * range * 24) * 3_600_000);
  const past = (range = 14) => new Date(Math.min(now.getTime(), moment(range).getTime()));
  const list = <T>(most: number, make: () => T) => Array.from({ length: Math.floor(random() * (most + 1)) }, make);
  const id = uuidv7();
  const domain = pick(random, ['example.com', 'mail.example', 'example.org']);
  const fields: KnownContact['fields'] = {};
  const field = (name: keyof typeof FIELD_TYPES, value: () => KnownContact['fields'][string]) => {
    if (random() < 0.65) fields[name] = value();
  };
  field('plan', () => pick(random, PLANS));
  field('seats', () => pick(random, [-1, 0, 1, 2, 2.5, 10]));
  field('vip', () => random() < 0.5);
  field('birthday', () => moment(5).toISOString().slice(0, 10));
  field('last_login', () => moment(5).toISOString());
  field('interests', () => some(TAGS));
  field('note', () => pick(random, WORDS));
  field('site', () => pick(random, URLS));
  return {
    id,
    email: `${id}@${domain}`,
    firstName: maybe(() => pick(random, WORDS)) ?? '',
    lastName: maybe(() => pick(random, WORDS)) ?? '',
    locale: maybe(() => pick(random, ['de', 'en-GB'])),
    timeZone: maybe(() => pick(random, ZONES)),
    status: pick(random, ['ACTIVE', 'ACTIVE', 'UNSUBSCRIBED', 'BOUNCED']),
    tags: some(TAGS),
    createdAt: past(),
    fields,
    gone: random() < 0.05,
    mergedInto: null,
    consents: Object.fromEntries(
      some(['newsletter', 'offers']).map((purpose) => [purpose, pick(random, ['granted', 'denied', 'pending'])]),
    ),
    categories: Object.fromEntries(some(['newsletter', 'offers']).map((category) => [category, random() < 0.5])),
    audiences: some(known.audienceIds),
    submissions: list(3, () => ({ origin: pick(random, ORIGINS), at: past() })),
    events: list(4, () => ({
      type: pick(random, EVENT_TYPES),
      at: past(),
      campaignId: maybe(() => pick(random, known.campaignIds)),
    })),
    deliveries: list(2, () => randomDelivery(random, known.campaignIds, past)),
  };
}

function randomDelivery(random: () => number, campaignIds: string[], past: () => Date): KnownDelivery {
  const campaignId = random() < 0.7 ? pick(random, campaignIds) : null;
  const status = pick(random, ['SENT', 'SENT', 'FAILED', 'QUEUED', 'UNCONFIRMED']);
  return {
    campaignId,
    class: campaignId === null ? pick(random, ['transactional', 'journey']) : 'bulk',
    status,
    reason: status === 'FAILED' ? pick(random, ['ADDRESS_REJECTED', 'EXPIRED']) : null,
    at: past(),
    engagements: Array.from({ length: Math.floor(random() * 3) }, () => {
      const kind = pick(random, ['OPEN', 'CLICK'] as const);
      const url = kind === 'CLICK' ? pick(random, URLS) : null;
      return { kind, actor: pick(random, ['human', 'machine', 'unknown']), url, at: past() };
    }),
  };
}

interface Run {
  id: string;
  campaignId: string;
  messageId: string;
  laneId: string;
  streamId: string;
}

/** A campaign with a run of a message that has URLS as its links. */
async function insertRun(db: Queryable, workspaceId: string): Promise<Run> {
  const [id, campaignId, messageId, streamId] = [uuidv7(), uuidv7(), uuidv7(), uuidv7()];
  await db.query(
    sql`INSERT INTO campaigns (workspace_id, id, name) VALUES (${workspaceId}, ${campaignId}, 'Campaign')`,
  );
  await db.query(sql`
    INSERT INTO messages (workspace_id, id, origin, campaign_id, subject, html, text, from_name, from_email, compiled, sha256, approval)
    VALUES (${workspaceId}, ${messageId}, 'CAMPAIGN', ${campaignId}, 's', 'h', 't', 'n', 'f@mail.example', '{}', '', 'APPROVED')`);
  for (const [position, url] of URLS.entries()) {
    await db.query(sql`INSERT INTO links VALUES (${workspaceId}, ${messageId}, ${position}, ${url})`);
  }
  const lane = await one<{ id: string }>(
    db,
    sql`INSERT INTO lanes (workspace_id, kind) VALUES (${workspaceId}, 'pool')
        ON CONFLICT (workspace_id, kind, key) DO UPDATE SET awake = false RETURNING id`,
  );
  const laneId = lane?.id ?? '';
  await db.query(sql`INSERT INTO streams (workspace_id, id, lane_id, source_type, state, priority)
    VALUES (${workspaceId}, ${streamId}, ${laneId}, 'CAMPAIGN', 'PAUSED', 10)`);
  await db.query(sql`
    INSERT INTO campaign_runs (workspace_id, id, campaign_id, message_id, sha256, stream_id, status, scheduled_at)
    VALUES (${workspaceId}, ${id}, ${campaignId}, ${messageId}, '', ${streamId}, 'SENT', now())`);
  return { id, campaignId, messageId, laneId, streamId };
}

const hasher = new AddressHasher(Buffer.alloc(32, 7).toString('base64url'));

async function insertContact(db: Queryable, workspaceId: string, contact: KnownContact, runs: Run[]): Promise<void> {
  await db.query(sql`
    INSERT INTO contacts (workspace_id, id, email, email_hash, status, first_name, last_name, locale, time_zone, tags,
      fields, erased_at, merged_into, created_at)
    VALUES (${workspaceId}, ${contact.id}, ${contact.email}, ${hasher.hash(contact.email)}, ${contact.status},
      ${contact.firstName}, ${contact.lastName}, ${contact.locale}, ${contact.timeZone}, ${contact.tags},
      ${JSON.stringify(contact.fields)}, ${contact.gone || contact.mergedInto ? new Date() : null}, ${contact.mergedInto},
      ${contact.createdAt})`);
  for (const [purpose, status] of Object.entries(contact.consents)) {
    await db.query(sql`
      INSERT INTO consents (workspace_id, contact_id, purpose_id, status, source)
      SELECT ${workspaceId}, ${contact.id}, id, ${status}, 'api' FROM purposes
      WHERE workspace_id = ${workspaceId} AND key = ${purpose}`);
  }
  for (const [category, subscribed] of Object.entries(contact.categories)) {
    await db.query(sql`
      INSERT INTO category_preferences (workspace_id, contact_id, category_id, subscribed, source)
      SELECT ${workspaceId}, ${contact.id}, id, ${subscribed}, 'API' FROM preference_categories
      WHERE workspace_id = ${workspaceId} AND key = ${category}`);
  }
  for (const audience of contact.audiences) {
    await db.query(sql`INSERT INTO audience_members (workspace_id, audience_id, contact_id)
      VALUES (${workspaceId}, ${audience}, ${contact.id})`);
  }
  for (const { origin, at } of contact.submissions) {
    await db.query(sql`INSERT INTO submissions (workspace_id, contact_id, origin, payload, created_at)
      VALUES (${workspaceId}, ${contact.id}, ${origin}, '{}', ${at})`);
  }
  for (const { type, at, campaignId } of contact.events) {
    await db.query(sql`INSERT INTO marketing_events (workspace_id, event_type, contact_id, campaign_id, payload, created_at)
      VALUES (${workspaceId}, ${type}, ${contact.id}, ${campaignId}, '{}', ${at})`);
  }
  for (const delivery of contact.deliveries) await insertDelivery(db, workspaceId, contact, delivery, runs);
}

async function insertDelivery(
  db: Queryable,
  workspaceId: string,
  contact: KnownContact,
  delivery: KnownDelivery,
  runs: Run[],
): Promise<void> {
  const [any] = runs;
  const run = runs.find((candidate) => candidate.campaignId === delivery.campaignId) ?? any;
  if (!run) throw new Error('no run');
  const sourceId = delivery.campaignId === null ? uuidv7() : run.id;
  const [id, claimId] = [uuidv7(), uuidv7()];
  await db.query(sql`
    INSERT INTO deliveries (workspace_id, source_type, source_id, id, step_key, recipient_key, contact_id, message_id,
      lane_id, stream_id, mx_group, class, priority, status, reason, not_before, last_attempt_at, sent_at, claim_id)
    VALUES (${workspaceId}, ${delivery.campaignId === null ? 'TRANSACTIONAL' : 'CAMPAIGN'}, ${sourceId}, ${id}, ${id},
      ${contact.id}, ${contact.id}, ${run.messageId}, ${run.laneId}, ${run.streamId}, 'other', ${delivery.class}, 10,
      ${delivery.status}, ${delivery.reason}, ${delivery.at}, ${delivery.at},
      ${delivery.status === 'SENT' ? delivery.at : null}, ${delivery.status === 'QUEUED' ? null : claimId})`);
  if (delivery.status !== 'QUEUED') {
    await db.query(sql`
      INSERT INTO delivery_groups (workspace_id, claim_id, process_id, lane_id, stream_id, route_id, source_ids, delivery_ids,
        claimed_at, settled_at, transaction_id)
      VALUES (${workspaceId}, ${claimId}, ${uuidv7()}, ${run.laneId}, ${run.streamId}, ${uuidv7()}, ARRAY[${sourceId}::uuid],
        ARRAY[${id}::uuid], now(), now(), pg_current_xact_id())`);
  }
  for (const { kind, actor, url, at } of delivery.engagements) {
    await db.query(sql`
      INSERT INTO engagements (workspace_id, source_id, delivery_id, kind, link_position, actor, occurred_at)
      VALUES (${workspaceId}, ${sourceId}, ${id}, ${kind}, ${url === null ? null : URLS.indexOf(url)}, ${actor}, ${at})`);
  }
}
