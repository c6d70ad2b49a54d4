import type { HeaderMapping } from './csv-mapping';
import { type ImportedContact, missingRequired, type RowProblem, withDefaults } from './csv-row';
import { MAX_SNAPSHOT_BYTES } from './field-definitions';
import { snapshotProblem } from './fields';
import { MAX_TAGS } from './names-and-tags';
import { applySubmission, isEmptyChange, type Profile, type ProfileChanges, profileDifference } from './submissions';

/** What one row of an import does to the contact with its address. */
export type RowPlan =
  | { readonly kind: 'create' | 'update'; readonly profile: Profile; readonly changes: ProfileChanges }
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'reject'; readonly problem: RowProblem };

/**
 * Decides what a row does. A cell that is empty never removes anything; tags are added to those a contact has. A later
 * row for the same address is judged against what the earlier one left.
 *
 * @param before the contact's profile, or null where there is none
 * @param extraTags given to every contact of the import, tidy and valid
 */
export function planRow(
  mapping: HeaderMapping,
  row: ImportedContact,
  before: Profile | null,
  extraTags: readonly string[],
): RowPlan {
  const tags = extraTags.length === 0 ? row.tags : [...(row.tags ?? []), ...extraTags];
  if (before === null) {
    const missing = missingRequired(mapping, row.fields);
    if (missing !== null) return { kind: 'reject', problem: missing };
    const fields = withDefaults(mapping, row.fields);
    const hasFields = Object.keys(fields).length > 0;
    const set = tags === undefined ? undefined : [...new Set(tags)].sort();
    const changes: ProfileChanges = {
      email: row.email,
      firstName: row.firstName,
      lastName: row.lastName,
      locale: row.locale,
      timeZone: row.timeZone,
      tags: set === undefined ? undefined : { set },
      fields: hasFields ? fields : undefined,
    };
    // What applySubmission makes of an empty profile, without its work: most imports are of people nobody knows yet.
    const profile: Profile = {
      email: row.email,
      firstName: row.firstName ?? null,
      lastName: row.lastName ?? null,
      locale: row.locale ?? null,
      timeZone: row.timeZone ?? null,
      tags: set ?? [],
      fields,
    };
    return checked('create', profile, changes);
  }
  const after = applySubmission(before, {
    firstName: row.firstName,
    lastName: row.lastName,
    locale: row.locale,
    timeZone: row.timeZone,
    ...(tags === undefined ? {} : { tags: { add: tags } }),
    ...(Object.keys(row.fields).length === 0 ? {} : { fields: row.fields }),
  });
  const changes = profileDifference(before, after);
  return isEmptyChange(changes) ? { kind: 'unchanged' } : checked('update', after, changes);
}

/** What a row brings may be small enough by itself, and too much together with what is there. */
function checked(kind: 'create' | 'update', profile: Profile, changes: ProfileChanges): RowPlan {
  if (profile.tags.length > MAX_TAGS) {
    const message = `the contact would have more than ${MAX_TAGS} tags`;
    return { kind: 'reject', problem: { code: 'INVALID_TAGS', column: null, message } };
  }
  const problem = mayBeTooLarge(profile) ? snapshotProblem(profile.fields) : null;
  if (problem !== null) {
    return {
      kind: 'reject',
      problem: { code: 'FIELDS_TOO_LARGE', column: null, message: `custom fields ${problem.message}` },
    };
  }
  return { kind, profile, changes };
}

/** Spares the serialisation of small snapshots, which nearly all are. */
function mayBeTooLarge(profile: Profile): boolean {
  let characters = 0;
  for (const [key, value] of Object.entries(profile.fields)) {
    characters += key.length + 24;
    if (typeof value === 'string') characters += value.length;
    else if (typeof value === 'object') for (const item of value) characters += item.length + 4;
  }
  // A UTF-16 unit takes at most six bytes of JSON.
  return characters > MAX_SNAPSHOT_BYTES / 6;
}
