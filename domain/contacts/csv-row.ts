import type { HeaderMapping, MappedColumn } from './csv-mapping';
import { normaliseEmail } from './email';
import { type FieldDefinition, type FieldValue, MAX_SNAPSHOT_BYTES } from './field-definitions';
import { readCell } from './field-values';
import { snapshotProblem } from './fields';
import { parseLocale, parseTimeZone } from './locale';
import { MAX_NAME_LENGTH, tagsProblem, tidyName } from './names-and-tags';

/** Why a row was not imported. Stable: users filter by it. */
export const ROW_REJECTIONS = [
  'WRONG_COLUMN_COUNT',
  'CELL_TOO_LARGE',
  'MISSING_EMAIL',
  'INVALID_EMAIL',
  'INVALID_NAME',
  'INVALID_LOCALE',
  'INVALID_TIME_ZONE',
  'INVALID_TAGS',
  'INVALID_FIELD',
  'MISSING_REQUIRED_FIELD',
  'FIELDS_TOO_LARGE',
] as const;
export type RowRejection = (typeof ROW_REJECTIONS)[number];

export interface RowProblem {
  readonly code: RowRejection;
  /** The CSV header, or null if the row as a whole is at fault. */
  readonly column: string | null;
  /** Never repeats the cell. */
  readonly message: string;
}

/** Absent means that the row says nothing: an empty cell never removes what a contact already has. */
export interface ImportedContact {
  readonly email: string;
  readonly domain: string;
  readonly firstName: string | undefined;
  readonly lastName: string | undefined;
  readonly locale: string | undefined;
  readonly timeZone: string | undefined;
  readonly tags: readonly string[] | undefined;
  /** What the row gives, without defaults: these go to contacts that are new (`importDefaults`). */
  readonly fields: Readonly<Record<string, FieldValue>>;
}

export type ParsedRow =
  | { readonly ok: true; readonly contact: ImportedContact; readonly skipped: readonly RowProblem[] }
  | ({ readonly ok: false } & RowProblem);

export interface RowOptions {
  /** What a bad locale, time zone, tag list or custom field does: reject the row (default), or be left out. */
  readonly onInvalidField?: 'reject' | 'skip-field' | undefined;
}

const NOTHING_SKIPPED: readonly RowProblem[] = [];

type Draft = { -readonly [K in keyof ImportedContact]: ImportedContact[K] } & { fields: Record<string, FieldValue> };

/** Reads one row of a CSV. A bad address or name always rejects it. Required fields are judged by `missingRequired`. */
export function parseRow(mapping: HeaderMapping, cells: readonly string[], options: RowOptions = {}): ParsedRow {
  const shape = shapeProblem(mapping, cells);
  if (shape !== null) return { ok: false, ...shape };
  const draft: Draft = {
    email: '',
    domain: '',
    firstName: undefined,
    lastName: undefined,
    locale: undefined,
    timeZone: undefined,
    tags: undefined,
    fields: {},
  };
  let skipped = NOTHING_SKIPPED;
  let octets = 0;
  for (const column of mapping.columns) {
    const cell = (cells[column.index] ?? '').trim();
    octets += cell.length;
    const problem = readColumn(draft, column, cell);
    if (problem === null) continue;
    if (options.onInvalidField !== 'skip-field' || !isSkippable(problem.code)) return { ok: false, ...problem };
    skipped = [...skipped, problem];
  }
  // Only a row with much text can be too large: a UTF-16 unit takes at most six bytes of JSON, and keys are short.
  if (octets > MAX_SNAPSHOT_BYTES / 16) {
    const tooLarge = snapshotProblem(draft.fields);
    if (tooLarge !== null) {
      return { ok: false, code: 'FIELDS_TOO_LARGE', column: null, message: `custom fields ${tooLarge.message}` };
    }
  }
  return { ok: true, contact: draft, skipped };
}

/** The custom fields a new contact gets from a row: what it gives, and the defaults of what it does not. */
export function withDefaults(
  mapping: HeaderMapping,
  fields: ImportedContact['fields'],
): Readonly<Record<string, FieldValue>> {
  const result: Record<string, FieldValue> = { ...fields };
  for (const { key, defaultValue } of mapping.definitions) {
    if (!Object.hasOwn(result, key) && defaultValue !== undefined && defaultValue !== null) result[key] = defaultValue;
  }
  return result;
}

/** The first required custom field that a *new* contact would lack, or null. Existing contacts keep what they have. */
export function missingRequired(mapping: HeaderMapping, fields: ImportedContact['fields']): RowProblem | null {
  const missing = mapping.definitions.find((definition) => isMissing(definition, fields));
  if (missing === undefined) return null;
  const column = mapping.columns.find(({ definition }) => definition?.key === missing.key)?.header ?? null;
  return { code: 'MISSING_REQUIRED_FIELD', column, message: `${missing.key} is required for a new contact` };
}

function isMissing(definition: FieldDefinition, fields: ImportedContact['fields']): boolean {
  const hasDefault = definition.defaultValue !== undefined && definition.defaultValue !== null;
  return definition.required && !hasDefault && !Object.hasOwn(fields, definition.key);
}

/** A row of another width is nearly always a quoting error that has shifted its cells. */
function shapeProblem(mapping: HeaderMapping, cells: readonly string[]): RowProblem | null {
  const surplus = cells.length > mapping.width && cells.slice(mapping.width).some((cell) => cell.trim() !== '');
  if (cells.length < mapping.width || surplus) {
    const message = `expected ${mapping.width} cells, found ${cells.length}`;
    return { code: 'WRONG_COLUMN_COUNT', column: null, message };
  }
  for (const { index, header } of mapping.columns) {
    if ((cells[index]?.length ?? 0) > MAX_SNAPSHOT_BYTES) {
      return {
        code: 'CELL_TOO_LARGE',
        column: header,
        message: `a cell may have at most ${MAX_SNAPSHOT_BYTES} characters`,
      };
    }
  }
  return null;
}

/** Puts one cell, trimmed, into the draft, or says why it can't. */
function readColumn(draft: Draft, { target, header, definition }: MappedColumn, cell: string): RowProblem | null {
  if (target === 'email') return readEmail(draft, header, cell);
  if (cell === '') return null;
  switch (target) {
    case 'first_name':
    case 'last_name': {
      const name = tidyName(cell);
      if (name.length > MAX_NAME_LENGTH) {
        return { code: 'INVALID_NAME', column: header, message: `must have at most ${MAX_NAME_LENGTH} characters` };
      }
      if (target === 'first_name') draft.firstName = name;
      else draft.lastName = name;
      return null;
    }
    case 'locale': {
      const locale = parseLocale(cell);
      if (locale === null)
        return { code: 'INVALID_LOCALE', column: header, message: 'is no BCP 47 language tag such as pt-BR' };
      draft.locale = locale;
      return null;
    }
    case 'time_zone': {
      const timeZone = parseTimeZone(cell);
      if (timeZone === null)
        return { code: 'INVALID_TIME_ZONE', column: header, message: 'is no IANA time zone such as Europe/Berlin' };
      draft.timeZone = timeZone;
      return null;
    }
    case 'tags':
      return readTags(draft, header, cell);
    default: {
      if (definition === null) return null;
      const checked = readCell(definition, cell);
      if (!checked.ok) return { code: 'INVALID_FIELD', column: header, message: checked.message };
      draft.fields[definition.key] = checked.value;
      return null;
    }
  }
}

function readEmail(draft: Draft, column: string, cell: string): RowProblem | null {
  if (cell === '') return { code: 'MISSING_EMAIL', column, message: 'the row has no e-mail address' };
  const normalised = normaliseEmail(cell);
  if (!normalised.ok) return { code: 'INVALID_EMAIL', column, message: normalised.message };
  draft.email = normalised.email;
  draft.domain = normalised.domain;
  return null;
}

function readTags(draft: Draft, column: string, cell: string): RowProblem | null {
  const tags = cell
    .split(/[,;|\n]/)
    .map((tag) => tidyName(tag))
    .filter((tag) => tag !== '');
  const message = tagsProblem(tags);
  if (message !== null) return { code: 'INVALID_TAGS', column, message };
  draft.tags = [...new Set(tags)].sort();
  return null;
}

function isSkippable(code: RowRejection): boolean {
  return (
    code === 'INVALID_LOCALE' || code === 'INVALID_TIME_ZONE' || code === 'INVALID_TAGS' || code === 'INVALID_FIELD'
  );
}
