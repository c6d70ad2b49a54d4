import { many, one, type Queryable, sql } from '../../platform/postgres';
import { countEvents } from './append';

/** An event from outside, checked. */
export interface IncomingEvent {
  /** UUIDv7, minted here. */
  id: string;
  /** The client's own id; the same one again changes nothing. Null: none was given. */
  clientEventId: string | null;
  type: string;
  contactId: string;
  payload: Record<string, unknown>;
  occurredAt: Date;
}

/**
 * Stores events, in one statement. Returns by position the id that each event has: its own, or that of the event which
 * came in earlier under the same client id, in whatever month, or in the same batch.
 */
export async function ingestEvents(
  tx: Queryable,
  workspaceId: string,
  events: readonly IncomingEvent[],
): Promise<string[]> {
  const first = new Map<string, string>();
  const fresh = events.filter(({ id, clientEventId }) => {
    if (clientEventId === null) return true;
    if (first.has(clientEventId)) return false;
    first.set(clientEventId, id);
    return true;
  });
  const written = await many<{ id: string; event_type: string }>(
    tx,
    sql`WITH given AS (
          SELECT * FROM unnest(${fresh.map((e) => e.id)}::uuid[], ${fresh.map((e) => e.clientEventId)}::text[],
            ${fresh.map((e) => e.type)}::text[], ${fresh.map((e) => e.contactId)}::uuid[],
            ${fresh.map((e) => JSON.stringify(e.payload))}::jsonb[], ${fresh.map((e) => e.occurredAt.toISOString())}::timestamptz[])
            AS given (id, client_event_id, event_type, contact_id, payload, occurred_at)),
        -- In order, so that two batches with the same ids wait for each other instead of both.
        keyed AS (
          INSERT INTO event_keys (workspace_id, client_event_id, event_id)
          SELECT ${workspaceId}, client_event_id, id FROM given WHERE client_event_id IS NOT NULL ORDER BY client_event_id
          ON CONFLICT DO NOTHING RETURNING event_id)
        INSERT INTO marketing_events (event_id, workspace_id, event_type, contact_id, payload, created_at)
        SELECT id, ${workspaceId}, event_type, contact_id, payload, occurred_at FROM given
        WHERE client_event_id IS NULL OR id IN (SELECT event_id FROM keyed)
        RETURNING event_id AS id, event_type`,
  );
  for (const { event_type } of written) countEvents(event_type);
  const stored = new Set(written.map((row) => row.id));
  const known = await keyed(
    tx,
    workspaceId,
    [...first].flatMap(([key, id]) => (stored.has(id) ? [] : [key])),
  );
  return events.map(({ id, clientEventId }) => {
    if (clientEventId === null) return id;
    return known.get(clientEventId) ?? first.get(clientEventId) ?? id;
  });
}

async function keyed(tx: Queryable, workspaceId: string, clientEventIds: string[]): Promise<Map<string, string>> {
  if (clientEventIds.length === 0) return new Map();
  const rows = await many<{ client_event_id: string; event_id: string }>(
    tx,
    sql`SELECT client_event_id, event_id FROM event_keys
        WHERE workspace_id = ${workspaceId} AND client_event_id = ANY (${clientEventIds}::text[])`,
  );
  return new Map(rows.map((row) => [row.client_event_id, row.event_id]));
}

/** How an event names its contact; exactly one of them. */
export interface ContactReference {
  contactId: string | null;
  email: string | null;
  /** Of that address: it may have been a merged contact's. */
  emailHash: Buffer | null;
  externalId: { kind: string; value: string } | null;
}

/** The contact of each reference, or null; of one that was merged, the contact that is left. */
export async function findEventContacts(
  tx: Queryable,
  workspaceId: string,
  references: readonly ContactReference[],
): Promise<(string | null)[]> {
  const rows = await many<{ position: number; id: string }>(
    tx,
    sql`WITH given AS (
          SELECT * FROM unnest(${references.map((r) => r.contactId)}::uuid[], ${references.map((r) => r.email)}::text[],
            ${references.map((r) => r.externalId?.kind ?? null)}::text[],
            ${references.map((r) => r.externalId?.value ?? null)}::text[],
            ${references.map((r) => r.emailHash?.toString('hex') ?? null)}::text[])
            WITH ORDINALITY AS given (contact_id, email, kind, value, email_hash, position)),
        named AS (
          SELECT g.position, g.contact_id AS id FROM given g WHERE g.contact_id IS NOT NULL
          UNION ALL
          SELECT g.position, c.id FROM given g
          JOIN contacts c ON c.workspace_id = ${workspaceId} AND c.email = g.email
          UNION ALL
          SELECT g.position, m.contact_id FROM given g
          CROSS JOIN LATERAL (SELECT contact_id FROM merged_addresses m WHERE m.workspace_id = ${workspaceId}
            AND m.address_hash = decode(g.email_hash, 'hex') ORDER BY m.merged_at DESC LIMIT 1) m
          WHERE NOT EXISTS (SELECT FROM contacts c WHERE c.workspace_id = ${workspaceId} AND c.email = g.email)
          UNION ALL
          SELECT g.position, i.contact_id FROM given g
          JOIN contact_identities i ON i.workspace_id = ${workspaceId} AND i.kind = g.kind AND i.value = g.value)
        SELECT n.position, coalesce(c.merged_into, c.id) AS id FROM named n
        JOIN contacts c ON c.workspace_id = ${workspaceId} AND c.id = n.id
        WHERE c.erased_at IS NULL OR c.merged_into IS NOT NULL`,
  );
  const found = new Map(rows.map((row) => [row.position, row.id]));
  return references.map((_reference, index) => found.get(index + 1) ?? null);
}

/** The clock of all rules. */
export async function readClock(db: Queryable): Promise<Date> {
  const row = await one<{ now: Date }>(db, sql`SELECT sally_now() AS now`);
  if (!row) throw new Error('the database has no time');
  return row.now;
}
