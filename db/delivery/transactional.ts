import { one, type Queryable, sql } from '../../platform/postgres';

/** Keeps the source id that a request's message has beside its Idempotency-Key, in the same transaction. */
export async function storeSourceId(
  tx: Queryable,
  request: { workspaceId: string; operation: string; key: string; sourceId: string },
): Promise<void> {
  await tx.query(sql`
    UPDATE idempotency_keys SET source_id = ${request.sourceId}
    WHERE workspace_id = ${request.workspaceId} AND operation = ${request.operation} AND key = ${request.key}`);
}

/** A contact that transactional mail goes to. */
export interface TransactionalContact {
  id: string;
  email: string;
}

export function findContactById(db: Queryable, workspaceId: string, id: string): Promise<TransactionalContact | null> {
  return one<TransactionalContact>(
    db,
    sql`SELECT id, email FROM contacts WHERE workspace_id = ${workspaceId} AND id = ${id} AND erased_at IS NULL`,
  );
}

/** The contact with this normalised address, if there is one: then its consent and status count. */
export function findContactByEmail(
  db: Queryable,
  workspaceId: string,
  email: string,
): Promise<TransactionalContact | null> {
  return one<TransactionalContact>(
    db,
    sql`SELECT id, email FROM contacts WHERE workspace_id = ${workspaceId} AND email = ${email} AND erased_at IS NULL`,
  );
}

/** When transactional mail that could not be sent is given up: 24 hours from now, by the clock of all rules. */
export async function transactionalExpiry(db: Queryable): Promise<Date> {
  const row = await one<{ at: Date }>(db, sql`SELECT sally_now() + interval '24 hours' AS at`);
  if (!row) throw new Error('the clock gave no row');
  return row.at;
}
