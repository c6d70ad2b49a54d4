import {
  type ConditionTree,
  parseConditions,
  type RefreshAudienceInput,
  type RefreshResult,
} from '../../domain/audiences';
import { type Database, one, type Queryable, type Statement, sql, sqlState } from '../../platform/postgres';
import { appendingEvents, countEvents } from '../events';
import { markAudiencesUsing } from './audiences';
import { changedContacts, type Seen, seenNow } from './changed';
import { matchingAmong, matchingContacts } from './compile';
import { type Lookups, resolveConditions } from './resolve';
import { giveRoom, lookUpEach } from './room';

/** Up to here a calculation's differences become the members at once, in the transaction that found them. */
const AT_ONCE = 20_000;
const BATCH = 20_000;
const CALCULATION_TIMEOUT_MS = 120_000;

interface Subject {
  definition: unknown;
  sha256: string;
  baseline: boolean;
  /** As text: the driver's dates have milliseconds only. */
  dirty_at: string | null;
}

interface Calculation extends Subject, RefreshAudienceInput {
  now: Date;
  seen: Seen;
  /** Whether everybody was looked at. */
  full: boolean;
}

/** Whom a calculation looks at: everybody, or only those who changed since the last one, where that can be known. */
export type RefreshScope = 'everybody' | 'changed';

/** Why the definition cannot be calculated: what it refers to has gone. */
class DefinitionError extends Error {}

/**
 * Calculates a dynamic audience and writes the difference to its members, with one segment_membership_changed for each.
 * With the scope 'changed' it asks the conditions about those alone whom something happened to since the last calculation,
 * unless that cannot be known (changed.ts); the members are the same. A first calculation, and the first of another definition, is a baseline and tells of none.
 *
 * Up to 20,000 differences become visible at once; more of them in batches of that size, so that no transaction is
 * long. A calculation that was cut off is done again from what is there. One that fails leaves the members as they are,
 * notes the class of the failure and raises an alert.
 */
export async function refreshAudience(
  db: Database,
  audience: RefreshAudienceInput,
  scope: RefreshScope = 'everybody',
): Promise<RefreshResult> {
  try {
    const found = await db.transaction((tx) => calculate(tx, audience, scope));
    if (found.kind !== 'batches') return found.result;
    const total = { added: 0, removed: 0 };
    for (;;) {
      const batch = await db.transaction((tx) => applyBatch(tx, found.calculation));
      total.added += batch.added;
      total.removed += batch.removed;
      if (batch.taken < BATCH) break;
    }
    await db.transaction((tx) => finish(tx, found.calculation, total));
    return { outcome: 'refreshed', ...total };
  } catch (error) {
    const cause = failureClass(error);
    // A server that is away says nothing about this audience: the caller tries again.
    if (cause === null) throw error;
    await db.transaction((tx) => noteFailure(tx, audience, cause));
    return { outcome: 'failed', added: 0, removed: 0 };
  }
}

type Found =
  | { kind: 'done'; result: RefreshResult }
  /** Too many differences for one transaction; they are in audience_differences. */
  | { kind: 'batches'; calculation: Calculation };

async function calculate(tx: Queryable, audience: RefreshAudienceInput, scope: RefreshScope): Promise<Found> {
  const { workspaceId, audienceId } = audience;
  const none = (outcome: RefreshResult['outcome']): Found => ({
    kind: 'done',
    result: { outcome, added: 0, removed: 0 },
  });
  const lock = await one<{ free: boolean }>(
    tx,
    sql`SELECT pg_try_advisory_xact_lock(hashtextextended('audience-refresh/' || ${audienceId}, 0)) AS free`,
  );
  if (!lock?.free) return none('busy');
  const subject = await one<Subject & Record<string, unknown>>(
    tx,
    sql`SELECT definition, definition_sha256 AS sha256, dirty_at::text,
          calculated_sha256 IS DISTINCT FROM definition_sha256 AS baseline
        FROM audiences
        WHERE workspace_id = ${workspaceId} AND id = ${audienceId} AND type = 'DYNAMIC' AND archived_at IS NULL`,
  );
  if (!subject) return none('gone');
  const { tree, lookups } = await resolved(tx, workspaceId, subject.definition);
  const seen = await seenNow(tx, lookups);
  await tx.query(`SET LOCAL statement_timeout = ${CALCULATION_TIMEOUT_MS}`);
  await tx.query(sql`
    DELETE FROM audience_differences WHERE workspace_id = ${workspaceId} AND audience_id = ${audienceId}`);
  // What is read here is little, found by indexes, and newer than the statistics.
  await tx.query('SET LOCAL enable_seqscan = off');
  const ids = scope === 'changed' ? await changedContacts(tx, audience, tree, seen) : null;
  const calculation: Calculation = { ...subject, ...audience, now: lookups.now, seen, full: ids === null };
  if (ids === null) {
    await tx.query('SET LOCAL enable_seqscan = on');
    await giveRoom(tx, '128MB');
  } else {
    await lookUpEach(tx);
  }
  const wanted = ids === null ? matchingContacts(tree, lookups) : matchingAmong(ids, tree, lookups);
  if (!(await noteDifferences(tx, calculation, wanted, ids))) return { kind: 'batches', calculation };
  const { added, removed } = await applyBatch(tx, calculation);
  await finish(tx, calculation, { added, removed });
  return { kind: 'done', result: { outcome: 'refreshed', added, removed } };
}

async function resolved(
  tx: Queryable,
  workspaceId: string,
  definition: unknown,
): Promise<{ tree: ConditionTree; lookups: Lookups }> {
  const parsed = parseConditions(definition);
  if (!parsed.ok) throw new DefinitionError();
  const resolution = await resolveConditions(tx, workspaceId, parsed.tree);
  if (!resolution.ok) throw new DefinitionError();
  return { tree: parsed.tree, lookups: resolution.lookups };
}

/**
 * Puts who is to join and who is to leave into audience_differences; false: they are more than AT_ONCE. Asked first and
 * written afterwards, since Postgres uses one process alone for a statement that writes. A baseline, and what turns out to
 * be many, is written where it is found.
 */
async function noteDifferences(
  tx: Queryable,
  calculation: Calculation,
  wanted: Statement,
  ids: readonly string[] | null,
): Promise<boolean> {
  const { workspaceId, audienceId, baseline } = calculation;
  const differences = differenceStatement(calculation, wanted, ids);
  const into = sql`INSERT INTO audience_differences (workspace_id, audience_id, contact_id, joins)`;
  if (!baseline) {
    const found = await one<{ count: number; joining: string[] | null; leaving: string[] | null }>(
      tx,
      sql`SELECT count(*) AS count, (array_agg(contact_id) FILTER (WHERE joins))[1:${AT_ONCE}::integer] AS joining,
            (array_agg(contact_id) FILTER (WHERE NOT joins))[1:${AT_ONCE}::integer] AS leaving
          FROM (${differences}) differences`,
    );
    if (!found) throw new Error('differences gave no result');
    if (found.count <= AT_ONCE) {
      await tx.query(sql`
        ${into} SELECT ${workspaceId}::uuid, ${audienceId}::uuid, contact_id, true FROM unnest(${found.joining ?? []}::uuid[]) contact_id
        UNION ALL SELECT ${workspaceId}::uuid, ${audienceId}::uuid, contact_id, false FROM unnest(${found.leaving ?? []}::uuid[]) contact_id`);
      return true;
    }
  }
  const written = await tx.query(
    sql`${into} SELECT ${workspaceId}::uuid, ${audienceId}::uuid, contact_id, joins FROM (${differences}) differences`,
  );
  return (written.rowCount ?? 0) <= AT_ONCE;
}

/** Who is to join and who is to leave, of all contacts or of `ids` alone. */
function differenceStatement(
  { workspaceId, audienceId }: RefreshAudienceInput,
  wanted: Statement,
  ids: readonly string[] | null,
): Statement {
  const among = ids === null ? sql`` : sql`AND contact_id = ANY (${ids}::uuid[])`;
  return sql`SELECT coalesce(wanted.id, member.contact_id) AS contact_id, member.contact_id IS NULL AS joins
    FROM (${wanted}) wanted
    FULL JOIN (SELECT contact_id FROM audience_members
      WHERE workspace_id = ${workspaceId}::uuid AND audience_id = ${audienceId}::uuid ${among}) member ON member.contact_id = wanted.id
    WHERE wanted.id IS NULL OR member.contact_id IS NULL`;
}

/**
 * Turns up to BATCH differences into members. Counts in the same statement, so that member_count is exact. Shaped for
 * look-ups by primary key whatever the statistics say: the differences were written a moment ago.
 */
async function applyBatch(
  tx: Queryable,
  calculation: Calculation,
): Promise<{ taken: number; added: number; removed: number }> {
  const { workspaceId, audienceId } = calculation;
  const payload = (change: string) => JSON.stringify({ audience_id: audienceId, change });
  await tx.query('SET LOCAL enable_seqscan = off');
  const row = await one<{ taken: number; added: number; removed: number; told: number }>(
    tx,
    sql`WITH taken AS (
          DELETE FROM audience_differences
          WHERE workspace_id = ${workspaceId} AND audience_id = ${audienceId} AND contact_id = ANY (ARRAY(
            SELECT contact_id FROM audience_differences
            WHERE workspace_id = ${workspaceId} AND audience_id = ${audienceId} ORDER BY contact_id LIMIT ${BATCH}))
          RETURNING contact_id, joins),
        added AS (
          INSERT INTO audience_members (workspace_id, audience_id, contact_id, added_at)
          SELECT ${workspaceId}, ${audienceId}, contact_id, (SELECT sally_now()) FROM taken WHERE joins ORDER BY contact_id
          ON CONFLICT DO NOTHING RETURNING contact_id),
        removed AS (
          DELETE FROM audience_members
          WHERE workspace_id = ${workspaceId} AND audience_id = ${audienceId}
            AND contact_id = ANY (ARRAY(SELECT contact_id FROM taken WHERE NOT joins))
          RETURNING contact_id),
        counted AS (SELECT (SELECT count(*) FROM added) AS added, (SELECT count(*) FROM removed) AS removed),
        noted AS (
          UPDATE audiences SET member_count = member_count + counted.added - counted.removed FROM counted
          WHERE workspace_id = ${workspaceId} AND id = ${audienceId} AND counted.added + counted.removed > 0),
        told AS (${appendingEvents(sql`
          SELECT ${workspaceId}::uuid AS workspace_id, 'segment_membership_changed' AS event_type, change.contact_id,
            NULL::uuid AS campaign_id, change.payload
          FROM (SELECT contact_id, ${payload('added')}::jsonb AS payload FROM added
                UNION ALL SELECT contact_id, ${payload('removed')}::jsonb FROM removed) change
          WHERE NOT ${calculation.baseline}::boolean`)})
        SELECT (SELECT count(*) FROM taken) AS taken, counted.added, counted.removed,
          CASE WHEN ${calculation.baseline}::boolean THEN 0 ELSE counted.added + counted.removed END AS told FROM counted`,
  );
  if (!row) throw new Error('a batch gave no result');
  countEvents('segment_membership_changed', row.told);
  return row;
}

/**
 * What changed while it ran may be newer than what it saw, and may be nothing that events tell of (the first members of an
 * audience that it uses): the next calculation looks at everybody then.
 */
async function finish(
  tx: Queryable,
  { workspaceId, audienceId, sha256, now, dirty_at, seen, full, baseline }: Calculation,
  changes: { added: number; removed: number },
): Promise<void> {
  await tx.query(sql`
    UPDATE audiences SET calculated_sha256 = ${sha256}, last_calculated_at = ${now}, calculation_error = NULL,
      fully_calculated_at = CASE WHEN ${full}::boolean THEN ${now}::timestamptz ELSE fully_calculated_at END,
      dirty_at = CASE WHEN dirty_at IS NOT DISTINCT FROM ${dirty_at}::timestamptz THEN NULL ELSE dirty_at END,
      seen_transaction = CASE WHEN dirty_at IS NOT DISTINCT FROM ${dirty_at}::timestamptz THEN ${seen.transaction}::xid8 END,
      seen_engagement_transaction = ${seen.engagementTransaction}::xid8, seen_engagement_id = ${seen.engagementId}::uuid,
      seen_settled_transaction = ${seen.settledTransaction}::xid8, seen_settled_claim = ${seen.settledClaim}::uuid,
      seen_lookups_sha256 = ${seen.lookupsSha256}
    WHERE workspace_id = ${workspaceId} AND id = ${audienceId}`);
  await tx.query(sql`
    UPDATE alerts SET resolved_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND kind = 'audience-refresh' AND cause = ${audienceId} AND resolved_at IS NULL`);
  if (changes.added + changes.removed > 0) {
    await markAudiencesUsing(tx, workspaceId, audienceId, { untold: baseline });
  }
}

/** What to note of a failure that is the audience's own; null for one that is the server's or the network's. */
function failureClass(error: unknown): 'DEFINITION' | 'TIMEOUT' | 'DATABASE' | null {
  if (error instanceof DefinitionError) return 'DEFINITION';
  const state = sqlState(error);
  if (state === '57014') return 'TIMEOUT';
  // 08: connection, 40: a conflict that a repetition may not meet, 53: out of resources, 57: an operator's intervention.
  return state === null || /^(08|40|53|57)/.test(state) ? null : 'DATABASE';
}

const EXPLANATIONS = {
  DEFINITION: 'Its conditions refer to something that has gone, or to a custom field that is not segmentable any more.',
  TIMEOUT: 'It took longer than two minutes.',
  DATABASE: 'The database refused the calculation; the log says why.',
} as const;

async function noteFailure(
  tx: Queryable,
  { workspaceId, audienceId }: RefreshAudienceInput,
  cause: keyof typeof EXPLANATIONS,
): Promise<void> {
  await tx.query(sql`
    UPDATE audiences SET calculation_error = ${cause} WHERE workspace_id = ${workspaceId} AND id = ${audienceId}`);
  await tx.query(sql`
    SELECT sally_raise_alert(${workspaceId}, 'audience-refresh', ${audienceId}, 'warning',
      ${`A dynamic audience could not be calculated; its members are those of the last success. ${EXPLANATIONS[cause]}`},
      ${JSON.stringify({ audience_id: audienceId, error: cause })})`);
}
