import type { RecipientStatus } from '../../domain/campaigns/recipient-status';
import type { DeliveryStatus } from '../../domain/delivery';
import { many, type Queryable, sql } from '../../platform/postgres';

/** One recipient of a run with what is known about the message since. */
export interface RecipientRow {
  id: string;
  contact_id: string | null;
  email: string | null;
  recipient_name: string | null;
  status: DeliveryStatus;
  reason: string | null;
  attempts: number;
  opened: boolean;
  clicked: boolean;
  unsubscribed: boolean;
  not_before: Date;
  sent_at: Date | null;
  created_at: Date;
}

/** The same derivation as domain/campaigns/recipient-status.ts, to filter by it; a test compares both. */
const DERIVED = sql`CASE
  WHEN d.status IN ('FAILED', 'CANCELLED') THEN 'FAILED'
  WHEN d.status = 'QUEUED' THEN 'PENDING'
  WHEN e.unsubscribed THEN 'UNSUBSCRIBED'
  WHEN e.clicked THEN 'CLICKED'
  WHEN e.opened THEN 'OPENED'
  WHEN d.status = 'SENT' THEN 'SENT'
  ELSE 'PENDING' END`;

/**
 * Recipients of a run in the order of their rows; one more than `limit`, if there is one. The address is the one it
 * was sent to, or would be sent to now.
 */
export function listRecipients(
  db: Queryable,
  filter: { workspaceId: string; runId: string; status: RecipientStatus | null; after: string | null; limit: number },
): Promise<RecipientRow[]> {
  return many<RecipientRow>(
    db,
    sql`SELECT d.id, d.contact_id, coalesce(d.address, c.email) AS email,
          coalesce(d.recipient_name, nullif(btrim(concat_ws(' ', c.first_name, c.last_name)), '')) AS recipient_name,
          d.status, d.reason, d.attempts, e.opened, e.clicked, e.unsubscribed, d.not_before, d.sent_at, d.created_at
        FROM deliveries d
        LEFT JOIN contacts c ON c.workspace_id = d.workspace_id AND c.id = d.contact_id
        CROSS JOIN LATERAL (
          SELECT coalesce(bool_or(kind = 'OPEN' AND actor <> 'machine'), false) AS opened,
            coalesce(bool_or(kind = 'CLICK' AND actor <> 'machine'), false) AS clicked,
            coalesce(bool_or(kind = 'UNSUBSCRIBE'), false) AS unsubscribed
          FROM engagements WHERE source_id = d.source_id AND delivery_id = d.id) AS e
        WHERE d.workspace_id = ${filter.workspaceId} AND d.source_id = ${filter.runId}
          AND (${filter.after}::uuid IS NULL OR d.id > ${filter.after})
          AND (${filter.status}::text IS NULL OR ${DERIVED} = ${filter.status})
        ORDER BY d.id LIMIT ${filter.limit + 1}`,
  );
}
