import { changed, many, one, type Queryable, sql } from '../../platform/postgres';

export interface AudienceRow {
  id: string;
  name: string;
  description: string;
  member_count: number;
  version: number;
  created_at: Date;
  updated_at: Date;
}

const COLUMNS = sql`id, name, description, member_count, version, created_at, updated_at`;

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

/** A name in use violates the unique constraint. */
export async function insertAudience(
  tx: Queryable,
  workspaceId: string,
  audience: { name: string; description: string; createdBy: string },
): Promise<AudienceRow> {
  const row = await one<AudienceRow>(
    tx,
    sql`INSERT INTO audiences (workspace_id, name, description, created_by)
        VALUES (${workspaceId}, ${audience.name}, ${audience.description}, ${audience.createdBy}) RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('a list could not be made');
  return row;
}

export async function updateAudience(
  tx: Queryable,
  workspaceId: string,
  id: string,
  audience: { name: string; description: string },
): Promise<AudienceRow> {
  const row = await one<AudienceRow>(
    tx,
    sql`UPDATE audiences SET name = ${audience.name}, description = ${audience.description}, version = version + 1,
          updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${id} RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('a list vanished while it was locked');
  return row;
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
