import type { PoolClient } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { type Profile, type ProfileChanges, toSubmissionPayload } from '../../domain/contacts';
import { changed, many, sql } from '../../platform/postgres';
import { appendEvent } from '../events';
import { isMeanwhile } from './conflict';
import { type ContactRow, toProfile } from './contacts';
import { copyBytes, copyCell, copyTextArray } from './copy-text';
import { lookUpOnly } from './look-up-only';
import { type BatchClock, readClock } from './ordered-ids';

/** Somebody else changed a contact of the batch between its reading and its writing: do the batch again. */
export class ImportConflict extends Error {
  constructor() {
    super('a contact of the batch was changed by somebody else');
    this.name = 'ImportConflict';
  }
}

/** A contact as the batch found it. */
export interface KnownContact {
  id: string;
  version: number;
  profile: Profile;
}

export interface BatchStart extends BatchClock {
  /** By normalised address. */
  known: Map<string, KnownContact>;
}

/**
 * Reads what the workspace knows of these addresses. As a rule it locks nothing, and a row that changes meanwhile is a
 * conflict later; with `lock`, for a batch that met one, others wait.
 */
export async function beginImportBatch(
  tx: PoolClient,
  workspaceId: string,
  emails: readonly string[],
  lock: boolean,
): Promise<BatchStart> {
  await lookUpOnly(tx);
  // No normalised address holds a line break, and one text is much cheaper to bind than an array.
  const look = sql`SELECT c.id, c.email, c.first_name, c.last_name, c.locale, c.time_zone, c.tags, c.fields, c.version
    FROM (SELECT ${workspaceId}::uuid AS workspace_id, email
      FROM unnest(string_to_array(${emails.join('\n')}, E'\n')) AS e (email) OFFSET 0) AS given
    JOIN contacts c ON c.workspace_id = given.workspace_id AND c.email = given.email`;
  const rows = await many<Omit<ContactRow, 'status' | 'created_at' | 'updated_at'>>(
    tx,
    lock ? sql`${look} ORDER BY c.id FOR UPDATE OF c` : look,
  );
  // After the look: ids minted from this moment are greater than those of every change that was seen.
  const clock = await readClock(tx);
  const known = new Map(
    rows.map((row) => [row.email, { id: row.id, version: row.version, profile: toProfile(row) }] as const),
  );
  return { ...clock, known };
}

/** One change by one row of the file. */
export interface StagedChange {
  row: number;
  contactId: string;
  submissionId: string;
  changes: ProfileChanges;
  /** What becomes of the contact; only at its last change of the batch. */
  write: StagedContact | null;
}

export interface StagedContact {
  kind: 'create' | 'update';
  email: string;
  emailHash: Buffer;
  profile: Profile;
  /** Version in the database; 0 where there is no contact. */
  version: number;
  newVersion: number;
}

/**
 * Writes a batch's contacts and submissions: one COPY into a temporary table (row-level security refuses COPY into the
 * tables themselves), then one statement each. Throws ImportConflict.
 */
export async function writeImportBatch(
  tx: PoolClient,
  batch: { workspaceId: string; jobId: string; now: string; staged: readonly StagedChange[] },
): Promise<void> {
  const { workspaceId, jobId, now, staged } = batch;
  if (staged.length === 0) return;
  await tx.query(`
    CREATE TEMPORARY TABLE IF NOT EXISTS staged_import (
      contact_id uuid, submission_id uuid, row_number integer, payload jsonb, kind text, version integer,
      new_version integer, email text COLLATE "C", email_hash bytea, first_name text, last_name text, locale text,
      time_zone text, tags text[], fields jsonb
    ) ON COMMIT DELETE ROWS`);
  await copyStaged(tx, staged);
  const writes = staged.flatMap(({ write }) => (write === null ? [] : [write.kind]));
  const updates = writes.filter((kind) => kind === 'update').length;
  try {
    if (writes.length > updates) {
      await tx.query(sql`
        INSERT INTO contacts (workspace_id, id, email, email_hash, first_name, last_name, locale, time_zone, tags, fields,
          version, created_at, updated_at)
        SELECT ${workspaceId}, contact_id, email, email_hash, first_name, last_name, locale, time_zone, tags, fields,
          new_version, ${now}::timestamptz, ${now}::timestamptz
        FROM staged_import WHERE kind = 'create'`);
    }
    if (updates > 0) {
      const updated = await changed(
        tx,
        sql`UPDATE contacts c SET first_name = s.first_name, last_name = s.last_name, locale = s.locale,
              time_zone = s.time_zone, tags = s.tags, fields = s.fields, version = s.new_version,
              updated_at = ${now}::timestamptz
            FROM (SELECT ${workspaceId}::uuid AS workspace_id, * FROM staged_import WHERE kind = 'update' OFFSET 0) s
            WHERE c.workspace_id = s.workspace_id AND c.id = s.contact_id AND c.version = s.version`,
      );
      if (updated !== updates) throw new ImportConflict();
    }
  } catch (error) {
    throw isMeanwhile(error) ? new ImportConflict() : error;
  }
  await tx.query(sql`
    INSERT INTO submissions (workspace_id, id, contact_id, origin, origin_id, origin_row, payload, created_at)
    SELECT ${workspaceId}, submission_id, contact_id, 'IMPORT', ${jobId}, row_number, payload, ${now}::timestamptz
    FROM staged_import`);
}

async function copyStaged(tx: PoolClient, staged: readonly StagedChange[]): Promise<void> {
  const lines: string[] = [];
  for (const { row, contactId, submissionId, changes, write } of staged) {
    const start = `${contactId}\t${submissionId}\t${row}\t`;
    if (write === null) {
      lines.push(`${start}${copyCell(JSON.stringify(toSubmissionPayload(changes)))}${NO_CONTACT}`);
      continue;
    }
    // A new contact's fields are its submission's: one serialisation serves both.
    const fields = JSON.stringify(write.profile.fields);
    const payload =
      changes.fields === write.profile.fields
        ? payloadWith(changes, fields)
        : JSON.stringify(toSubmissionPayload(changes));
    lines.push(`${start}${copyCell(payload)}\t${copyContact(write, fields)}`);
  }
  const stream = tx.query(copyFrom('COPY staged_import FROM STDIN'));
  await new Promise<void>((resolve, reject) => {
    stream.once('finish', resolve);
    stream.once('error', reject);
    stream.end(`${lines.join('\n')}\n`);
  });
}

const NO_CONTACT = '\t\\N'.repeat(11);

/** The payload of changes with fields that are JSON already. */
function payloadWith(changes: ProfileChanges, fields: string): string {
  const rest = JSON.stringify(toSubmissionPayload({ ...changes, fields: undefined }));
  return `${rest.slice(0, -1)}${rest === '{}' ? '' : ','}"fields":${fields}}`;
}

function copyContact({ kind, version, newVersion, email, emailHash, profile }: StagedContact, fields: string): string {
  return (
    `${kind}\t${version}\t${newVersion}\t${copyCell(email)}\t${copyBytes(emailHash)}` +
    `\t${copyCell(profile.firstName ?? '')}\t${copyCell(profile.lastName ?? '')}\t${copyCell(profile.locale)}` +
    `\t${copyCell(profile.timeZone)}\t${copyTextArray(profile.tags)}\t${copyCell(fields)}`
  );
}

/** A contact of the batch and the first row that named it. */
export interface ImportedRow {
  contactId: string;
  row: number;
}

/**
 * Records the consent that the import states, for contacts that have said nothing about the purpose yet: who refused,
 * revoked or still has to confirm is left as they are (design, section 5). The basis that the import states is kept
 * beside the proof. Returns how many were granted.
 */
export async function grantImportedConsent(
  tx: PoolClient,
  batch: { workspaceId: string; jobId: string; purposeId: string; now: string; rows: readonly ImportedRow[] },
): Promise<number> {
  const { workspaceId, jobId, purposeId, now, rows } = batch;
  return changed(
    tx,
    sql`WITH given AS (
          SELECT * FROM unnest(${rows.map(({ contactId }) => contactId)}::uuid[], ${rows.map(({ row }) => row)}::integer[])
            AS g (contact_id, row_number)),
        basis AS (
          INSERT INTO consent_bases (workspace_id, import_job_id, purpose_id, statement, file_name, file_sha256, declared_by, declared_at)
          SELECT j.workspace_id, j.id, ${purposeId}, j.input->'consent'->>'statement', u.filename, u.sha256, j.created_by, j.created_at
          FROM jobs j JOIN uploads u ON u.workspace_id = j.workspace_id AND u.id = (j.input->>'uploadId')::uuid
          WHERE j.workspace_id = ${workspaceId} AND j.id = ${jobId} ON CONFLICT DO NOTHING),
        granted AS (
          INSERT INTO consents (workspace_id, contact_id, channel, purpose_id, status, granted_at, source, updated_at)
          SELECT ${workspaceId}, contact_id, 'email', ${purposeId}, 'granted', ${now}::timestamptz, 'import', ${now}::timestamptz
          FROM given ON CONFLICT DO NOTHING RETURNING contact_id)
        INSERT INTO consent_events (workspace_id, contact_id, purpose_id, status, source, import_job_id, import_row, occurred_at)
        SELECT ${workspaceId}, contact_id, ${purposeId}, 'granted', 'import', ${jobId}, row_number, ${now}::timestamptz
        FROM granted JOIN given USING (contact_id)`,
  );
}

/**
 * Tells consumers of a batch. One event, not one per contact: each change is a submission already, and nothing is
 * stored twice (design, section 5).
 */
export async function appendImportEvent(
  tx: PoolClient,
  workspaceId: string,
  event: {
    job_id: string;
    first_row: number;
    last_row: number;
    created: number;
    updated: number;
    consents_granted: number;
  },
): Promise<void> {
  await appendEvent(tx, { workspaceId, type: 'contacts_imported', payload: event });
}
