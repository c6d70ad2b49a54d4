import type { PoolClient } from 'pg';
import type { FrequencyLimit } from '../../domain/delivery';
import { many, type Queryable, sql } from '../../platform/postgres';

/** What a claim knows of a contact's limit, as the facts have it. */
export interface FrequencyRow {
  limit: FrequencyLimit;
  zone: string;
  category_id: string;
  /** Milliseconds since 1970. */
  last_ms: number | null;
}

/** A message of a category, to a contact with a limit. */
export interface FrequencyMail {
  sourceId: string;
  deliveryId: string;
  contactId: string;
  categoryId: string;
}

/**
 * Locks the contacts' choices until the end of the claim's transaction, so that no other claim takes the same period, and
 * reads again when each got its last message. By `deliveryId`; absent where the choice is gone.
 */
export async function lockFrequencies(
  tx: PoolClient,
  workspaceId: string,
  mails: readonly FrequencyMail[],
): Promise<Map<string, Date | null>> {
  const contacts = mails.map((mail) => mail.contactId);
  const categories = mails.map((mail) => mail.categoryId);
  await tx.query(sql`
    SELECT 1 FROM category_preferences p WHERE p.workspace_id = ${workspaceId}
      AND (p.contact_id, p.category_id) IN (SELECT * FROM unnest(${contacts}::uuid[], ${categories}::uuid[]))
    ORDER BY p.contact_id, p.category_id FOR NO KEY UPDATE`);
  // A statement of its own: it sees what was committed while this one waited.
  const rows = await many<{ delivery_id: string; last_at: Date | null }>(
    tx,
    sql`SELECT v.delivery_id, (SELECT max(f.taken_at) FROM frequency_units f WHERE f.workspace_id = ${workspaceId}
            AND f.contact_id = v.contact_id AND f.category_id = v.category_id AND f.delivery_id <> v.delivery_id) AS last_at
        FROM unnest(${contacts}::uuid[], ${categories}::uuid[], ${mails.map((mail) => mail.deliveryId)}::uuid[])
          AS v (contact_id, category_id, delivery_id)`,
  );
  return new Map(rows.map((row) => [row.delivery_id, row.last_at]));
}

/** Takes the period of each message's contact. */
export async function takeFrequencyUnits(
  tx: PoolClient,
  workspaceId: string,
  mails: readonly FrequencyMail[],
  now: Date,
): Promise<void> {
  await tx.query(sql`
    INSERT INTO frequency_units (workspace_id, contact_id, category_id, source_id, delivery_id, taken_at)
    SELECT ${workspaceId}, v.contact_id, v.category_id, v.source_id, v.delivery_id, ${now}
    FROM unnest(${mails.map((mail) => mail.contactId)}::uuid[], ${mails.map((mail) => mail.categoryId)}::uuid[],
      ${mails.map((mail) => mail.sourceId)}::uuid[], ${mails.map((mail) => mail.deliveryId)}::uuid[])
      AS v (contact_id, category_id, source_id, delivery_id)
    ON CONFLICT (workspace_id, contact_id, category_id, delivery_id) DO UPDATE SET taken_at = excluded.taken_at`);
}

/** Gives the periods back that messages had taken which were not sent after all. */
export async function returnFrequencyUnits(
  tx: Queryable,
  workspaceId: string,
  deliveryIds: readonly string[],
): Promise<void> {
  if (deliveryIds.length === 0) return;
  await tx.query(sql`
    DELETE FROM frequency_units WHERE workspace_id = ${workspaceId} AND delivery_id = ANY (${deliveryIds}::uuid[])`);
}
