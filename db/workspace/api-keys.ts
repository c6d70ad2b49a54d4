import { changed, many, one, type Queryable, sql } from '../../platform/postgres';

export interface ApiKey {
  id: string;
  userId: string;
  name: string;
  /** The first characters, to recognise it by. */
  hint: string;
  scopes: string[];
  expiresAt: Date | null;
  lastUsedAt: Date | null;
  revokedAt: Date | null;
  createdAt: Date;
}

interface ApiKeyRow {
  id: string;
  user_id: string;
  name: string;
  key_hint: string;
  scopes: string[];
  expires_at: Date | null;
  last_used_at: Date | null;
  revoked_at: Date | null;
  created_at: Date;
}

const COLUMNS = sql`id, user_id, name, key_hint, scopes, expires_at, last_used_at, revoked_at, created_at`;

function fromRow(row: ApiKeyRow): ApiKey {
  return {
    id: row.id,
    userId: row.user_id,
    name: row.name,
    hint: row.key_hint,
    scopes: row.scopes,
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at,
    revokedAt: row.revoked_at,
    createdAt: row.created_at,
  };
}

export interface NewApiKey {
  workspaceId: string;
  userId: string;
  name: string;
  keyHash: Buffer;
  hint: string;
  scopes: readonly string[];
  expiresAt: Date | null;
}

export async function insertApiKey(tx: Queryable, key: NewApiKey): Promise<ApiKey> {
  const row = await one<ApiKeyRow>(
    tx,
    sql`INSERT INTO api_keys (workspace_id, user_id, name, key_hash, key_hint, scopes, expires_at)
        VALUES (${key.workspaceId}, ${key.userId}, ${key.name}, ${key.keyHash}, ${key.hint}, ${key.scopes}, ${key.expiresAt})
        RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('no key was made');
  return fromRow(row);
}

/** Newest first, older than `before`; of one user, or of all with `userId` null. */
export async function listApiKeys(
  db: Queryable,
  workspaceId: string,
  page: { userId: string | null; before: string | null; limit: number },
): Promise<ApiKey[]> {
  const rows = await many<ApiKeyRow>(
    db,
    sql`SELECT ${COLUMNS} FROM api_keys
        WHERE workspace_id = ${workspaceId} AND (${page.userId}::uuid IS NULL OR user_id = ${page.userId})
          AND (${page.before}::uuid IS NULL OR id < ${page.before})
        ORDER BY id DESC LIMIT ${page.limit}`,
  );
  return rows.map(fromRow);
}

export async function findApiKey(db: Queryable, workspaceId: string, id: string): Promise<ApiKey | null> {
  const row = await one<ApiKeyRow>(
    db,
    sql`SELECT ${COLUMNS} FROM api_keys WHERE workspace_id = ${workspaceId} AND id = ${id}`,
  );
  return row && fromRow(row);
}

/** Revokes a key; false when it was revoked before. */
export async function revokeApiKey(tx: Queryable, workspaceId: string, id: string): Promise<boolean> {
  const revoked = await changed(
    tx,
    sql`UPDATE api_keys SET revoked_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${id} AND revoked_at IS NULL`,
  );
  return revoked === 1;
}
