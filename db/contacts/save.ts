import {
  applySubmission,
  EMPTY_PROFILE,
  isEmptyChange,
  type Profile,
  type ProfileChanges,
} from '../../domain/contacts';
import { one, type Queryable, sql } from '../../platform/postgres';
import { appendEvent } from '../events';
import { type ContactRow, findContact, toProfile } from './contacts';
import { appendSubmission, type ChangeOrigin } from './submissions';

/**
 * Makes a contact from its first submission, which must give the address, with the event contact_created. Null: a
 * contact with this address exists already. All values are normalised and checked.
 */
export async function createContact(
  tx: Queryable,
  workspaceId: string,
  changes: ProfileChanges & { email: string },
  emailHash: Buffer,
  from: ChangeOrigin,
): Promise<ContactRow | null> {
  const profile = applySubmission(EMPTY_PROFILE, changes);
  const made = await one<{ id: string }>(
    tx,
    sql`INSERT INTO contacts (workspace_id, email, email_hash, first_name, last_name, locale, time_zone, tags, fields)
        VALUES (${workspaceId}, ${changes.email}, ${emailHash}, ${profile.firstName ?? ''}, ${profile.lastName ?? ''},
          ${profile.locale}, ${profile.timeZone}, ${profile.tags}, ${JSON.stringify(profile.fields)})
        ON CONFLICT (workspace_id, email) DO NOTHING RETURNING id`,
  );
  if (!made) return null;
  await appendSubmission(tx, workspaceId, made.id, changes, from);
  await appendContactEvent(tx, workspaceId, made.id, 'contact_created', from);
  return findContact(tx, workspaceId, made.id);
}

/**
 * Changes a locked contact (`lockContact`) by one submission, with the event contact_updated; nothing is written when
 * nothing changes. A new address of a contact that bounced makes it ACTIVE: it was the address that bounced. A change
 * to an address that another contact has violates the unique constraint.
 *
 * @param emailHash of the new address; null where the address does not change
 */
export async function changeContact(
  tx: Queryable,
  workspaceId: string,
  contact: ContactRow,
  changes: ProfileChanges,
  emailHash: Buffer | null,
  from: ChangeOrigin,
): Promise<ContactRow> {
  if (isEmptyChange(changes)) return contact;
  const profile: Profile = applySubmission(toProfile(contact), changes);
  await tx.query(sql`
    UPDATE contacts SET email = ${profile.email}, email_hash = coalesce(${emailHash}, email_hash),
      status = CASE WHEN status = 'BOUNCED' AND email <> ${profile.email} THEN 'ACTIVE' ELSE status END,
      first_name = ${profile.firstName ?? ''}, last_name = ${profile.lastName ?? ''}, locale = ${profile.locale},
      time_zone = ${profile.timeZone}, tags = ${profile.tags}, fields = ${JSON.stringify(profile.fields)},
      version = version + 1, updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${contact.id}`);
  await appendSubmission(tx, workspaceId, contact.id, changes, from);
  await appendContactEvent(tx, workspaceId, contact.id, 'contact_updated', from);
  const saved = await findContact(tx, workspaceId, contact.id);
  if (!saved) throw new Error('a contact vanished while it was locked');
  return saved;
}

async function appendContactEvent(
  tx: Queryable,
  workspaceId: string,
  contactId: string,
  type: 'contact_created' | 'contact_updated',
  from: ChangeOrigin,
): Promise<void> {
  await appendEvent(tx, {
    workspaceId,
    type,
    contactId,
    payload: { origin: from.origin, origin_id: from.originId },
  });
}
