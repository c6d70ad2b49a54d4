import { changed, many, one, type Queryable, sql } from '../../platform/postgres';

export interface SuppressionRow {
  id: string;
  /** Null for an address: only its hash is kept. */
  domain: string | null;
  hint: string;
  reason: 'BOUNCE' | 'COMPLAINT' | 'MANUAL';
  source: 'API' | 'DELIVERY' | 'IMPORT';
  state: 'ACTIVE' | 'HELD';
  note: string;
  created_at: Date;
}

const COLUMNS = sql`id, domain, hint, reason, source, state, note, created_at`;

/** Suppressions, newest first, one more than `limit`. */
export function listSuppressions(
  db: Queryable,
  workspaceId: string,
  page: {
    before: string | null;
    limit: number;
    state: SuppressionRow['state'] | null;
    reason: SuppressionRow['reason'] | null;
    addressHash: Buffer | null;
    domain: string | null;
  },
): Promise<SuppressionRow[]> {
  return many(
    db,
    sql`SELECT ${COLUMNS} FROM suppressions
        WHERE workspace_id = ${workspaceId} AND (${page.before}::uuid IS NULL OR id < ${page.before}::uuid)
          AND (${page.state}::text IS NULL OR state = ${page.state})
          AND (${page.reason}::text IS NULL OR reason = ${page.reason})
          AND (${page.addressHash}::bytea IS NULL OR address_hash = ${page.addressHash})
          AND (${page.domain}::text IS NULL OR domain = ${page.domain})
        ORDER BY id DESC LIMIT ${page.limit + 1}`,
  );
}

export function findSuppression(db: Queryable, workspaceId: string, id: string): Promise<SuppressionRow | null> {
  return one(db, sql`SELECT ${COLUMNS} FROM suppressions WHERE workspace_id = ${workspaceId} AND id = ${id}`);
}

/** An address (as keyed hash) or a whole domain. */
export type SuppressionTarget =
  | { readonly addressHash: Buffer; readonly domain: null; readonly hint: string }
  | { readonly addressHash: null; readonly domain: string; readonly hint: string };

/**
 * Suppresses by hand. What is suppressed stays so with its first reason, but a HELD one becomes ACTIVE. Returns the
 * rows that were made or activated.
 */
export async function suppressManually(
  tx: Queryable,
  workspaceId: string,
  targets: readonly SuppressionTarget[],
  note: string,
  createdBy: string,
): Promise<SuppressionRow[]> {
  const addresses = targets.filter((target) => target.addressHash !== null);
  const domains = targets.filter((target) => target.addressHash === null);
  const released = await many<SuppressionRow>(
    tx,
    sql`UPDATE suppressions SET state = 'ACTIVE'
        WHERE workspace_id = ${workspaceId} AND state = 'HELD'
          AND (encode(address_hash, 'hex') = ANY(${addresses.map(({ addressHash }) => addressHash.toString('hex'))}::text[])
            OR domain = ANY(${domains.map(({ domain }) => domain)}::text[]))
        RETURNING ${COLUMNS}`,
  );
  const made = await many<SuppressionRow>(
    tx,
    sql`INSERT INTO suppressions (workspace_id, address_hash, domain, hint, reason, source, note, created_by)
        SELECT ${workspaceId}, decode(given.hash, 'hex'), given.domain, given.hint, 'MANUAL', 'API', ${note}, ${createdBy}
        FROM unnest(${targets.map(({ addressHash }) => addressHash?.toString('hex') ?? null)}::text[],
          ${targets.map(({ domain }) => domain)}::text[], ${targets.map(({ hint }) => hint)}::text[])
          AS given (hash, domain, hint)
        ON CONFLICT DO NOTHING RETURNING ${COLUMNS}`,
  );
  return [...released, ...made];
}

/** HELD → ACTIVE: an operator believes the sample that tripped the breaker. */
export async function releaseSuppression(tx: Queryable, workspaceId: string, id: string): Promise<boolean> {
  const released = await changed(
    tx,
    sql`UPDATE suppressions SET state = 'ACTIVE' WHERE workspace_id = ${workspaceId} AND id = ${id} AND state = 'HELD'`,
  );
  return released === 1;
}

/** The address or domain may be written to again. */
export async function deleteSuppression(tx: Queryable, workspaceId: string, id: string): Promise<boolean> {
  return (await changed(tx, sql`DELETE FROM suppressions WHERE workspace_id = ${workspaceId} AND id = ${id}`)) === 1;
}
