import {
  contactOfDelivery,
  findPageTheme,
  findPreferenceContact,
  findUnsubscribable,
  listPreferences,
  type PreferenceContact,
  type PreferenceRow,
  type UnsubscribableDelivery,
} from '../../db/consent';
import { findWorkspace } from '../../db/workspace';
import { openPreferenceToken } from '../../domain/consent';
import type { Queryable } from '../../platform/postgres';
import { type PageSetting, pageSetting } from '../http/page';
import type { PublicContext } from '../http/route';
import { openUnsubscribeToken } from './links';

/** Whose preferences a link opens. */
export interface PreferenceSubject {
  workspaceId: string;
  workspaceName: string;
  /** Null: a test mail, or an address that is no contact (yet). */
  contact: PreferenceContact | null;
  /** The message whose link was used, if it was one. */
  delivery: UnsubscribableDelivery | null;
  setting: PageSetting;
}

/**
 * Opens the token of a preference link, or the unsubscribe token of a message, and runs `work` in one transaction of
 * its workspace; null when the link is not ours. With `change`, the contact is locked, and made where the message went
 * to an address without one.
 */
export async function withPreferences<T>(
  context: PublicContext,
  token: string,
  mode: 'show' | 'change',
  work: (tx: Queryable, subject: PreferenceSubject) => Promise<T>,
): Promise<T | null> {
  const own = openPreferenceToken(context.deps.keyring, token);
  const message = own ? null : await openUnsubscribeToken(context, token);
  const workspaceId = own?.workspaceId ?? message?.workspaceId;
  if (workspaceId === undefined) return null;
  const lock = mode === 'change';
  return context.deps.db.workspaceTransaction(workspaceId, async (tx) => {
    const delivery = message && (await findUnsubscribable(tx, workspaceId, message.reference));
    if (message && !delivery) return null;
    const known = own?.contactId ?? delivery?.contact_id ?? null;
    const isTest = delivery?.class === 'test';
    const contactId =
      known ?? (lock && delivery && !isTest ? await contactOfDelivery(tx, workspaceId, delivery) : null);
    const contact = contactId === null || isTest ? null : await findPreferenceContact(tx, workspaceId, contactId, lock);
    // Erased since: the link says nothing any more.
    if (contactId !== null && !isTest && contact === null) return null;
    const workspace = await findWorkspace(tx, workspaceId);
    if (!workspace) return null;
    const theme = await findPageTheme(tx, workspaceId);
    const setting = pageSetting(context.raw.request, { locale: workspace.defaultLocale, theme });
    return work(tx, { workspaceId, workspaceName: workspace.name, contact, delivery, setting });
  });
}

/** The categories with the subject's choices. */
export function preferencesOf(tx: Queryable, subject: PreferenceSubject): Promise<PreferenceRow[]> {
  return listPreferences(tx, subject.workspaceId, subject.contact?.id ?? null);
}
