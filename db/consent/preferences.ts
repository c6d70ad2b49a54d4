import type { CategoryTranslations, Frequency, UnsubscribeSource } from '../../domain/consent';
import { many, one, type Queryable, sql } from '../../platform/postgres';
import { appendEvent } from '../events';
import { type AuditRecord, writeAudit } from '../workspace';
import { setCategoryPreference } from './categories';
import { noteUnsubscribe } from './unsubscribes';

/** Whose preferences are shown and changed. */
export interface PreferenceContact {
  id: string;
  status: 'ACTIVE' | 'UNSUBSCRIBED' | 'BOUNCED' | 'COMPLAINED';
}

/**
 * The contact of a preference link; after a merge the survivor, so that old links work. With `lock`, changes of one
 * contact happen one after the other.
 */
export function findPreferenceContact(
  db: Queryable,
  workspaceId: string,
  contactId: string,
  lock = false,
): Promise<PreferenceContact | null> {
  const look = sql`SELECT c.id, c.status FROM contacts c WHERE c.workspace_id = ${workspaceId} AND c.erased_at IS NULL
    AND c.id = (SELECT coalesce(merged_into, id) FROM contacts WHERE workspace_id = ${workspaceId} AND id = ${contactId})`;
  return one(db, lock ? sql`${look} FOR UPDATE OF c` : { name: 'preference-contact', ...look });
}

/** One category with what a contact chose; who has chosen nothing gets everything as it appears. */
export interface PreferenceRow {
  category_id: string;
  key: string;
  name: string;
  description: string;
  translations: CategoryTranslations;
  subscribed: boolean;
  frequency: Frequency;
  updated_at: Date | null;
}

/** All categories of the workspace, oldest first, with the contact's choices (none for null). */
export function listPreferences(
  db: Queryable,
  workspaceId: string,
  contactId: string | null,
): Promise<PreferenceRow[]> {
  return many(db, {
    name: 'preferences',
    ...sql`SELECT c.id AS category_id, c.key, c.name, c.description, c.translations,
          coalesce(p.subscribed, true) AS subscribed, coalesce(p.frequency, 'IMMEDIATE') AS frequency, p.updated_at
        FROM preference_categories c
        LEFT JOIN category_preferences p ON p.workspace_id = c.workspace_id AND p.category_id = c.id
          AND p.contact_id = ${contactId}
        WHERE c.workspace_id = ${workspaceId} ORDER BY c.id`,
  });
}

/** A choice about one category; undefined leaves that side of it. */
export interface PreferenceChoice {
  key: string;
  subscribed?: boolean | undefined;
  frequency?: Frequency | undefined;
}

export interface PreferenceChange {
  workspaceId: string;
  contactId: string;
  choices: readonly PreferenceChoice[];
  source: Extract<UnsubscribeSource, 'PREFERENCE_CENTER' | 'API'>;
  actor: AuditRecord['actor'];
  httpRequestId: string;
}

/**
 * Saves choices, all or none, with audit and event; the contact's row must be locked. They count from the next claim on.
 * @returns the first key that is no category, else null
 */
export async function savePreferences(tx: Queryable, change: PreferenceChange): Promise<string | null> {
  const { workspaceId, contactId, choices, source } = change;
  const current = new Map((await listPreferences(tx, workspaceId, contactId)).map((row) => [row.key, row]));
  const unknown = choices.find(({ key }) => !current.has(key));
  if (unknown) return unknown.key;
  const before: Record<string, unknown> = {};
  const after: Record<string, unknown> = {};
  for (const choice of choices) {
    const known = current.get(choice.key);
    if (!known) continue;
    const subscribed = choice.subscribed ?? known.subscribed;
    const frequency = choice.frequency ?? known.frequency;
    if (subscribed === known.subscribed && frequency === known.frequency) continue;
    const categoryId = known.category_id;
    await setCategoryPreference(tx, { workspaceId, contactId, categoryId, subscribed, frequency, source });
    if (known.subscribed && !subscribed) {
      await noteUnsubscribe(tx, { workspaceId, contactId, source, scope: 'CATEGORY', categoryId });
    }
    before[choice.key] = { subscribed: known.subscribed, frequency: known.frequency };
    after[choice.key] = { subscribed, frequency };
  }
  await writeAudit(tx, {
    workspaceId,
    actor: change.actor,
    action: 'preferences.update',
    entityType: 'contact',
    entityId: contactId,
    old: before,
    new: { ...after, source },
    requestId: change.httpRequestId,
  });
  if (Object.keys(after).length > 0) {
    const payload = { categories: after, source };
    await appendEvent(tx, { workspaceId, type: 'preferences_changed', contactId, payload });
  }
  return null;
}
