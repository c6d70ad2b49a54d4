import { type Profile, type ProfileChanges, toSubmissionPayload } from '../../domain/contacts';
import { changed, many, type Queryable, sql } from '../../platform/postgres';
import { countEvents } from '../events';
import { isMeanwhile, ProfileConflict } from './conflict';
import { type ContactRow, toProfile } from './contacts';
import { readClock } from './ordered-ids';
import type { ChangeOrigin } from './submissions';

/** What becomes of one contact. */
export interface ProfileWrite {
  kind: 'create' | 'update';
  contactId: string;
  /** After all changes. */
  profile: Profile & { email: string };
  /** Of the address, where it is new; null where it stays. */
  emailHash: Buffer | null;
  /** One submission each, oldest first. */
  changes: readonly ProfileChanges[];
}

/**
 * Writes many contacts with their submissions and events, a statement for each. Rows that are updated must be locked by
 * the caller. A new address of a contact that bounced makes it ACTIVE. Throws ProfileConflict; the caller's savepoint is
 * to be rolled back then.
 *
 * Moments and ids are given, not left to defaults: sally_now() and sally_uuid_v7() cannot be inlined, and seven calls of
 * them for each contact cost as much as all its rows.
 */
export async function writeProfiles(
  tx: Queryable,
  workspaceId: string,
  writes: readonly ProfileWrite[],
  from: ChangeOrigin,
): Promise<void> {
  const created = writes.filter(({ kind }) => kind === 'create');
  const updated = writes.filter(({ kind }) => kind === 'update');
  // The contacts are locked: ids from this moment on are greater than those of all that was submitted before.
  const { now, mintId } = await readClock(tx);
  try {
    if (created.length > 0) {
      await tx.query(sql`
        INSERT INTO contacts (workspace_id, id, email, email_hash, first_name, last_name, locale, time_zone, tags, fields,
          version, created_at, updated_at)
        SELECT ${workspaceId}, w.id, w.email, decode(w.email_hash, 'hex'), w.first_name, w.last_name, w.locale, w.time_zone,
          w.tags, w.fields, w.changes, ${now}::timestamptz, ${now}::timestamptz
        FROM jsonb_to_recordset(${JSON.stringify(created.map(toRecord))}::jsonb) AS ${RECORD}`);
    }
    if (updated.length > 0) {
      const count = await changed(
        tx,
        sql`UPDATE contacts c SET email = w.email, email_hash = coalesce(decode(w.email_hash, 'hex'), c.email_hash),
              status = CASE WHEN c.status = 'BOUNCED' AND c.email <> w.email THEN 'ACTIVE' ELSE c.status END,
              first_name = w.first_name, last_name = w.last_name, locale = w.locale, time_zone = w.time_zone,
              tags = w.tags, fields = w.fields, version = c.version + w.changes,
              updated_at = ${now}::timestamptz
            FROM (SELECT ${workspaceId}::uuid AS workspace_id, *
              FROM jsonb_to_recordset(${JSON.stringify(updated.map(toRecord))}::jsonb) AS ${RECORD} OFFSET 0) w
            WHERE c.workspace_id = w.workspace_id AND c.id = w.id AND c.erased_at IS NULL`,
      );
      if (count !== updated.length) throw new ProfileConflict();
    }
  } catch (error) {
    throw isMeanwhile(error) ? new ProfileConflict() : error;
  }
  const batch = { workspaceId, from, now, mintId };
  await appendSubmissions(tx, batch, writes);
  await appendEvents(tx, batch, created, 'contact_created');
  await appendEvents(tx, batch, updated, 'contact_updated');
}

/** What the rows of a batch have in common. */
interface Batch {
  workspaceId: string;
  from: ChangeOrigin;
  now: string;
  mintId: () => string;
}

const RECORD = sql`w (id uuid, email text, email_hash text, first_name text, last_name text, locale text,
  time_zone text, tags text[], fields jsonb, changes integer)`;

function toRecord({ contactId, profile, emailHash, changes }: ProfileWrite) {
  return {
    id: contactId,
    email: profile.email,
    email_hash: emailHash?.toString('hex') ?? null,
    first_name: profile.firstName ?? '',
    last_name: profile.lastName ?? '',
    locale: profile.locale,
    time_zone: profile.timeZone,
    tags: profile.tags,
    fields: profile.fields,
    changes: changes.length,
  };
}

async function appendSubmissions(
  tx: Queryable,
  { workspaceId, from, now, mintId }: Batch,
  writes: readonly ProfileWrite[],
): Promise<void> {
  const records = writes.flatMap(({ contactId, changes }) =>
    changes.map((change) => ({ id: mintId(), contact_id: contactId, payload: toSubmissionPayload(change) })),
  );
  await tx.query(sql`
    INSERT INTO submissions (workspace_id, id, contact_id, origin, origin_id, payload, actor_id, created_at)
    SELECT ${workspaceId}, s.id, s.contact_id, ${from.origin}, ${from.originId}, s.payload, ${from.actorId}, ${now}::timestamptz
    FROM jsonb_to_recordset(${JSON.stringify(records)}::jsonb) AS s (id uuid, contact_id uuid, payload jsonb)`);
}

async function appendEvents(
  tx: Queryable,
  { workspaceId, from, now, mintId }: Batch,
  writes: readonly ProfileWrite[],
  type: 'contact_created' | 'contact_updated',
): Promise<void> {
  if (writes.length === 0) return;
  // As sally_append_event does; called for each row it would cost as much as the contact's own insert.
  await tx.query(sql`
    INSERT INTO marketing_events (event_id, workspace_id, event_type, contact_id, payload, created_at, received_at)
    SELECT c.event_id, ${workspaceId}, ${type}, c.id, ${JSON.stringify({ origin: from.origin, origin_id: from.originId })}::jsonb,
      ${now}::timestamptz, ${now}::timestamptz
    FROM unnest(${writes.map(mintId)}::uuid[], ${writes.map(({ contactId }) => contactId)}::uuid[]) AS c (event_id, id)`);
  countEvents(type, writes.length);
}

/** A contact as a batch found it. */
export interface HeldContact {
  id: string;
  profile: Profile & { email: string };
}

export function toHeld(row: Parameters<typeof toProfile>[0] & Pick<ContactRow, 'id'>): HeldContact {
  return { id: row.id, profile: { ...toProfile(row), email: row.email } };
}

/** Locks contacts that can be changed, in the order of their ids. */
export async function holdContacts(tx: Queryable, workspaceId: string, ids: readonly string[]): Promise<HeldContact[]> {
  const rows = await many<ContactRow>(
    tx,
    sql`SELECT c.id, c.email, c.first_name, c.last_name, c.locale, c.time_zone, c.tags, c.fields
        FROM (SELECT ${workspaceId}::uuid AS workspace_id, id FROM unnest(${ids}::uuid[]) AS i (id) OFFSET 0) AS given
        JOIN contacts c ON c.workspace_id = given.workspace_id AND c.id = given.id
        WHERE c.erased_at IS NULL ORDER BY c.id FOR UPDATE OF c`,
  );
  return rows.map(toHeld);
}
