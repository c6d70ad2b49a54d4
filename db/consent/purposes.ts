import { many, one, type Queryable, type Statement, sql } from '../../platform/postgres';

export interface PurposeRow {
  id: string;
  key: string;
  name: string;
  kind: 'marketing' | 'transactional';
  wording: string;
  wording_version: number;
  archived_at: Date | null;
  version: number;
  created_at: Date;
  updated_at: Date;
}

export interface WordingRow {
  wording_version: number;
  /** Locale → the same wording in that language. */
  translations: Record<string, string>;
  wording: string;
  created_at: Date;
}

const COLUMNS: Statement = sql`id, key, name, kind, wording, wording_version, archived_at, version, created_at, updated_at`;

/** Purposes by id, one more than `limit`. */
export function listPurposes(
  db: Queryable,
  workspaceId: string,
  page: { after: string | null; limit: number; archived: boolean },
): Promise<PurposeRow[]> {
  return many(
    db,
    sql`SELECT ${COLUMNS} FROM purposes
        WHERE workspace_id = ${workspaceId} AND (${page.archived} OR archived_at IS NULL)
          AND (${page.after}::uuid IS NULL OR id > ${page.after}::uuid)
        ORDER BY id LIMIT ${page.limit + 1}`,
  );
}

export function findPurpose(db: Queryable, workspaceId: string, purposeId: string): Promise<PurposeRow | null> {
  return one(db, sql`SELECT ${COLUMNS} FROM purposes WHERE workspace_id = ${workspaceId} AND id = ${purposeId}`);
}

/** The purpose of a sign-up: by key, or the workspace's first marketing purpose. Archived ones are not found. */
export function findSignUpPurpose(db: Queryable, workspaceId: string, key: string | null): Promise<PurposeRow | null> {
  return one(
    db,
    sql`SELECT ${COLUMNS} FROM purposes
        WHERE workspace_id = ${workspaceId} AND kind = 'marketing' AND archived_at IS NULL
          AND (${key}::text IS NULL OR key = ${key}::text)
        ORDER BY id LIMIT 1`,
  );
}

/** Inserts a purpose and its first wording; a key in use violates the unique constraint. */
export async function insertPurpose(
  tx: Queryable,
  workspaceId: string,
  purpose: { key: string; name: string; kind: PurposeRow['kind']; wording: string },
): Promise<PurposeRow> {
  const row = await one<PurposeRow>(
    tx,
    sql`INSERT INTO purposes (workspace_id, key, name, kind, wording)
        VALUES (${workspaceId}, ${purpose.key}, ${purpose.name}, ${purpose.kind}, ${purpose.wording})
        RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('a purpose could not be made');
  await insertWording(tx, workspaceId, row);
  return row;
}

/** Changes name and wording; another wording gets the next number and the old one is kept for the proof. */
export async function updatePurpose(
  tx: Queryable,
  workspaceId: string,
  purpose: PurposeRow,
  changes: { name?: string | undefined; wording?: string | undefined },
): Promise<PurposeRow> {
  const reworded = changes.wording !== undefined && changes.wording !== purpose.wording;
  const row = await one<PurposeRow>(
    tx,
    sql`UPDATE purposes SET name = coalesce(${changes.name ?? null}, name), wording = coalesce(${changes.wording ?? null}, wording),
          wording_version = wording_version + ${reworded ? 1 : 0}, version = version + 1, updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${purpose.id} RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('the purpose is gone');
  if (reworded) await insertWording(tx, workspaceId, row);
  return row;
}

/** Locks a purpose for a change. */
export async function lockPurpose(tx: Queryable, workspaceId: string, purposeId: string): Promise<PurposeRow | null> {
  return one(
    tx,
    sql`SELECT ${COLUMNS} FROM purposes WHERE workspace_id = ${workspaceId} AND id = ${purposeId} FOR UPDATE`,
  );
}

/** No sign-up and no campaign can use it from now on; consents and proof stay. */
export async function archivePurpose(tx: Queryable, workspaceId: string, purposeId: string): Promise<void> {
  await tx.query(sql`UPDATE purposes SET archived_at = sally_now(), version = version + 1, updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${purposeId} AND archived_at IS NULL`);
}

export function listWordings(db: Queryable, workspaceId: string, purposeId: string): Promise<WordingRow[]> {
  return many(
    db,
    sql`SELECT w.wording_version, w.wording, w.created_at,
          coalesce((SELECT jsonb_object_agg(t.locale, t.wording) FROM purpose_wording_translations t
            WHERE t.workspace_id = w.workspace_id AND t.purpose_id = w.purpose_id
              AND t.wording_version = w.wording_version), '{}') AS translations
        FROM purpose_wordings w
        WHERE w.workspace_id = ${workspaceId} AND w.purpose_id = ${purposeId} ORDER BY w.wording_version`,
  );
}

/** Adds a wording in one more language; false when there is one already, since what was shown is never changed. */
export async function insertWordingTranslation(
  tx: Queryable,
  workspaceId: string,
  translation: { purposeId: string; wordingVersion: number; locale: string; wording: string; createdBy: string },
): Promise<boolean> {
  const { purposeId, wordingVersion, locale, wording, createdBy } = translation;
  const row = await one(
    tx,
    sql`INSERT INTO purpose_wording_translations (workspace_id, purpose_id, wording_version, locale, wording, created_by)
        VALUES (${workspaceId}, ${purposeId}, ${wordingVersion}, ${locale}, ${wording}, ${createdBy})
        ON CONFLICT DO NOTHING RETURNING 1`,
  );
  return row !== null;
}

async function insertWording(tx: Queryable, workspaceId: string, purpose: PurposeRow): Promise<void> {
  await tx.query(sql`INSERT INTO purpose_wordings (workspace_id, purpose_id, wording_version, wording)
    VALUES (${workspaceId}, ${purpose.id}, ${purpose.wording_version}, ${purpose.wording})`);
}
