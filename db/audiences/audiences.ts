import { type ConditionTree, dependenciesOf } from '../../domain/audiences';
import { canonicalHash } from '../../domain/content';
import { changed, many, one, type Queryable, sql } from '../../platform/postgres';

export interface AudienceRow {
  id: string;
  name: string;
  description: string;
  type: 'STATIC' | 'DYNAMIC';
  /** Of a dynamic audience. */
  definition: ConditionTree | null;
  /** Whether the members are those of the current definition. */
  is_calculated: boolean;
  is_time_dependent: boolean;
  last_calculated_at: Date | null;
  calculation_error: 'DEFINITION' | 'TIMEOUT' | 'DATABASE' | null;
  member_count: number;
  version: number;
  created_at: Date;
  updated_at: Date;
}

const COLUMNS = sql`id, name, description, type, definition, member_count, version, created_at, updated_at,
  calculated_sha256 IS NOT DISTINCT FROM definition_sha256 AS is_calculated, is_time_dependent, last_calculated_at,
  calculation_error`;

export function findAudience(db: Queryable, workspaceId: string, id: string): Promise<AudienceRow | null> {
  return one(
    db,
    sql`SELECT ${COLUMNS} FROM audiences WHERE workspace_id = ${workspaceId} AND id = ${id} AND archived_at IS NULL`,
  );
}

/** The list, held until the end of the transaction. */
export function lockAudience(tx: Queryable, workspaceId: string, id: string): Promise<AudienceRow | null> {
  return one(
    tx,
    sql`SELECT ${COLUMNS} FROM audiences
        WHERE workspace_id = ${workspaceId} AND id = ${id} AND archived_at IS NULL FOR UPDATE`,
  );
}

/** Lists, newest first, one more than `limit`. */
export function listAudiences(
  db: Queryable,
  workspaceId: string,
  page: { before: string | null; limit: number },
): Promise<AudienceRow[]> {
  return many(
    db,
    sql`SELECT ${COLUMNS} FROM audiences
        WHERE workspace_id = ${workspaceId} AND archived_at IS NULL
          AND (${page.before}::uuid IS NULL OR id < ${page.before}::uuid)
        ORDER BY id DESC LIMIT ${page.limit + 1}`,
  );
}

/** A name in use violates the unique constraint. With `conditions` it is dynamic, and not calculated yet. */
export async function insertAudience(
  tx: Queryable,
  workspaceId: string,
  audience: { name: string; description: string; conditions: ConditionTree | null; createdBy: string },
): Promise<AudienceRow> {
  const definition = definitionColumns(audience.conditions);
  const row = await one<AudienceRow>(
    tx,
    sql`INSERT INTO audiences (workspace_id, name, description, created_by, type, definition, definition_sha256, depends_on,
          is_time_dependent, uses_audiences)
        VALUES (${workspaceId}, ${audience.name}, ${audience.description}, ${audience.createdBy},
          ${audience.conditions === null ? 'STATIC' : 'DYNAMIC'}, ${definition.json}, ${definition.sha256},
          ${definition.dependsOn}, ${definition.timeDependent}, ${definition.usesAudiences})
        RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('an audience could not be made');
  return row;
}

/** Another definition makes the next calculation a baseline. */
export async function updateAudience(
  tx: Queryable,
  workspaceId: string,
  id: string,
  audience: { name: string; description: string; conditions: ConditionTree | null },
): Promise<AudienceRow> {
  const definition = definitionColumns(audience.conditions);
  const row = await one<AudienceRow>(
    tx,
    sql`UPDATE audiences SET name = ${audience.name}, description = ${audience.description},
          definition = ${definition.json}, definition_sha256 = ${definition.sha256}, depends_on = ${definition.dependsOn},
          is_time_dependent = ${definition.timeDependent}, uses_audiences = ${definition.usesAudiences},
          version = version + 1, updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${id} RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('an audience vanished while it was locked');
  return row;
}

function definitionColumns(conditions: ConditionTree | null) {
  if (conditions === null) {
    return { json: null, sha256: null, dependsOn: [], timeDependent: false, usesAudiences: [] };
  }
  return { json: JSON.stringify(conditions), sha256: canonicalHash(conditions), ...dependenciesOf(conditions) };
}

/**
 * Whether an audience that used `uses` would be made of itself. Holds off every other change of definitions in the
 * workspace until the transaction ends, so that two at once cannot make a circle together.
 */
export async function wouldBeCircular(
  tx: Queryable,
  workspaceId: string,
  id: string,
  uses: readonly string[],
): Promise<boolean> {
  await tx.query(sql`SELECT pg_advisory_xact_lock(hashtextextended('audience-definitions/' || ${workspaceId}, 0))`);
  const row = await one<{ circular: boolean }>(
    tx,
    sql`WITH RECURSIVE reached (id) AS (
          SELECT unnest(${uses}::uuid[])
          UNION
          SELECT u.id FROM reached r
          JOIN audiences a ON a.workspace_id = ${workspaceId} AND a.id = r.id
          CROSS JOIN unnest(a.uses_audiences) AS u (id))
        SELECT EXISTS (SELECT FROM reached WHERE id = ${id}::uuid) AS circular`,
  );
  return row?.circular ?? false;
}

/** Hashes of the definitions of those of `ids` that are dynamic. */
export async function audienceDefinitions(
  db: Queryable,
  workspaceId: string,
  ids: readonly string[],
): Promise<Record<string, string>> {
  const rows = await many<{ id: string; sha256: string }>(
    db,
    sql`SELECT id, definition_sha256 AS sha256 FROM audiences
        WHERE workspace_id = ${workspaceId} AND type = 'DYNAMIC' AND id = ANY (${ids}::uuid[])`,
  );
  return Object.fromEntries(rows.map((row) => [row.id, row.sha256]));
}

/** Those of `ids` that are dynamic and have no members of their current definition yet. */
export async function uncalculatedAudiences(
  db: Queryable,
  workspaceId: string,
  ids: readonly string[],
): Promise<string[]> {
  const rows = await many<{ id: string }>(
    db,
    sql`SELECT id FROM audiences
        WHERE workspace_id = ${workspaceId} AND type = 'DYNAMIC' AND id = ANY (${ids}::uuid[])
          AND calculated_sha256 IS DISTINCT FROM definition_sha256
        ORDER BY cardinality(uses_audiences)`,
  );
  return rows.map((row) => row.id);
}

/** Names of the audiences in use whose definitions ask about this one. */
export async function audiencesUsing(db: Queryable, workspaceId: string, id: string): Promise<string[]> {
  const rows = await many<{ name: string }>(
    db,
    sql`SELECT name FROM audiences
        WHERE workspace_id = ${workspaceId} AND archived_at IS NULL AND type = 'DYNAMIC'
          AND uses_audiences @> ARRAY[${id}::uuid] ORDER BY name LIMIT 5`,
  );
  return rows.map((row) => row.name);
}

/**
 * The members of an audience change: who asks about them is calculated again. Written even where it is dirty already:
 * a calculation that runs now forgives only what it saw at its start.
 * @param options.untold no event tells which contacts: who asks about them has to look at everybody
 */
export async function markAudiencesUsing(
  tx: Queryable,
  workspaceId: string,
  id: string,
  options: { untold: boolean } = { untold: false },
): Promise<void> {
  await tx.query(sql`
    UPDATE audiences SET dirty_at = sally_now(),
      seen_transaction = CASE WHEN ${options.untold}::boolean THEN NULL ELSE seen_transaction END
    WHERE workspace_id = ${workspaceId} AND archived_at IS NULL AND type = 'DYNAMIC'
      AND uses_audiences @> ARRAY[${id}::uuid]`);
}

/**
 * Marks the dynamic audiences that depend on a change: 'profile', 'consent', 'category', 'event:{type}', by workspace.
 * @returns how many were marked
 */
export function markAudiencesDirty(
  tx: Queryable,
  changes: readonly { workspaceId: string; change: string }[],
): Promise<number> {
  return changed(
    tx,
    sql`UPDATE audiences a SET dirty_at = sally_now()
        WHERE a.type = 'DYNAMIC' AND a.archived_at IS NULL AND EXISTS (
          SELECT FROM unnest(${changes.map((c) => c.workspaceId)}::uuid[], ${changes.map((c) => c.change)}::text[])
            AS told (workspace_id, change)
          WHERE told.workspace_id = a.workspace_id AND told.change = ANY (a.depends_on))`,
  );
}

/**
 * Takes a list out of use and frees its name. The row and its members stay: campaigns that were sent to it still say
 * whom they went to.
 */
export async function archiveAudience(tx: Queryable, workspaceId: string, id: string): Promise<boolean> {
  const archived = await changed(
    tx,
    sql`UPDATE audiences SET archived_at = sally_now(), name = left(name, 200) || ' (deleted ' || id || ')',
          version = version + 1, updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${id} AND archived_at IS NULL`,
  );
  return archived === 1;
}
