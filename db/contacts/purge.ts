import { addressSpellings } from '../../domain/contacts/erasure';
import { changed, many, one, type Queryable, type Statement, sql } from '../../platform/postgres';
import type { ErasureSubject } from './erase';

/** Counter row of what erasing changes in the ledger. */
const ERASURE_PROCESS = '00000000-0000-7000-8000-000000000002';

/** Changed or removed rows by table. */
export type PurgeCounts = Record<string, number>;

/** A person in the words of the statements below. */
export interface PurgeTarget extends ErasureSubject {
  workspaceId: string;
  /** Keyed hashes of the addresses. */
  hashes: Buffer[];
}

function spellings(target: PurgeTarget): string[] {
  return target.addresses.flatMap(addressSpellings);
}

/** Whether a text in lower case holds one of the addresses. */
function holdsAddress(target: PurgeTarget, text: Statement): Statement {
  return sql`EXISTS (SELECT FROM unnest(${spellings(target)}::text[]) AS needle (text) WHERE position(needle.text IN ${text}) > 0)`;
}

/**
 * The ledger: what waits for an address that is no contact's is closed, then address, name and context go from every
 * row that is not on the wire; rows of contacts that wait are failed by the claim (CONTACT_ERASED). Returns how many
 * rows are on the wire and have to be looked at again.
 */
export async function purgeLedger(tx: Queryable, target: PurgeTarget, counts: PurgeCounts): Promise<number> {
  const { workspaceId, contactIds, hashes } = target;
  const ofPerson = [
    sql`d.workspace_id = ${workspaceId} AND d.contact_id = ANY (${contactIds}::uuid[])`,
    sql`d.workspace_id = ${workspaceId} AND d.contact_id IS NULL AND d.address_hash = ANY (${hashes}::bytea[])`,
  ];
  await tx.query(sql`
    WITH closed AS (
      UPDATE deliveries d SET status = CASE status WHEN 'QUEUED' THEN 'CANCELLED' ELSE 'FAILED' END, reason = 'CONTACT_ERASED'
      WHERE ${ofPerson[1]} AND d.status IN ('QUEUED', 'UNCONFIRMED')
      RETURNING d.stream_id, d.status)
    INSERT INTO run_counters AS r (workspace_id, stream_id, process_id, queued, cancelled, unconfirmed, failed)
    SELECT ${workspaceId}, stream_id, ${ERASURE_PROCESS}, -count(*) FILTER (WHERE status = 'CANCELLED'),
      count(*) FILTER (WHERE status = 'CANCELLED'), -count(*) FILTER (WHERE status = 'FAILED'), count(*) FILTER (WHERE status = 'FAILED')
    FROM closed GROUP BY stream_id
    ON CONFLICT (stream_id, process_id, slot) DO UPDATE SET queued = r.queued + excluded.queued,
      cancelled = r.cancelled + excluded.cancelled, unconfirmed = r.unconfirmed + excluded.unconfirmed,
      failed = r.failed + excluded.failed`);
  let sending = 0;
  for (const rows of ofPerson) {
    add(
      counts,
      'deliveries',
      await changed(
        tx,
        sql`UPDATE deliveries d SET address = NULL, recipient_name = NULL, context = NULL
          WHERE ${rows} AND d.status <> 'SENDING' AND num_nonnulls(d.address, d.recipient_name, d.context) > 0`,
      ),
    );
    add(
      counts,
      'delivery_attempts',
      await changed(
        tx,
        sql`UPDATE delivery_attempts a SET diagnostic = NULL FROM deliveries d
          WHERE ${rows} AND a.source_id = d.source_id AND a.delivery_id = d.id AND a.diagnostic IS NOT NULL`,
      ),
    );
    const left = await one<{ n: number }>(
      tx,
      sql`SELECT count(*) AS n FROM deliveries d WHERE ${rows} AND d.status = 'SENDING'`,
    );
    sending += left?.n ?? 0;
  }
  return sending;
}

/** Everything about the person that may be changed or removed as it is. */
export async function purgeRecords(tx: Queryable, target: PurgeTarget, counts: PurgeCounts): Promise<void> {
  const { workspaceId, contactIds, hashes } = target;
  const mine = sql`workspace_id = ${workspaceId} AND contact_id = ANY (${contactIds}::uuid[])`;
  const count = async (table: string, statement: Statement) => add(counts, table, await changed(tx, statement));
  await count(
    'opt_in_requests',
    sql`UPDATE opt_in_requests SET profile = '{}', ip_address = NULL, user_agent = NULL, updated_at = sally_now(),
          status = CASE status WHEN 'OPEN' THEN 'CANCELLED' ELSE status END WHERE ${mine}`,
  );
  await count(
    'gate_grants',
    sql`UPDATE gate_grants SET submitted = '{}', status = CASE status WHEN 'GRANTED' THEN 'REVOKED' ELSE status END,
          revoked_at = coalesce(revoked_at, sally_now()) WHERE ${mine}`,
  );
  await count('contact_identities', sql`DELETE FROM contact_identities WHERE ${mine}`);
  await count('contact_attributes', sql`DELETE FROM contact_attributes WHERE ${mine}`);
  await count('category_preferences', sql`DELETE FROM category_preferences WHERE ${mine}`);
  await count('contact_engagements', sql`DELETE FROM contact_engagements WHERE ${mine}`);
  await count('contact_engagement_details', sql`DELETE FROM contact_engagement_details WHERE ${mine}`);
  await count('contact_receipts', sql`DELETE FROM contact_receipts WHERE ${mine}`);
  await count(
    'audience_members',
    sql`WITH removed AS (DELETE FROM audience_members WHERE ${mine} RETURNING audience_id),
          counted AS (SELECT audience_id, count(*) AS n FROM removed GROUP BY 1)
        UPDATE audiences a SET member_count = a.member_count - c.n FROM counted c
        WHERE a.workspace_id = ${workspaceId} AND a.id = c.audience_id`,
  );
  await count(
    'import_dry_run_profiles',
    sql`DELETE FROM import_dry_run_profiles WHERE workspace_id = ${workspaceId} AND email_hash = ANY (${hashes}::bytea[])`,
  );
  await count(
    'alerts',
    sql`UPDATE alerts SET message = '(erased)', details = '{}'
        WHERE workspace_id = ${workspaceId} AND ${holdsAddress(target, sql`lower(concat(message, details))`)}`,
  );
  await tx.query(sql`
    UPDATE workspaces SET test_recipients = ARRAY(
      SELECT t FROM unnest(test_recipients) AS t WHERE NOT lower(t) = ANY (${spellings(target)}::text[]))
    WHERE id = ${workspaceId} AND test_recipients && ${target.addresses}::text[]`);
}

/** Stored answers of earlier requests: they would be given again, with the contact in them. */
export async function purgeStoredAnswers(tx: Queryable, target: PurgeTarget, counts: PurgeCounts): Promise<void> {
  add(
    counts,
    'idempotency_keys',
    await changed(
      tx,
      sql`DELETE FROM idempotency_keys WHERE workspace_id = ${target.workspaceId} AND response_body IS NOT NULL
          AND (EXISTS (SELECT FROM unnest(${target.contactIds}::text[]) AS c (id) WHERE position(c.id IN response_body::text) > 0)
            OR ${holdsAddress(target, sql`lower(response_body::text)`)})`,
    ),
  );
}

/** Ids of the workspace's imports that rejected rows. */
export async function importsWithRejections(db: Queryable, workspaceId: string): Promise<string[]> {
  const rows = await many<{ id: string }>(
    db,
    sql`SELECT j.id FROM jobs j WHERE j.workspace_id = ${workspaceId} AND j.kind = 'importContacts' AND EXISTS (
          SELECT 1 FROM import_rejections r WHERE r.workspace_id = j.workspace_id AND r.job_id = j.id)`,
  );
  return rows.map(({ id }) => id);
}

/** Rejected rows of one import: number and reason stay, the cells go. */
export async function purgeRejections(
  tx: Queryable,
  target: PurgeTarget,
  jobId: string,
  counts: PurgeCounts,
): Promise<void> {
  add(
    counts,
    'import_rejections',
    await changed(
      tx,
      sql`UPDATE import_rejections SET cells = '[]', message = '(erased)'
        WHERE workspace_id = ${target.workspaceId} AND job_id = ${jobId}
          AND ${holdsAddress(target, sql`lower(concat(message, cells))`)}`,
    ),
  );
}

/** Tables that are append-only for everybody else (migration 0017). */
export async function purgeHistory(tx: Queryable, target: PurgeTarget, counts: PurgeCounts): Promise<void> {
  const row = await one<{ counts: PurgeCounts }>(
    tx,
    sql`SELECT sally_erase_history(${target.workspaceId}, ${target.contactIds}::uuid[], ${target.hashes}::bytea[]) AS counts`,
  );
  for (const [table, rows] of Object.entries(row?.counts ?? {})) add(counts, table, rows);
}

/** Audit rows looked at by one statement. */
const AUDIT_SLICE = 5_000;

/** A slice of the audit trail behind `after`; returns where the next one begins, null at the end. */
export async function purgeAudit(
  tx: Queryable,
  target: PurgeTarget,
  after: string,
  counts: PurgeCounts,
): Promise<string | null> {
  const row = await one<{ last: string | null; erased: number }>(
    tx,
    sql`SELECT last, erased FROM sally_erase_audit(${target.workspaceId}, ${target.contactIds}::uuid[],
          ${spellings(target)}::text[], ${after}::uuid, ${AUDIT_SLICE})`,
  );
  add(counts, 'audit_log', row?.erased ?? 0);
  return row?.last ?? null;
}

/** A file in the database: an upload, or what an export wrote. */
export interface StoredFile {
  kind: 'upload' | 'export';
  id: string;
  /** A job reads or writes it. */
  inUse: boolean;
}

/** Every file of the workspace that may name people. */
export async function storedFiles(db: Queryable, workspaceId: string): Promise<StoredFile[]> {
  const rows = await many<{ kind: StoredFile['kind']; id: string; in_use: boolean }>(
    db,
    sql`SELECT 'upload' AS kind, u.id, EXISTS (
            SELECT 1 FROM jobs j WHERE j.workspace_id = u.workspace_id AND j.kind = 'importContacts'
              AND j.status IN ('QUEUED', 'RUNNING') AND j.input->>'uploadId' = u.id::text) AS in_use
          FROM uploads u WHERE u.workspace_id = ${workspaceId}
        UNION ALL
        SELECT 'export', j.id, j.status IN ('QUEUED', 'RUNNING') FROM jobs j
          WHERE j.workspace_id = ${workspaceId} AND j.kind IN ('exportContact', 'exportContacts')
            AND (j.status IN ('QUEUED', 'RUNNING') OR EXISTS (
              SELECT 1 FROM export_chunks c WHERE c.workspace_id = j.workspace_id AND c.job_id = j.id))`,
  );
  return rows.map(({ kind, id, in_use: inUse }) => ({ kind, id, inUse }));
}

/** One piece of a file, or null behind the last one. */
export async function readFilePiece(
  db: Queryable,
  workspaceId: string,
  file: StoredFile,
  position: number,
): Promise<Buffer | null> {
  const row = await one<{ data: Buffer }>(
    db,
    file.kind === 'upload'
      ? sql`SELECT data FROM upload_chunks WHERE workspace_id = ${workspaceId} AND upload_id = ${file.id} AND position = ${position}`
      : sql`SELECT data FROM export_chunks WHERE workspace_id = ${workspaceId} AND job_id = ${file.id} AND position = ${position}`,
  );
  return row?.data ?? null;
}

/** Removes a file; of an export the job stays and says why its file is gone. */
export async function removeFile(
  tx: Queryable,
  workspaceId: string,
  file: StoredFile,
  counts: PurgeCounts,
): Promise<void> {
  if (file.kind === 'upload') {
    await tx.query(sql`DELETE FROM uploads WHERE workspace_id = ${workspaceId} AND id = ${file.id}`);
    add(counts, 'uploads', 1);
    return;
  }
  await tx.query(sql`DELETE FROM export_chunks WHERE workspace_id = ${workspaceId} AND job_id = ${file.id}`);
  await tx.query(sql`
    UPDATE jobs SET result = coalesce(result, '{}') || '{"removed": "ERASURE"}' WHERE workspace_id = ${workspaceId} AND id = ${file.id}`);
  add(counts, 'exports', 1);
}

function add(counts: PurgeCounts, table: string, rows: number): void {
  counts[table] = (counts[table] ?? 0) + rows;
}
