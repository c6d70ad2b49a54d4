import { applyFieldChanges, type FieldChanges, type FieldSnapshot } from './fields';

/**
 * A contact's profile is the fold of its submissions (spec 000: raw values stay append-only, so that the profile can
 * be audited or rebuilt). This fold is the only definition of what a submission does; what is stored in `contacts` is
 * its result, kept for reading.
 */
export interface Profile {
  readonly email: string | null;
  readonly firstName: string | null;
  readonly lastName: string | null;
  readonly locale: string | null;
  readonly timeZone: string | null;
  /** Different, in alphabetical order. */
  readonly tags: readonly string[];
  readonly fields: FieldSnapshot;
}

/** What a submission changes; absent means unchanged, null removes. All values are already normalised and checked. */
export interface ProfileChanges {
  readonly email?: string | undefined;
  readonly firstName?: string | null | undefined;
  readonly lastName?: string | null | undefined;
  readonly locale?: string | null | undefined;
  readonly timeZone?: string | null | undefined;
  /** Applied in this order: `set` replaces all, then `add`, then `remove`. */
  readonly tags?: TagChanges | undefined;
  readonly fields?: FieldChanges | undefined;
}

export interface TagChanges {
  readonly set?: readonly string[] | undefined;
  readonly add?: readonly string[] | undefined;
  readonly remove?: readonly string[] | undefined;
}

export const EMPTY_PROFILE: Profile = {
  email: null,
  firstName: null,
  lastName: null,
  locale: null,
  timeZone: null,
  tags: [],
  fields: {},
};

/** The profile after one submission. */
export function applySubmission(profile: Profile, changes: ProfileChanges): Profile {
  return {
    email: changed(profile.email, changes.email),
    firstName: changed(profile.firstName, changes.firstName),
    lastName: changed(profile.lastName, changes.lastName),
    locale: changed(profile.locale, changes.locale),
    timeZone: changed(profile.timeZone, changes.timeZone),
    tags: changes.tags === undefined ? profile.tags : applyTagChanges(profile.tags, changes.tags),
    fields: changes.fields === undefined ? profile.fields : applyFieldChanges(profile.fields, changes.fields),
  };
}

/** The profile that a contact's submissions make, oldest first. */
export function rebuildProfile(submissions: Iterable<ProfileChanges>): Profile {
  let profile = EMPTY_PROFILE;
  for (const changes of submissions) profile = applySubmission(profile, changes);
  return profile;
}

/** What would bring a profile from `before` to `after`: the smallest submission whose fold gives `after`. */
export function profileDifference(before: Profile, after: Profile): ProfileChanges {
  const changes: { -readonly [K in keyof ProfileChanges]: ProfileChanges[K] } = {};
  if (after.email !== before.email && after.email !== null) changes.email = after.email;
  if (after.firstName !== before.firstName) changes.firstName = after.firstName;
  if (after.lastName !== before.lastName) changes.lastName = after.lastName;
  if (after.locale !== before.locale) changes.locale = after.locale;
  if (after.timeZone !== before.timeZone) changes.timeZone = after.timeZone;
  if (after.tags.join('\0') !== before.tags.join('\0')) changes.tags = { set: after.tags };
  const fields: Record<string, FieldChanges[string]> = {};
  for (const key of new Set([...Object.keys(before.fields), ...Object.keys(after.fields)])) {
    const value = after.fields[key] ?? null;
    if (JSON.stringify(value) !== JSON.stringify(before.fields[key] ?? null)) fields[key] = value;
  }
  if (Object.keys(fields).length > 0) changes.fields = fields;
  return changes;
}

/** Whether a submission would change nothing, and so need not be written. */
export function isEmptyChange(changes: ProfileChanges): boolean {
  return Object.values(changes).every((value) => value === undefined);
}

function changed(current: string | null, next: string | null | undefined): string | null {
  return next === undefined ? current : next;
}

function applyTagChanges(tags: readonly string[], changes: TagChanges): readonly string[] {
  const result = new Set(changes.set ?? tags);
  for (const tag of changes.add ?? []) result.add(tag);
  for (const tag of changes.remove ?? []) result.delete(tag);
  return [...result].sort();
}
