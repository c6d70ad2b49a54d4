import {
  applySubmission,
  EMPTY_PROFILE,
  type FieldChanges,
  type FieldSnapshot,
  isEmptyChange,
  type Profile,
  type ProfileChanges,
  profileDifference,
  snapshotProblem,
} from '../../domain/contacts';
import { one, type Queryable, sql } from '../../platform/postgres';
import type { PendingProfile } from './opt-in-requests';

/**
 * The contact with this address, made when there is none: with nothing but its address and the custom fields'
 * defaults, for what a visitor types counts only once it is confirmed.
 */
export async function findOrCreateContact(
  tx: Queryable,
  contact: {
    workspaceId: string;
    email: string;
    emailHash: Buffer;
    origin: 'SIGN_UP' | 'SYSTEM';
    status?: 'ACTIVE' | 'UNSUBSCRIBED';
  },
): Promise<{ contactId: string; created: boolean }> {
  const { workspaceId, email } = contact;
  const made = await one<{ id: string; fields: Record<string, unknown> }>(
    tx,
    sql`INSERT INTO contacts (workspace_id, email, email_hash, status, fields)
        SELECT ${workspaceId}, ${email}, ${contact.emailHash}, ${contact.status ?? 'ACTIVE'}, coalesce(
          (SELECT jsonb_object_agg(name, default_value) FROM contact_field_definitions
           WHERE workspace_id = ${workspaceId} AND archived_at IS NULL AND default_value IS NOT NULL), '{}')
        ON CONFLICT (workspace_id, email) DO NOTHING RETURNING id, fields`,
  );
  if (made) {
    const payload = Object.keys(made.fields).length > 0 ? { email, fields: made.fields } : { email };
    await tx.query(sql`INSERT INTO submissions (workspace_id, contact_id, origin, payload)
      VALUES (${workspaceId}, ${made.id}, ${contact.origin}, ${JSON.stringify(payload)})`);
    await tx.query(
      sql`SELECT sally_append_event(${workspaceId}, 'contact_created', ${made.id}, NULL,
            ${JSON.stringify({ origin: contact.origin })}::jsonb)`,
    );
    return { contactId: made.id, created: true };
  }
  const known = await one<{ id: string }>(
    tx,
    sql`SELECT id FROM contacts WHERE workspace_id = ${workspaceId} AND email = ${email}`,
  );
  if (!known) throw new Error('a contact could be neither made nor found');
  return { contactId: known.id, created: false };
}

/**
 * Applies what the visitor typed, now confirmed, as one submission. Values that would make the custom fields larger
 * than allowed are left out rather than losing the confirmation.
 * @returns whether the profile changed
 */
export async function applyPendingProfile(
  tx: Queryable,
  change: { workspaceId: string; contactId: string; requestId: string; profile: PendingProfile },
): Promise<boolean> {
  const { workspaceId, contactId } = change;
  const row = await one<{
    first_name: string;
    last_name: string;
    locale: string | null;
    time_zone: string | null;
    fields: FieldSnapshot;
  }>(
    tx,
    sql`SELECT first_name, last_name, locale, time_zone, fields FROM contacts
        WHERE workspace_id = ${workspaceId} AND id = ${contactId}`,
  );
  if (!row) throw new Error('the contact is gone');
  const before: Profile = {
    ...EMPTY_PROFILE,
    firstName: row.first_name || null,
    lastName: row.last_name || null,
    locale: row.locale,
    timeZone: row.time_zone,
    fields: row.fields,
  };
  let after = applySubmission(before, toChanges(change.profile));
  if (snapshotProblem(after.fields)) after = { ...after, fields: before.fields };
  const changes = profileDifference(before, after);
  if (isEmptyChange(changes)) return false;
  await tx.query(sql`
    UPDATE contacts SET first_name = ${after.firstName ?? ''}, last_name = ${after.lastName ?? ''}, locale = ${after.locale},
      time_zone = ${after.timeZone}, fields = ${JSON.stringify(after.fields)}, version = version + 1, updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${contactId}`);
  await tx.query(sql`INSERT INTO submissions (workspace_id, contact_id, origin, origin_id, payload)
    VALUES (${workspaceId}, ${contactId}, 'SIGN_UP', ${change.requestId}, ${JSON.stringify(toPayload(changes))})`);
  await tx.query(sql`SELECT sally_append_event(${workspaceId}, 'contact_updated', ${contactId}, NULL, '{"origin":"SIGN_UP"}'::jsonb)`);
  return true;
}

/** A person who confirms an opt-in wants mail again. Bounces and complaints are facts about the address and stay. */
export async function reactivateContact(tx: Queryable, workspaceId: string, contactId: string): Promise<boolean> {
  const row = await one(
    tx,
    sql`UPDATE contacts SET status = 'ACTIVE', version = version + 1, updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${contactId} AND status = 'UNSUBSCRIBED' RETURNING 1`,
  );
  return row !== null;
}

function toChanges(profile: PendingProfile): ProfileChanges {
  return {
    firstName: profile.first_name,
    lastName: profile.last_name,
    locale: profile.locale,
    timeZone: profile.time_zone,
    // Checked against the definitions before it was stored.
    fields: profile.fields as FieldChanges | undefined,
  };
}

/** The names of `submissions.payload`. */
function toPayload(changes: ProfileChanges): Record<string, unknown> {
  return {
    ...(changes.firstName !== undefined ? { first_name: changes.firstName } : {}),
    ...(changes.lastName !== undefined ? { last_name: changes.lastName } : {}),
    ...(changes.locale !== undefined ? { locale: changes.locale } : {}),
    ...(changes.timeZone !== undefined ? { time_zone: changes.timeZone } : {}),
    ...(changes.fields !== undefined ? { fields: changes.fields } : {}),
  };
}
