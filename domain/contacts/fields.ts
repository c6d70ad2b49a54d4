import {
  FIELD_TYPES,
  type FieldDefinition,
  type FieldProblem,
  type FieldValue,
  isFieldKey,
  MAX_ENUM_OPTIONS,
  MAX_OPTION_LENGTH,
  MAX_SNAPSHOT_BYTES,
} from './field-definitions';
import { checkValue } from './field-values';

export type FieldSnapshot = Readonly<Record<string, FieldValue>>;

/** Changes to a snapshot: null removes a value. */
export type FieldChanges = Readonly<Record<string, FieldValue | null>>;

export type CheckedFields =
  | { readonly ok: true; readonly fields: FieldChanges }
  | { readonly ok: false; readonly errors: readonly FieldProblem[] };

/** What is wrong with a definition; empty if nothing is. `field` names the definition's own property. */
export function definitionProblems(definition: FieldDefinition): FieldProblem[] {
  const problems: FieldProblem[] = [];
  if (!isFieldKey(definition.key)) {
    problems.push({
      field: 'key',
      message: 'must be lower-case letters, digits and underscores, begin with a letter, and be no reserved name',
    });
  }
  if (!FIELD_TYPES.includes(definition.type)) {
    problems.push({ field: 'type', message: `must be one of ${FIELD_TYPES.join(', ')}` });
    return problems;
  }
  problems.push(...optionProblems(definition));
  if (definition.defaultValue !== undefined && definition.defaultValue !== null) {
    const checked = checkValue(definition, definition.defaultValue);
    if (!checked.ok) problems.push({ field: 'defaultValue', message: checked.message });
  }
  return problems;
}

function optionProblems({ type, options }: FieldDefinition): FieldProblem[] {
  const problem = (message: string): FieldProblem[] => [{ field: 'options', message }];
  if (type !== 'enum') return options ? problem('are for enum fields only') : [];
  if (!options || options.length === 0) return problem('must name at least one value');
  if (options.length > MAX_ENUM_OPTIONS) return problem(`must be at most ${MAX_ENUM_OPTIONS}`);
  if (options.some((option) => option.trim() !== option || option === '' || option.length > MAX_OPTION_LENGTH)) {
    return problem(`must be texts of 1 to ${MAX_OPTION_LENGTH} characters without spaces around them`);
  }
  return new Set(options).size === options.length ? [] : problem('must be different');
}

/**
 * Checks values against a workspace's definitions. `create`: required fields must be there, defaults are filled in,
 * null means absent. `update`: only what is given changes; null removes, except from a required field. Unknown fields
 * are errors. The size of the whole snapshot is `snapshotProblem`'s business, since an update sees only a part of it.
 */
export function validateFields(
  definitions: readonly FieldDefinition[],
  input: Readonly<Record<string, unknown>>,
  { mode }: { readonly mode: 'create' | 'update' },
): CheckedFields {
  const errors: FieldProblem[] = [];
  const fields: Record<string, FieldValue | null> = {};
  const known = new Set(definitions.map(({ key }) => key));
  for (const key of Object.keys(input)) {
    if (!known.has(key)) errors.push({ field: key, message: 'is no custom field of this workspace' });
  }
  for (const definition of definitions) {
    const { key } = definition;
    const given = Object.hasOwn(input, key) ? input[key] : undefined;
    if (given !== undefined && given !== null) {
      const checked = checkValue(definition, given);
      if (checked.ok) fields[key] = checked.value;
      else errors.push({ field: key, message: checked.message });
      continue;
    }
    if (mode === 'create') {
      const fallback = definition.defaultValue ?? null;
      if (fallback !== null) fields[key] = fallback;
      else if (definition.required) errors.push({ field: key, message: 'is required' });
    } else if (given === null) {
      if (definition.required) errors.push({ field: key, message: 'is required and can not be removed' });
      else fields[key] = null;
    }
  }
  return errors.length > 0 ? { ok: false, errors } : { ok: true, fields };
}

/** The snapshot after changes. Keys are in alphabetical order, so that equal snapshots have equal JSON. */
export function applyFieldChanges(snapshot: FieldSnapshot, changes: FieldChanges): FieldSnapshot {
  const result: Record<string, FieldValue> = {};
  for (const key of [...new Set([...Object.keys(snapshot), ...Object.keys(changes)])].sort()) {
    const value = Object.hasOwn(changes, key) ? changes[key] : snapshot[key];
    if (value !== undefined && value !== null) result[key] = value;
  }
  return result;
}

/** Whether a snapshot is too large to be stored: at most 32 KiB as JSON. */
export function snapshotProblem(snapshot: FieldSnapshot): FieldProblem | null {
  const bytes = Buffer.byteLength(JSON.stringify(snapshot));
  return bytes <= MAX_SNAPSHOT_BYTES
    ? null
    : { field: 'fields', message: `take ${bytes} bytes together, more than the ${MAX_SNAPSHOT_BYTES} allowed` };
}
