import type { DeliveryStatus, MessageClass, SourceType } from '../../domain/delivery';
import { many, type Queryable, type Statement, sql } from '../../platform/postgres';

/** A row of the ledger as it is shown. */
export interface DeliveryRow {
  id: string;
  source_id: string;
  source_type: SourceType;
  step_key: string;
  campaign_id: string | null;
  contact_id: string | null;
  email: string | null;
  message_id: string;
  class: MessageClass;
  status: DeliveryStatus;
  reason: string | null;
  attempts: number;
  not_before: Date;
  last_attempt_at: Date | null;
  sent_at: Date | null;
  created_at: Date;
  /** The Message-ID header's value, as it stands in a relay's log. */
  rfc_message_id: string;
  /** The way it took last, and why; null before the first claim. */
  route: DeliveryRoute | null;
}

interface DeliveryRoute {
  provider_id: string;
  identity_id: string;
  dedicated_ip_id: string | null;
  reason: string;
}

// The header is made of the row's key; it is constant over attempts and routes.
const COLUMNS = sql`d.id, d.source_id, d.source_type, d.step_key, r.campaign_id, d.contact_id, d.address AS email, d.message_id,
  d.class, d.status, d.reason, d.attempts, d.not_before, d.last_attempt_at, d.sent_at, d.created_at,
  coalesce(d.rfc_message_id, '<' || replace(d.source_id::text, '-', '') || '.' || replace(d.id::text, '-', '')
    || '@' || w.message_domain || '>') AS rfc_message_id,
  CASE WHEN o.id IS NOT NULL THEN jsonb_build_object('provider_id', o.provider_id, 'identity_id', o.identity_id,
    'dedicated_ip_id', o.ip_id, 'reason', coalesce(d.route_reason, '')) END AS route`;

const FROM = sql`FROM deliveries d
  LEFT JOIN routes o ON o.id = d.route_id AND o.workspace_id = d.workspace_id
  JOIN workspaces w ON w.id = d.workspace_id
  LEFT JOIN campaign_runs r ON d.source_type = 'CAMPAIGN' AND r.workspace_id = d.workspace_id AND r.id = d.source_id`;

export interface DeliveryFilter {
  status: DeliveryStatus | null;
  campaignId: string | null;
  contactId: string | null;
  after: string | null;
  limit: number;
}

/**
 * Rows in order of id (of making), one more than `limit` if there is one. The ledger has an index by source, by contact
 * and of what is on the wire or unknown, so one of them must be asked for: never the whole ledger.
 */
export function listDeliveries(db: Queryable, workspaceId: string, filter: DeliveryFilter): Promise<DeliveryRow[]> {
  return many<DeliveryRow & Record<string, unknown>>(
    db,
    sql`SELECT ${COLUMNS} ${FROM}
        WHERE d.workspace_id = ${workspaceId} AND ${bounds(workspaceId, filter)}
          AND (${filter.status}::text IS NULL OR d.status = ${filter.status})
          AND (${filter.after}::uuid IS NULL OR d.id > ${filter.after})
        ORDER BY d.id LIMIT ${filter.limit + 1}`,
  );
}

function bounds(workspaceId: string, filter: DeliveryFilter): Statement {
  const ofContact = sql`(${filter.contactId}::uuid IS NULL OR d.contact_id = ${filter.contactId})`;
  if (filter.campaignId !== null) {
    const runs = sql`SELECT id FROM campaign_runs WHERE workspace_id = ${workspaceId} AND campaign_id = ${filter.campaignId}`;
    return sql`d.source_id IN (${runs}) AND ${ofContact}`;
  }
  if (filter.contactId !== null) return sql`d.contact_id = ${filter.contactId}`;
  // Said again as literals: a partial index serves only what its own condition follows from.
  return sql`d.status IN ('SENDING', 'UNCONFIRMED') AND d.stream_id IN (SELECT id FROM streams WHERE workspace_id = ${workspaceId})`;
}

/** One row, or null. */
export async function findDelivery(
  db: Queryable,
  workspaceId: string,
  key: { sourceId: string; deliveryId: string },
): Promise<DeliveryRow | null> {
  const rows = await many<DeliveryRow & Record<string, unknown>>(
    db,
    sql`SELECT ${COLUMNS} ${FROM}
        WHERE d.workspace_id = ${workspaceId} AND d.source_id = ${key.sourceId} AND d.id = ${key.deliveryId}`,
  );
  return rows[0] ?? null;
}
