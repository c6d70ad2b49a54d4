import { type ConstantSource, type LaneKind, MAX_ATTEMPTS, SOURCES } from '../../domain/delivery/ledger';
import { changed, one, type Queryable, sql } from '../../platform/postgres';

/** The lane of a workspace, made when missing. */
export async function ensureLane(tx: Queryable, workspaceId: string, kind: LaneKind, key = 'default'): Promise<string> {
  const known = await one<{ id: string }>(
    tx,
    sql`SELECT id FROM lanes WHERE workspace_id = ${workspaceId} AND kind = ${kind} AND key = ${key}`,
  );
  if (known) return known.id;
  const made = await one<{ id: string }>(
    tx,
    sql`INSERT INTO lanes (workspace_id, kind, key) VALUES (${workspaceId}, ${kind}, ${key})
        ON CONFLICT (workspace_id, kind, key) DO UPDATE SET kind = excluded.kind RETURNING id`,
  );
  if (!made) throw new Error('a lane could not be made');
  return made.id;
}

/** The constant stream of opt-in, transactional or test mail: one row per (lane, source type). */
async function ensureConstantStream(
  tx: Queryable,
  workspaceId: string,
  laneId: string,
  sourceType: ConstantSource,
): Promise<string> {
  const known = await one<{ id: string }>(
    tx,
    sql`SELECT id FROM streams WHERE lane_id = ${laneId} AND source_type = ${sourceType}`,
  );
  if (known) return known.id;
  const made = await one<{ id: string }>(
    tx,
    sql`INSERT INTO streams (workspace_id, lane_id, source_type, priority)
        VALUES (${workspaceId}, ${laneId}, ${sourceType}, ${SOURCES[sourceType].priority})
        ON CONFLICT (lane_id, source_type) WHERE source_type NOT IN ('CAMPAIGN', 'SEQUENCE')
        DO UPDATE SET priority = excluded.priority
        RETURNING id`,
  );
  if (!made) throw new Error('a stream could not be made');
  return made.id;
}

/** One message to one recipient, outside campaigns (those are materialised in batches). */
export interface NewDelivery {
  workspaceId: string;
  sourceType: ConstantSource;
  /** Opt-in request, API request or test request; a UUIDv7 minted by us. */
  sourceId: string;
  /** Distinguishes messages of one source: "mail-1", "reminder". */
  stepKey: string;
  contactId: string | null;
  /** Where there is no contact: the normalised address, its hash and the name. */
  address: string | null;
  recipientName: string | null;
  addressHash: Buffer | null;
  emailDomain: string;
  messageId: string;
  context: Record<string, unknown> | null;
  expiresAt: Date | null;
}

export interface EnqueuedDelivery {
  /** Its lane is for opt-in, transactional or test mail, all of which somebody waits for. */
  urgent: true;
  /** Null when the same message was enqueued before: a second time is a no-op. */
  deliveryId: string | null;
  laneId: string;
  /** True: this transaction turned the lane on; after its commit, start or wake the lane's workflow. */
  wake: boolean;
}

/** Inserts one QUEUED row and turns its lane on, in the caller's transaction. */
export async function enqueueDelivery(tx: Queryable, delivery: NewDelivery): Promise<EnqueuedDelivery> {
  const source = SOURCES[delivery.sourceType];
  const laneId = await ensureLane(tx, delivery.workspaceId, source.lane);
  const streamId = await ensureConstantStream(tx, delivery.workspaceId, laneId, delivery.sourceType);
  const recipientKey = delivery.contactId ?? delivery.addressHash?.toString('base64url');
  if (!recipientKey) throw new Error('a delivery needs a contact or an address');
  const row = await one<{ id: string }>(
    tx,
    sql`INSERT INTO deliveries (workspace_id, source_type, source_id, step_key, recipient_key, contact_id, address,
          recipient_name, address_hash, message_id, lane_id, stream_id, mx_group, class, priority, not_before, expires_at,
          max_attempts, context)
        VALUES (${delivery.workspaceId}, ${delivery.sourceType}, ${delivery.sourceId}, ${delivery.stepKey}, ${recipientKey},
          ${delivery.contactId}, ${delivery.address}, ${delivery.recipientName}, ${delivery.addressHash}, ${delivery.messageId},
          ${laneId}, ${streamId}, coalesce((SELECT mx_group FROM mail_domains WHERE domain = ${delivery.emailDomain}), 'other'),
          ${source.class}, ${source.priority}, sally_now(), ${delivery.expiresAt}, ${MAX_ATTEMPTS},
          ${delivery.context === null ? null : JSON.stringify(delivery.context)})
        ON CONFLICT DO NOTHING RETURNING id`,
  );
  return { urgent: true, deliveryId: row?.id ?? null, laneId, wake: row ? await wakeLane(tx, laneId) : false };
}

/** Turns a lane on; true for the one transaction that changed the row, which then signals after its commit. */
export async function wakeLane(tx: Queryable, laneId: string): Promise<boolean> {
  return (await changed(tx, sql`UPDATE lanes SET awake = true WHERE id = ${laneId} AND NOT awake`)) === 1;
}
