import { snapshotProblem } from './fields';
import { MAX_TAGS } from './names-and-tags';
import { type Profile, type ProfileChanges, profileDifference } from './submissions';

type Status = 'ACTIVE' | 'UNSUBSCRIBED' | 'BOUNCED' | 'COMPLAINED';

/** From the least to the most strict. */
const STATUS_ORDER: readonly Status[] = ['ACTIVE', 'BOUNCED', 'UNSUBSCRIBED', 'COMPLAINED'];

/**
 * The status of one person known by two contacts. Having unsubscribed or complained is a fact about the person and
 * follows; that an address bounced says nothing about the other address, so only the survivor's own bounce counts.
 */
export function mergedStatus(survivor: Status, other: Status): Status {
  const inherited = other === 'BOUNCED' ? 'ACTIVE' : other;
  return STATUS_ORDER.indexOf(inherited) > STATUS_ORDER.indexOf(survivor) ? inherited : survivor;
}

/**
 * What a merge changes in the survivor's profile: gaps are filled from the other one, what the survivor says stays. Tags
 * are joined as far as a contact can have them; custom fields are filled in alphabetical order as far as they fit.
 */
export function mergeChanges(survivor: Profile, other: Profile): ProfileChanges {
  const fields = { ...survivor.fields };
  for (const key of Object.keys(other.fields).sort()) {
    const value = other.fields[key];
    if (value === undefined || Object.hasOwn(fields, key)) continue;
    fields[key] = value;
    if (snapshotProblem(fields) !== null) delete fields[key];
  }
  const further = other.tags.filter((tag) => !survivor.tags.includes(tag));
  const room = Math.max(0, MAX_TAGS - survivor.tags.length);
  return profileDifference(survivor, {
    email: survivor.email,
    firstName: survivor.firstName ?? other.firstName,
    lastName: survivor.lastName ?? other.lastName,
    locale: survivor.locale ?? other.locale,
    timeZone: survivor.timeZone ?? other.timeZone,
    tags: [...survivor.tags, ...further.slice(0, room)].sort(),
    fields,
  });
}
