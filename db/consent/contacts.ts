import {
  applyFieldChanges,
  applySubmission,
  type FieldChanges,
  isEmptyChange,
  type ProfileChanges,
  profileDifference,
  snapshotProblem,
  validateFields,
} from '../../domain/contacts';
import { one, type Queryable, sql } from '../../platform/postgres';
import {
  activeFieldDefinitions,
  changeContact,
  createContact,
  findContactId,
  lockContact,
  toProfile,
} from '../contacts';
import type { PendingProfile } from './opt-in-requests';

/**
 * The contact with this address, made when there is none: with nothing but its address and the custom fields'
 * defaults, for what a visitor types counts only once it is confirmed.
 */
export async function findOrCreateContact(
  tx: Queryable,
  contact: { workspaceId: string; email: string; emailHash: Buffer; origin: 'SIGN_UP' | 'SYSTEM' },
): Promise<{ contactId: string; created: boolean }> {
  const { workspaceId, email, emailHash, origin } = contact;
  // A visitor cannot be asked for required fields that the form does not show.
  const definitions = (await activeFieldDefinitions(tx, workspaceId)).map((field) => ({ ...field, required: false }));
  const defaults = validateFields(definitions, {}, { mode: 'create' });
  const fields = defaults.ok && Object.keys(defaults.fields).length > 0 ? defaults.fields : undefined;
  const made = await createContact(tx, workspaceId, { email, fields }, emailHash, {
    origin,
    originId: null,
    actorId: null,
  });
  if (made) return { contactId: made.id, created: true };
  const contactId = await findContactId(tx, workspaceId, email);
  if (contactId === null) throw new Error('a contact could be neither made nor found');
  return { contactId, created: false };
}

/** What is known of the language in which a contact is to be written to. */
export async function contactLocales(
  db: Queryable,
  workspaceId: string,
  contactId: string,
): Promise<{ contact: string | null; workspace: string | null }> {
  const row = await one<{ contact: string | null; workspace: string | null }>(
    db,
    sql`SELECT c.locale AS contact, w.default_locale AS workspace FROM contacts c JOIN workspaces w ON w.id = c.workspace_id
        WHERE c.workspace_id = ${workspaceId} AND c.id = ${contactId}`,
  );
  return row ?? { contact: null, workspace: null };
}

/**
 * Applies what the visitor typed, now confirmed, as one submission. Custom fields that would take more room than
 * allowed are left out rather than losing the confirmation.
 */
export async function applyPendingProfile(
  tx: Queryable,
  change: { workspaceId: string; contactId: string; requestId: string; profile: PendingProfile },
): Promise<void> {
  const { workspaceId, profile } = change;
  const contact = await lockContact(tx, workspaceId, change.contactId);
  if (!contact) throw new Error('the contact is gone');
  const before = toProfile(contact);
  // Checked against the definitions before it was stored.
  const fields = profile.fields as FieldChanges | undefined;
  const fits = fields === undefined || snapshotProblem(applyFieldChanges(before.fields, fields)) === null;
  const wanted: ProfileChanges = {
    firstName: profile.first_name,
    lastName: profile.last_name,
    locale: profile.locale,
    timeZone: profile.time_zone,
    fields: fits ? fields : undefined,
  };
  const changes = profileDifference(before, applySubmission(before, wanted));
  if (isEmptyChange(changes)) return;
  await changeContact(tx, workspaceId, contact, changes, null, {
    origin: 'SIGN_UP',
    originId: change.requestId,
    actorId: null,
  });
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
