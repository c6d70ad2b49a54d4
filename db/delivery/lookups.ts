import { many, type Queryable, sql } from '../../platform/postgres';

/** A row whose outcome nobody knows, at a provider that can be asked. */
export interface UnknownRow {
  workspaceId: string;
  sourceId: string;
  deliveryId: string;
  claimId: string;
  providerId: string;
  address: string;
  begunAt: Date;
}

/** What was accepted a moment ago may not be listed yet. */
const SETTLING = '30 seconds';

/**
 * UNCONFIRMED rows to ask providers of `types` about: for 24 hours from when they were begun, after 30 seconds and then
 * after 1, 2, 4 … 60 minutes. Oldest first.
 */
export async function rowsToLookUp(db: Queryable, types: readonly string[], limit: number): Promise<UnknownRow[]> {
  const rows = await many<{
    workspace_id: string;
    source_id: string;
    id: string;
    claim_id: string;
    provider_id: string;
    address: string;
    last_attempt_at: Date;
  }>(
    db,
    sql`SELECT d.workspace_id, d.source_id, d.id, d.claim_id, r.provider_id, d.address, d.last_attempt_at
        FROM deliveries d JOIN routes r ON r.id = d.route_id
        JOIN providers p ON p.workspace_id = d.workspace_id AND p.id = r.provider_id AND p.provider_type = ANY (${[...types]}::text[])
        LEFT JOIN delivery_lookups l ON l.workspace_id = d.workspace_id AND l.source_id = d.source_id AND l.delivery_id = d.id
        WHERE d.status = 'UNCONFIRMED' AND d.address IS NOT NULL AND d.claim_id IS NOT NULL
          AND d.last_attempt_at BETWEEN sally_now() - interval '24 hours' AND sally_now() - ${SETTLING}::interval
          AND (l.asked_at IS NULL OR l.asked_at < sally_now() - least(60, power(2, l.asked - 1)) * interval '1 minute')
        ORDER BY d.last_attempt_at LIMIT ${limit}`,
  );
  return rows.map((row) => ({
    workspaceId: row.workspace_id,
    sourceId: row.source_id,
    deliveryId: row.id,
    claimId: row.claim_id,
    providerId: row.provider_id,
    address: row.address,
    begunAt: row.last_attempt_at,
  }));
}

/** Notes that a provider was asked about a row, whatever it said. */
export async function noteLookup(db: Queryable, row: UnknownRow): Promise<void> {
  await db.query(sql`
    INSERT INTO delivery_lookups AS l (workspace_id, source_id, delivery_id)
    VALUES (${row.workspaceId}, ${row.sourceId}, ${row.deliveryId})
    ON CONFLICT (workspace_id, source_id, delivery_id) DO UPDATE SET asked = l.asked + 1, asked_at = sally_now()`);
}
