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
    source?: SuppressionRow['source'] | null;
    /** The domain itself and every address there. */
    atDomain?: string | null;
  },
): Promise<SuppressionRow[]> {
  const { source = null, atDomain = null } = page;
  return many(
    db,
    sql`SELECT ${COLUMNS} FROM suppressions
        WHERE workspace_id = ${workspaceId} AND (${page.before}::uuid IS NULL OR id < ${page.before}::uuid)
          AND (${page.state}::text IS NULL OR state = ${page.state})
          AND (${page.reason}::text IS NULL OR reason = ${page.reason})
          AND (${page.addressHash}::bytea IS NULL OR address_hash = ${page.addressHash})
          AND (${page.domain}::text IS NULL OR domain = ${page.domain})
          AND (${source}::text IS NULL OR source = ${source})
          AND (${atDomain}::text IS NULL OR split_part(hint, '@', -1) = ${atDomain})
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
  source: 'API' | 'IMPORT' = 'API',
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
        SELECT ${workspaceId}, decode(given.hash, 'hex'), given.domain, given.hint, 'MANUAL', ${source}, ${note}, ${createdBy}
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

/** Why a suppression was lifted: the owner asked for it, the address is known to work again, or it never was right. */
export const REMOVAL_REASONS = ['OWNER_REQUEST', 'ADDRESS_WORKS', 'MISTAKE'] as const;

export interface SuppressionRemovalRow {
  id: string;
  suppression_id: string;
  domain: string | null;
  hint: string;
  suppressed_reason: SuppressionRow['reason'];
  suppressed_source: SuppressionRow['source'];
  suppressed_at: Date;
  reason: (typeof REMOVAL_REASONS)[number];
  evidence: string;
  removed_by: string;
  removed_at: Date;
}

const REMOVAL_COLUMNS = sql`id, suppression_id, domain, hint, suppressed_reason, suppressed_source, suppressed_at, reason,
  evidence, removed_by, removed_at`;

/**
 * Lifts a suppression and keeps why. A contact that bounced is ACTIVE again, so that the address is tried once more; one
 * that complained becomes UNSUBSCRIBED: bulk mail takes an opt-in of its own. Null when there is no such suppression.
 */
export async function removeSuppression(
  tx: Queryable,
  removal: {
    workspaceId: string;
    id: string;
    reason: SuppressionRemovalRow['reason'];
    evidence: string;
    removedBy: string;
  },
): Promise<SuppressionRemovalRow | null> {
  const { workspaceId } = removal;
  const removed = await one<SuppressionRemovalRow & { address_hash: Buffer | null }>(
    tx,
    sql`WITH gone AS (
          DELETE FROM suppressions WHERE workspace_id = ${workspaceId} AND id = ${removal.id}
          RETURNING id, address_hash, domain, hint, reason, source, created_at, evidence)
        INSERT INTO suppression_removals (workspace_id, suppression_id, address_hash, domain, hint, suppressed_reason,
          suppressed_source, suppressed_at, suppressed_evidence, reason, evidence, removed_by)
        SELECT ${workspaceId}, id, address_hash, domain, hint, reason, source, created_at, evidence, ${removal.reason},
          ${removal.evidence}, ${removal.removedBy} FROM gone
        RETURNING ${REMOVAL_COLUMNS}, address_hash`,
  );
  if (!removed) return null;
  const { address_hash: hash, ...row } = removed;
  if (hash !== null) {
    await tx.query(sql`
      UPDATE contacts SET status = CASE status WHEN 'BOUNCED' THEN 'ACTIVE' ELSE 'UNSUBSCRIBED' END,
        version = version + 1, updated_at = sally_now()
      WHERE workspace_id = ${workspaceId} AND email_hash = ${hash} AND erased_at IS NULL
        AND ((status = 'BOUNCED' AND ${row.suppressed_reason}::text = 'BOUNCE')
          OR (status = 'COMPLAINED' AND ${row.suppressed_reason}::text = 'COMPLAINT'))`);
    await tx.query(sql`DELETE FROM soft_bounces WHERE workspace_id = ${workspaceId} AND address_hash = ${hash}`);
  }
  return row;
}

/** What was lifted, newest first, one more than `limit`. */
export function listSuppressionRemovals(
  db: Queryable,
  workspaceId: string,
  page: { before: string | null; limit: number },
): Promise<SuppressionRemovalRow[]> {
  return many(
    db,
    sql`SELECT ${REMOVAL_COLUMNS} FROM suppression_removals
        WHERE workspace_id = ${workspaceId} AND (${page.before}::uuid IS NULL OR id < ${page.before}::uuid)
        ORDER BY id DESC LIMIT ${page.limit + 1}`,
  );
}
