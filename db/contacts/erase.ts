import { tombstoneAddress } from '../../domain/contacts/erasure';
import type { AddressHasher } from '../../platform/crypto';
import { many, one, type Queryable, sql } from '../../platform/postgres';
import { appendEvent } from '../events';

/** What an erasure is about. Addresses are kept sealed in the job's row, and only until it is done. */
export interface ErasureSubject {
  /** The contact, and those that were merged into it. */
  contactIds: string[];
  /** Every address that the person is known to have had, unless another contact has it now. */
  addresses: string[];
}

export interface ErasureJob {
  id: string;
  contact_id: string;
  status: 'QUEUED' | 'RUNNING' | 'DONE' | 'FAILED' | 'CANCELLED';
  /** Changed or removed rows by table; null until it is done. */
  counts: Record<string, number> | null;
  created_by: string | null;
  created_at: Date;
  finished_at: Date | null;
}

const COLUMNS = sql`id, input->>'contactId' AS contact_id, status, result->'counts' AS counts, created_by, created_at, finished_at`;

/** Who is erased together with a contact, and the addresses to look for. */
export async function erasureSubject(tx: Queryable, workspaceId: string, contactId: string): Promise<ErasureSubject> {
  const family = await many<{ id: string }>(
    tx,
    sql`SELECT sally_contact_family AS id FROM sally_contact_family(${workspaceId}, ${contactId})`,
  );
  const contactIds = family.map(({ id }) => id);
  const addresses = await many<{ address: string }>(
    tx,
    sql`WITH known (address) AS (
          SELECT email FROM contacts WHERE workspace_id = ${workspaceId} AND id = ANY (${contactIds}::uuid[])
          UNION
          SELECT payload->>'email' FROM submissions WHERE workspace_id = ${workspaceId} AND contact_id = ANY (${contactIds}::uuid[])
          UNION
          SELECT address FROM deliveries WHERE workspace_id = ${workspaceId} AND contact_id = ANY (${contactIds}::uuid[]))
        SELECT address FROM known k
        WHERE address LIKE '%@%' AND address NOT LIKE '%@%.invalid' AND NOT EXISTS (
          SELECT 1 FROM contacts c WHERE c.workspace_id = ${workspaceId} AND c.email = k.address
            AND NOT c.id = ANY (${contactIds}::uuid[]))
        ORDER BY address`,
  );
  return { contactIds, addresses: addresses.map(({ address }) => address) };
}

/**
 * Closes a contact for good, in the transaction of the request: its row becomes a tombstone, so that no message begins
 * any more, and its addresses are suppressed by their keyed hashes, so that neither a re-import nor another way back in
 * mails them. The rest is the job's. The contact's row must be locked.
 *
 * @param sealed the subject's addresses, encrypted; the job's row holds nothing else about them
 */
export async function beginErasure(
  tx: Queryable,
  erasure: {
    workspaceId: string;
    contactId: string;
    subject: ErasureSubject;
    sealed: Buffer;
    hasher: AddressHasher;
    createdBy: string;
  },
): Promise<ErasureJob> {
  const { workspaceId, contactId, subject, hasher } = erasure;
  for (const id of subject.contactIds) {
    const tombstone = tombstoneAddress(id);
    await tx.query(sql`
      UPDATE contacts SET email = ${tombstone}, email_hash = ${hasher.hash(tombstone)}, first_name = '', last_name = '',
        locale = NULL, time_zone = NULL, tags = '{}', fields = '{}', erased_at = coalesce(erased_at, sally_now()),
        version = version + 1, updated_at = sally_now()
      WHERE workspace_id = ${workspaceId} AND id = ${id}`);
  }
  // What leads to the person ends at once: an upsert by an external id makes a new contact from now on.
  const mine = sql`workspace_id = ${workspaceId} AND contact_id = ANY (${subject.contactIds}::uuid[])`;
  await tx.query(sql`DELETE FROM merged_addresses WHERE ${mine}`);
  await tx.query(sql`DELETE FROM contact_identities WHERE ${mine}`);
  await tx.query(sql`
    INSERT INTO suppressions (workspace_id, address_hash, hint, reason, source, note, created_by)
    SELECT ${workspaceId}, hash, '(erased)', 'MANUAL', 'API', 'The person was erased.', ${erasure.createdBy}
    FROM unnest(${subject.addresses.map((address) => hasher.hash(address))}::bytea[]) AS erased (hash)
    ON CONFLICT (workspace_id, address_hash) WHERE address_hash IS NOT NULL DO UPDATE SET state = 'ACTIVE',
      hint = excluded.hint, note = excluded.note, evidence = '{}'`);
  const job = await one<ErasureJob & Record<string, unknown>>(
    tx,
    sql`INSERT INTO jobs (workspace_id, kind, input, cursor, created_by)
        VALUES (${workspaceId}, 'eraseContact', ${JSON.stringify({ contactId, contactIds: subject.contactIds })},
          jsonb_build_object('sealed', ${erasure.sealed.toString('base64')}::text, 'transaction', pg_current_xact_id()::text),
          ${erasure.createdBy})
        RETURNING ${COLUMNS}`,
  );
  if (!job) throw new Error('an erasure could not be begun');
  await appendEvent(tx, { workspaceId, type: 'contact_erased', contactId, payload: {} });
  return job;
}

export function findErasure(db: Queryable, workspaceId: string, id: string): Promise<ErasureJob | null> {
  return one<ErasureJob & Record<string, unknown>>(
    db,
    sql`SELECT ${COLUMNS} FROM jobs WHERE workspace_id = ${workspaceId} AND id = ${id} AND kind = 'eraseContact'`,
  );
}

/** Erasures, newest first, one more than `limit`. */
export function listErasures(
  db: Queryable,
  workspaceId: string,
  page: { before: string | null; limit: number },
): Promise<ErasureJob[]> {
  return many<ErasureJob & Record<string, unknown>>(
    db,
    sql`SELECT ${COLUMNS} FROM jobs
        WHERE workspace_id = ${workspaceId} AND kind = 'eraseContact'
          AND (${page.before}::uuid IS NULL OR id < ${page.before}::uuid)
        ORDER BY id DESC LIMIT ${page.limit + 1}`,
  );
}

/** What the job goes by. */
export interface OpenErasure {
  contactId: string;
  contactIds: string[];
  sealed: Buffer;
  /** Whether every transaction that was open when the contact was closed has ended. */
  horizonPassed: boolean;
}

/** The job, now RUNNING; null when it has ended, or is none. */
export async function openErasure(db: Queryable, workspaceId: string, id: string): Promise<OpenErasure | null> {
  const row = await one<{ contact_id: string; contact_ids: string[]; sealed: string; passed: boolean }>(
    db,
    sql`UPDATE jobs SET status = 'RUNNING', started_at = coalesce(started_at, sally_now())
        WHERE workspace_id = ${workspaceId} AND id = ${id} AND kind = 'eraseContact' AND status IN ('QUEUED', 'RUNNING')
        RETURNING input->>'contactId' AS contact_id, ARRAY(SELECT jsonb_array_elements_text(input->'contactIds')) AS contact_ids,
          cursor->>'sealed' AS sealed,
          pg_snapshot_xmin(pg_current_snapshot()) > (cursor->>'transaction')::xid8 AS passed`,
  );
  if (!row) return null;
  const { contact_id: contactId, contact_ids: contactIds, passed: horizonPassed } = row;
  return { contactId, contactIds, sealed: Buffer.from(row.sealed, 'base64'), horizonPassed };
}

/** Ends the job and forgets what it was looking for. False: it had ended before. */
export async function finishErasure(
  tx: Queryable,
  workspaceId: string,
  id: string,
  counts: Record<string, number>,
): Promise<boolean> {
  const row = await one(
    tx,
    sql`UPDATE jobs SET status = 'DONE', finished_at = sally_now(), cursor = '{}', result = ${JSON.stringify({ counts })}
        WHERE workspace_id = ${workspaceId} AND id = ${id} AND kind = 'eraseContact' AND status = 'RUNNING' RETURNING 1`,
  );
  return row !== null;
}
