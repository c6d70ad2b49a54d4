import { previewConditions, refreshAudience, resolveConditions } from '../db/audiences';
import { rollUpReceipts } from '../db/delivery';
import { rollUpEngagements } from '../db/tracking';
import { type ConditionTree, parseConditions, type RefreshAudienceInput } from '../domain/audiences';
import { canonicalHash } from '../domain/content';
import { uuidv7 } from '../platform/ids';
import { Database, one, sql } from '../platform/postgres';
import { durablePostgres, stopTestProcesses } from '../test/support/stack';
import { conditions, requireSafeSettings } from './measure';

/** Budgets (design, section 11): a calculation of everybody, a preview, and how much faster one of 1 % is. */
const BUDGET = { fullMs: 3_000, previewMs: 1_000, ratio: 5 };
const ROUNDS = 3;
const CAMPAIGNS = 10;
const URL = 'https://shop.example/';
const SLICE = 50_000;
/** Messages of one claim. */
const GROUP = 32;
const FIELDS = { plan: 'enum', seats: 'number', signed_up: 'date', newsletter: 'boolean', city: 'text' } as const;

interface World {
  workspaceId: string;
  campaignIds: string[];
}

/** Contacts with five segmentable fields, two messages each, five opens and clicks of each message. */
async function makeWorld(db: Database, size: number): Promise<World> {
  const workspaceId = uuidv7();
  await db.query(sql`INSERT INTO workspaces (id, name, slug) VALUES (${workspaceId}, 'Bench', 'bench')`);
  for (const [name, type] of Object.entries(FIELDS)) {
    await db.query(sql`
      INSERT INTO contact_field_definitions (workspace_id, name, label, type, enum_values, is_segmentable, index_state)
      VALUES (${workspaceId}, ${name}, ${name}, ${type}, ${type === 'enum' ? ['free', 'pro', 'team'] : null}, true, 'READY')`);
  }
  for (let from = 0; from < size; from += SLICE) {
    await db.query(sql`
      INSERT INTO contacts (workspace_id, email, email_hash, first_name, tags, fields)
      SELECT ${workspaceId}, 'p' || n || '@bench.example', sha256(('p' || n)::bytea), 'First' || n % 997,
        CASE WHEN n % 4 = 0 THEN ARRAY['vip'] ELSE '{}' END,
        jsonb_build_object('plan', (ARRAY['free', 'pro', 'team'])[n % 3 + 1], 'seats', n % 500, 'signed_up', '2026-01-31',
          'newsletter', n % 2 = 0, 'city', 'City ' || n % 211)
      FROM generate_series(${from}::int, ${Math.min(size, from + SLICE) - 1}::int) AS n`);
  }
  const campaignIds: string[] = [];
  for (let campaign = 0; campaign < CAMPAIGNS; campaign += 1)
    campaignIds.push(await sendCampaign(db, workspaceId, campaign));
  return { workspaceId, campaignIds };
}

/**
 * A fifth of all contacts were to get this one, and one address in 128 is refused always. Of each ten engagements one is
 * a machine's.
 */
async function sendCampaign(db: Database, workspaceId: string, number: number): Promise<string> {
  const [runId, campaignId, messageId, streamId] = [uuidv7(), uuidv7(), uuidv7(), uuidv7()];
  await db.query(
    sql`INSERT INTO campaigns (workspace_id, id, name) VALUES (${workspaceId}, ${campaignId}, ${campaignId})`,
  );
  await db.query(sql`
    INSERT INTO messages (workspace_id, id, origin, campaign_id, subject, html, text, from_name, from_email, compiled, sha256, approval)
    VALUES (${workspaceId}, ${messageId}, 'CAMPAIGN', ${campaignId}, 's', 'h', 't', 'n', 'f@bench.example', '{}', '', 'APPROVED')`);
  await db.query(
    sql`INSERT INTO links VALUES (${workspaceId}, ${messageId}, 0, ${URL}), (${workspaceId}, ${messageId}, 1, ${`${URL}b`})`,
  );
  const lane = await one<{ id: string }>(
    db,
    sql`INSERT INTO lanes (workspace_id, kind) VALUES (${workspaceId}, 'pool')
        ON CONFLICT (workspace_id, kind, key) DO UPDATE SET awake = false RETURNING id`,
  );
  await db.query(sql`INSERT INTO streams (workspace_id, id, lane_id, source_type, state, priority)
    VALUES (${workspaceId}, ${streamId}, ${lane?.id}, 'CAMPAIGN', 'PAUSED', 10)`);
  await db.query(sql`
    INSERT INTO campaign_runs (workspace_id, id, campaign_id, message_id, sha256, stream_id, status, scheduled_at)
    VALUES (${workspaceId}, ${runId}, ${campaignId}, ${messageId}, '', ${streamId}, 'SENT', now())`);
  await db.query(sql`
    WITH made AS (
      INSERT INTO deliveries (workspace_id, source_type, source_id, step_key, recipient_key, contact_id, message_id, lane_id,
        stream_id, mx_group, class, priority, status, reason, not_before, last_attempt_at, sent_at)
      SELECT ${workspaceId}, 'CAMPAIGN', ${runId}, 'send', id::text, id, ${messageId}, ${lane?.id}, ${streamId}, 'other',
        'bulk', 10, CASE WHEN refused THEN 'FAILED' ELSE 'SENT' END, CASE WHEN refused THEN 'ADDRESS_REJECTED' END, now(), now(),
        CASE WHEN NOT refused THEN now() END
      FROM contacts CROSS JOIN LATERAL (SELECT hashtext(id::text) & 127 = 0 AS refused) AS fate
      WHERE workspace_id = ${workspaceId} AND (fields ->> 'seats')::int % 5 = ${number % 5}::int
      RETURNING id),
    grouped AS (
      INSERT INTO delivery_groups (workspace_id, claim_id, process_id, lane_id, stream_id, route_id, source_ids, delivery_ids,
        claimed_at, settled_at, transaction_id)
      SELECT ${workspaceId}, gen_random_uuid(), ${runId}, ${lane?.id}, ${streamId}, ${runId}, ARRAY[${runId}::uuid],
        array_agg(id), now(), now(), pg_current_xact_id()
      FROM (SELECT id, (row_number() OVER ()) / ${GROUP}::int AS number FROM made) AS numbered GROUP BY number)
    INSERT INTO engagements (workspace_id, source_id, delivery_id, kind, link_position, actor, occurred_at)
    SELECT ${workspaceId}, ${runId}, made.id, CASE WHEN n < 3 THEN 'OPEN' ELSE 'CLICK' END,
      CASE WHEN n >= 3 THEN (hashtext(made.id::text) & 1) END,
      CASE WHEN (hashtext(made.id::text || n) & 7) = 0 THEN 'machine' ELSE 'human' END, now()
    FROM made CROSS JOIN generate_series(0, 4) AS n`);
  return campaignId;
}

function read(given: unknown): ConditionTree {
  const parsed = parseConditions(given);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.tree;
}

/** Whom no message has reached, or whose address was refused. */
const UNREACHED = read({
  any: [
    { type: 'engagement', activity: 'nothing_received' },
    { type: 'engagement', activity: 'bounced' },
  ],
});

/** Six conditions, nested. */
function tree(world: World): ConditionTree {
  return read({
    all: [
      { type: 'custom_field', field: 'plan', operator: 'one_of', value: ['pro', 'team'] },
      {
        any: [
          { type: 'custom_field', field: 'seats', operator: 'at_least', value: 100 },
          { type: 'field', field: 'tags', operator: 'contains', value: 'vip' },
        ],
      },
      { type: 'engagement', activity: 'clicked', url: URL },
      { not: { type: 'engagement', activity: 'opened', campaign_id: world.campaignIds[0] } },
      { type: 'custom_field', field: 'newsletter', operator: 'equals', value: true },
    ],
  });
}

/** The reference: the same question asked by hand of profiles, ledger and clicks themselves. */
function byHand(world: World) {
  const acts = sql`FROM deliveries d JOIN engagements e ON e.source_id = d.source_id AND e.delivery_id = d.id
    LEFT JOIN links l ON l.workspace_id = d.workspace_id AND l.message_id = d.message_id AND l.position = e.link_position
    LEFT JOIN campaign_runs r ON r.workspace_id = d.workspace_id AND r.id = d.source_id
    WHERE d.workspace_id = ${world.workspaceId} AND e.actor <> 'machine'`;
  return sql`SELECT count(*) AS count FROM contacts c
    WHERE c.workspace_id = ${world.workspaceId} AND c.fields ->> 'plan' IN ('pro', 'team')
      AND ((c.fields ->> 'seats')::int >= 100 OR 'vip' = ANY (c.tags)) AND (c.fields ->> 'newsletter')::boolean
      AND c.id IN (SELECT d.contact_id ${acts} AND e.kind = 'CLICK' AND l.url = ${URL})
      AND c.id NOT IN (SELECT d.contact_id ${acts} AND e.kind = 'OPEN' AND r.campaign_id = ${world.campaignIds[0]})`;
}

/** The reference: whom the ledger has no accepted message for; each refused address has none. */
function unreachedByHand({ workspaceId }: World) {
  return sql`SELECT count(*) AS count FROM contacts c WHERE c.workspace_id = ${workspaceId}
    AND NOT EXISTS (SELECT FROM deliveries d
      WHERE d.workspace_id = ${workspaceId} AND d.contact_id = c.id AND d.status = 'SENT')`;
}

/** One contact in a hundred changes its plan, with the event that the product writes. */
async function change(db: Database, world: World, round: number): Promise<void> {
  await db.query(sql`
    WITH changed AS (
      UPDATE contacts SET fields = fields || jsonb_build_object('plan', CASE fields ->> 'plan' WHEN 'pro' THEN 'free' ELSE 'pro' END)
      WHERE workspace_id = ${world.workspaceId} AND (hashtext(id::text) & 2147483647) % 100 = ${round}::int RETURNING id)
    INSERT INTO marketing_events (workspace_id, event_type, contact_id, payload)
    SELECT ${world.workspaceId}, 'contact_updated', id, '{}' FROM changed`);
}

async function makeAudience(db: Database, { workspaceId }: World, given: ConditionTree): Promise<RefreshAudienceInput> {
  const audienceId = uuidv7();
  await db.query(sql`
    INSERT INTO audiences (workspace_id, id, name, type, definition, definition_sha256)
    VALUES (${workspaceId}, ${audienceId}, ${audienceId}, 'DYNAMIC', ${JSON.stringify(given)}, ${canonicalHash(given)})`);
  return { workspaceId, audienceId };
}

async function memberCount(db: Database, { audienceId }: RefreshAudienceInput): Promise<number | undefined> {
  const row = await one<{ count: number }>(
    db,
    sql`SELECT member_count AS count FROM audiences WHERE id = ${audienceId}`,
  );
  return row?.count;
}

async function timed<T>(work: () => Promise<T>): Promise<{ ms: number; result: T }> {
  const begun = performance.now();
  const result = await work();
  return { ms: Math.round(performance.now() - begun), result };
}

/** Full and partial calculation of an audience of six conditions, and its preview. `size`: contacts. */
export async function benchAudiences({ size = 1_000_000 }: { size?: number | undefined }): Promise<void> {
  const postgres = await durablePostgres();
  const database = await postgres.database('bench audiences');
  const options = { applicationName: 'bench', connections: 2, statementTimeoutMs: 1_800_000 };
  const db = new Database({ ...options, url: database.workerUrl });
  const owner = new Database({ ...options, url: database.ownerUrl });
  try {
    await requireSafeSettings(db);
    const loaded = await timed(() => makeWorld(db, size));
    const world = loaded.result;
    const rolledUp = await timed(async () => {
      let count = 0;
      for (;;) {
        const read = await rollUpEngagements(db, 5_000);
        if (read === 0) return count;
        count += read;
      }
    });
    const receipts = await timed(async () => {
      while ((await rollUpReceipts(db, 200)) > 0);
    });
    await owner.query('VACUUM ANALYZE');
    const given = tree(world);
    const audience = await makeAudience(db, world, given);
    const first = await timed(() => refreshAudience(db, audience));
    const unreached = await makeAudience(db, world, UNREACHED);
    await refreshAudience(db, unreached);
    const [full, partial, previews, reference, outcomes, outcomesReference]: number[][] = [[], [], [], [], [], []];
    let estimated = false;
    for (let round = 0; round < ROUNDS; round += 1) {
      await change(db, world, round);
      partial?.push((await timed(() => refreshAudience(db, audience, 'changed'))).ms);
      const everybody = await timed(() => refreshAudience(db, audience));
      const { added, removed } = everybody.result;
      if (added + removed > 0) throw new Error(`looking at everybody found ${added + removed} differences more`);
      full?.push(everybody.ms);
      const counted = await timed(() => one<{ count: number }>(db, byHand(world)));
      reference?.push(counted.ms);
      const members = await memberCount(db, audience);
      if (members !== counted.result?.count) throw new Error(`${members} members, ${counted.result?.count} by hand`);
      outcomes?.push((await timed(() => refreshAudience(db, unreached))).ms);
      const untouched = await timed(() => one<{ count: number }>(db, unreachedByHand(world)));
      outcomesReference?.push(untouched.ms);
      if ((await memberCount(db, unreached)) !== untouched.result?.count)
        throw new Error('not those that nothing reached');
      const preview = await timed(() =>
        db.transaction(async (tx) => {
          const resolved = await resolveConditions(tx, world.workspaceId, given);
          if (!resolved.ok) throw new Error('conditions that do not resolve');
          const found = await previewConditions(tx, given, resolved.lookups, { exactMs: 500, estimateMs: 800 });
          if (!found) throw new Error('not even an estimate could be made in time');
          return found;
        }),
      );
      previews?.push(preview.ms);
      estimated ||= preview.result.isEstimate;
    }
    const best = (values: number[] | undefined) => Math.min(...(values ?? []));
    const ratio = Math.round((best(full) / best(partial)) * 10) / 10;
    console.log(
      `Of ${size} contacts with ${rolledUp.result} engagements, an audience of six conditions is calculated in ${best(full)} ms, ` +
        `after 1 % changed in ${best(partial)} ms (${ratio} times faster); by hand over the engagements: ${best(reference)} ms. ` +
        `Its preview takes ${best(previews)} ms${estimated ? ', as an estimate' : ''}. ` +
        `Those whom nothing reached or who bounced: ${best(outcomes)} ms; by hand over the ledger: ${best(outcomesReference)} ms.`,
    );
    const met = {
      full: best(full) <= BUDGET.fullMs,
      preview: best(previews) <= BUDGET.previewMs,
      ratio: ratio >= BUDGET.ratio,
    };
    const details = {
      loadMs: loaded.ms,
      rollUpMs: rolledUp.ms,
      receiptsMs: receipts.ms,
      firstMs: first.ms,
      first: first.result,
    };
    console.log(
      JSON.stringify({
        bench: 'audiences',
        size,
        budget: BUDGET,
        met,
        ratio,
        full,
        partial,
        previews,
        estimated,
        reference,
        outcomes,
        outcomesReference,
        ...details,
        ...conditions(),
      }),
    );
  } finally {
    await Promise.allSettled([db.close(), owner.close()]);
    await postgres.remove();
    await stopTestProcesses();
  }
}
