import type { Facts, MessageClass } from '../../domain/delivery';
import { one, type Queryable, type Statement, sql } from '../../platform/postgres';
import { type Evidence, evidenceOver } from './explain';
import { FACTS_COLUMNS, FACTS_JOINS, type FactsRow, toFacts } from './facts';

/** A message that nobody has written: of a class, for a purpose, in a category. */
export interface HypotheticalMessage {
  workspaceId: string;
  contactId: string;
  messageClass: MessageClass;
  purposeId: string | null;
  categoryId: string | null;
}

const NIL = '00000000-0000-0000-0000-000000000000';
const raw = (text: string): Statement => ({ text, values: [] });

/** Ids behind the keys of a purpose and a category; null where none was asked for, undefined where it is unknown. */
export async function findMessageKind(
  db: Queryable,
  workspaceId: string,
  keys: { purpose?: string; category?: string },
): Promise<{ purposeId: string | null | undefined; categoryId: string | null | undefined }> {
  const row = await one<{ purpose_id: string | null; category_id: string | null }>(
    db,
    sql`SELECT (SELECT id FROM purposes WHERE workspace_id = ${workspaceId} AND key = ${keys.purpose ?? null}) AS purpose_id,
          (SELECT id FROM preference_categories WHERE workspace_id = ${workspaceId} AND key = ${keys.category ?? null}) AS category_id`,
  );
  return {
    purposeId: keys.purpose === undefined ? null : (row?.purpose_id ?? undefined),
    categoryId: keys.category === undefined ? null : (row?.category_id ?? undefined),
  };
}

/**
 * The facts of a row that such a message would have, by the claim's own columns and joins. Stream and message are hidden
 * by CTEs of the tables' own types, so that a column which the joins begin to use is there as NULL. Null: no such contact.
 */
export async function explainMessageFacts(
  db: Queryable,
  of: HypotheticalMessage,
): Promise<{ facts: Facts; now: Date } | null> {
  const row = await one<FactsRow & { now: Date } & Record<string, unknown>>(
    db,
    sql`
    WITH messages AS MATERIALIZED (
      SELECT m.* FROM jsonb_populate_record(NULL::public.messages, jsonb_build_object('workspace_id', ${of.workspaceId}::uuid,
        'id', ${NIL}::uuid, 'approval', 'NONE', 'sha256', '', 'purpose_id', ${of.purposeId}::uuid, 'category_id', ${of.categoryId}::uuid)) m),
    streams AS MATERIALIZED (
      SELECT s.* FROM jsonb_populate_record(NULL::public.streams,
        jsonb_build_object('workspace_id', ${of.workspaceId}::uuid, 'id', ${NIL}::uuid, 'state', 'ACTIVE')) s),
    row AS MATERIALIZED (
      SELECT d.* FROM contacts contact CROSS JOIN LATERAL jsonb_populate_record(NULL::public.deliveries,
        jsonb_build_object('workspace_id', contact.workspace_id, 'source_type', 'TEST', 'source_id', ${NIL}::uuid,
          'contact_id', contact.id, 'message_id', ${NIL}::uuid, 'stream_id', ${NIL}::uuid, 'channel', 'email',
          'class', ${of.messageClass}::text)) d
      WHERE contact.workspace_id = ${of.workspaceId} AND contact.id = ${of.contactId} AND contact.erased_at IS NULL)
    SELECT ${raw(FACTS_COLUMNS)}, sally_now() AS now FROM row ${raw(FACTS_JOINS)}`,
  );
  return row && { facts: toFacts(row), now: row.now };
}

/** The records behind those facts. */
export function explainMessageEvidence(db: Queryable, of: HypotheticalMessage): Promise<Evidence> {
  return evidenceOver(
    db,
    of.workspaceId,
    sql`SELECT c.id AS contact_id, c.email_hash, c.email_domain, NULL::uuid AS message_id, NULL::text AS approval,
          ${of.purposeId}::uuid AS purpose_id, ${of.categoryId}::uuid AS category_id
        FROM contacts c WHERE c.workspace_id = ${of.workspaceId} AND c.id = ${of.contactId}`,
  );
}
