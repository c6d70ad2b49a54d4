import { marketingEventsIngested } from '../../platform/metrics';
import { type Queryable, type Statement, sql } from '../../platform/postgres';

export interface NewEvent {
  workspaceId: string;
  /** Spec 001, "Event Types": contact_created, consent_granted, email_unsubscribed, … */
  type: string;
  contactId?: string | null;
  campaignId?: string | null;
  /** Ids and facts; no personal data. */
  payload: Record<string, unknown>;
}

/** Appends an event in the transaction of the change it tells of (design, section 5). */
export async function appendEvent(tx: Queryable, event: NewEvent): Promise<void> {
  await tx.query(sql`
    SELECT sally_append_event(${event.workspaceId}, ${event.type}, ${event.contactId ?? null}, ${event.campaignId ?? null},
      ${JSON.stringify(event.payload)}::jsonb)`);
  countEvents(event.type);
}

/**
 * The same as a part of a set-based statement: one event for each row (workspace_id, event_type, contact_id, campaign_id,
 * payload). The clock is read once, and no function called per row. Who uses it counts them (countEvents).
 */
export function appendingEvents(rows: Statement): Statement {
  return sql`INSERT INTO marketing_events (workspace_id, event_type, contact_id, campaign_id, payload, created_at, received_at)
    SELECT r.workspace_id, r.event_type, r.contact_id, r.campaign_id, r.payload, (SELECT sally_now()), (SELECT sally_now())
    FROM (${rows}) r`;
}

/**
 * Counts events for /metrics; for set-based statements that call sally_append_event themselves. What a transaction
 * appended is counted even where it is rolled back afterwards.
 */
export function countEvents(type: string, events = 1): void {
  if (events > 0) marketingEventsIngested.inc({ event_type: type }, events);
}
