import {
  type FieldDefinition,
  nameProblem,
  normaliseEmail,
  type ProfileChanges,
  parseLocale,
  parseTimeZone,
  tagsProblem,
  validateFields,
} from '../../domain/contacts';
import { Problem, type ProblemPlace } from '../http/problem';
import { z } from '../http/schemas';

const name = z.string().max(1_000).nullable().optional().openapi({ description: 'One line, at most 200 characters.' });

/** What a request says about a profile; judged by `readProfile`. */
export const profileInput = z.strictObject({
  email: z.string().max(2_000),
  first_name: name,
  last_name: name,
  locale: z.string().max(100).nullable().optional().openapi({ description: 'BCP 47, for example pt-BR.' }),
  time_zone: z.string().max(100).nullable().optional().openapi({ description: 'IANA, for example Europe/Berlin.' }),
  tags: z.array(z.string().max(1_000)).max(1_000).optional().openapi({ description: 'Replaces all tags.' }),
  fields: z
    .record(z.string().max(100), z.unknown())
    .optional()
    .openapi({ description: 'Custom fields by name; null removes a value.' }),
});

export const profileChange = profileInput.partial();

/**
 * The changes that a request asks for, in normal form. Throws a problem that names every field which is wrong.
 * `create`: required custom fields must be there, defaults are filled in.
 */
export function readProfile(
  input: z.infer<typeof profileChange>,
  definitions: readonly FieldDefinition[],
  mode: 'create' | 'update',
): ProfileChanges {
  const errors: ProblemPlace[] = [];
  const changes: { -readonly [K in keyof ProfileChanges]: ProfileChanges[K] } = {};
  const refuse = (path: string, detail: string) => errors.push({ pointer: `/body/${path}`, detail });

  if (input.email !== undefined) {
    const email = normaliseEmail(input.email);
    if (email.ok) changes.email = email.email;
    else refuse('email', email.message);
  }
  for (const [key, property] of [
    ['first_name', 'firstName'],
    ['last_name', 'lastName'],
  ] as const) {
    const value = input[key];
    if (value === undefined) continue;
    const tidy = value?.trim().normalize('NFC') ?? '';
    const problem = nameProblem(tidy);
    if (problem) refuse(key, problem);
    else changes[property] = tidy === '' ? null : tidy;
  }
  if (input.locale !== undefined) {
    const locale = input.locale === null ? null : parseLocale(input.locale);
    if (input.locale !== null && locale === null) refuse('locale', 'is no BCP 47 language tag such as pt-BR');
    else changes.locale = locale;
  }
  if (input.time_zone !== undefined) {
    const zone = input.time_zone === null ? null : parseTimeZone(input.time_zone);
    if (input.time_zone !== null && zone === null) refuse('time_zone', 'is no IANA time zone such as Europe/Berlin');
    else changes.timeZone = zone;
  }
  if (input.tags !== undefined) {
    const problem = tagsProblem(input.tags);
    if (problem) refuse('tags', problem);
    else changes.tags = { set: [...new Set(input.tags.map((tag) => tag.normalize('NFC')))].sort() };
  }
  if (input.fields !== undefined || mode === 'create') {
    const checked = validateFields(definitions, input.fields ?? {}, { mode });
    if (!checked.ok) for (const { field, message } of checked.errors) refuse(`fields/${pointer(field)}`, message);
    else if (Object.keys(checked.fields).length > 0) changes.fields = checked.fields;
  }
  const [first] = errors;
  if (first)
    throw new Problem('validation-failed', `${first.pointer.slice('/body/'.length)}: ${first.detail}`, { errors });
  return changes;
}

/** RFC 6901, section 3. */
function pointer(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}
