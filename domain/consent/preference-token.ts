import type { Keyring } from '../../platform/crypto';
import { openLinkToken, signLinkToken } from './link-token';

const PURPOSE = 'preferences';

/** Whose preferences a link is about. */
export interface PreferenceReference {
  workspaceId: string;
  contactId: string;
}

/** A contact's own link to the preference centre (spec 003, `preference_token`); it does not expire. */
export function preferencesUrl(keyring: Keyring, publicUrl: string, reference: PreferenceReference): string {
  const token = signLinkToken(keyring, PURPOSE, { workspaceId: reference.workspaceId, id: reference.contactId }, null);
  return `${publicUrl.replace(/\/$/, '')}/preferences/${token}`;
}

/** The reference, or null when the token is cut, altered, of another purpose or of an unknown key. */
export function openPreferenceToken(keyring: Keyring, token: string): PreferenceReference | null {
  const opened = openLinkToken(keyring, PURPOSE, token);
  return opened && { workspaceId: opened.workspaceId, contactId: opened.id };
}
