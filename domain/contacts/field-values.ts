import type { FieldDefinition, FieldValue } from './field-definitions';

/** A value that fits its definition, or why it does not. The message completes "<field> …". */
export type CheckedValue =
  | { readonly ok: true; readonly value: FieldValue }
  | { readonly ok: false; readonly message: string };

const MAX_TEXT_LENGTH = 10_000;
const MAX_URL_LENGTH = 2_048;
const MAX_LIST_ITEMS = 200;
const MAX_ITEM_LENGTH = 500;

/** Checks a typed (JSON) value against its definition and brings it into its stored form. */
export function checkValue(definition: FieldDefinition, input: unknown): CheckedValue {
  switch (definition.type) {
    case 'text':
      return checkText(input, MAX_TEXT_LENGTH);
    case 'number':
      return typeof input === 'number' && Number.isFinite(input) ? accept(input) : refuse('must be a number');
    case 'boolean':
      return typeof input === 'boolean' ? accept(input) : refuse('must be true or false');
    case 'date':
      return typeof input === 'string' ? checkDate(input) : refuse(DATE_EXPECTED);
    case 'datetime':
      return typeof input === 'string' ? checkDateTime(input) : refuse(DATETIME_EXPECTED);
    case 'enum':
      return checkOption(definition, input);
    case 'url':
      return checkUrl(input);
    case 'list':
      return checkList(input);
    default:
      return unknownType(definition.type);
  }
}

/**
 * Reads a CSV cell, which is not empty. Booleans may be yes/no, true/false, 1/0, y/n, t/f, on/off in any case; numbers
 * use a decimal point and no thousands separator; a date and time without an offset is taken as UTC; list items are
 * separated by semicolons, vertical bars or line breaks.
 */
export function readCell(definition: FieldDefinition, cell: string): CheckedValue {
  switch (definition.type) {
    case 'text':
    case 'url':
      return checkValue(definition, cell);
    case 'enum':
      return readOption(definition, cell);
    case 'number':
      return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?$/.test(cell)
        ? checkValue(definition, Number(cell))
        : refuse('must be a number such as 12 or 12.5');
    case 'boolean':
      return readBoolean(cell);
    case 'date':
      return checkDate(cell);
    case 'datetime':
      return checkDateTime(cell);
    case 'list':
      return checkList(
        cell
          .split(/[;|\n]/)
          .map((item) => item.trim())
          .filter((item) => item !== ''),
      );
    default:
      return unknownType(definition.type);
  }
}

const DATE_EXPECTED = 'must be a date written as YYYY-MM-DD';
const DATETIME_EXPECTED = 'must be a date and time written as YYYY-MM-DDTHH:MM:SSZ, or with an offset';

/** Postgres can store neither NUL nor half a surrogate pair in JSON. */
const UNSTORABLE = /[\0\p{Surrogate}]/u;

function checkText(input: unknown, maxLength: number): CheckedValue {
  if (typeof input !== 'string') return refuse('must be text');
  if (input.length > maxLength) return refuse(`must have at most ${maxLength} characters`);
  if (UNSTORABLE.test(input)) return refuse('must not contain NUL or broken Unicode');
  return accept(input.normalize('NFC'));
}

function checkDate(input: string): CheckedValue {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(input);
  return match !== null && isCalendarDate(Number(match[1]), Number(match[2]), Number(match[3]))
    ? accept(input)
    : refuse(DATE_EXPECTED);
}

const DATETIME =
  /^(\d{4})-(\d{2})-(\d{2})[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?(Z|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?$/i;

function checkDateTime(input: string): CheckedValue {
  const match = DATETIME.exec(input);
  if (match === null || !isCalendarDate(Number(match[1]), Number(match[2]), Number(match[3]))) {
    return refuse(DATETIME_EXPECTED);
  }
  const offset = match[4] === undefined ? 'Z' : match[4].replace(/^([+-]\d\d)(\d\d)$/, '$1:$2').toUpperCase();
  const local = input.slice(0, input.length - (match[4]?.length ?? 0)).replace(' ', 'T');
  const instant = Date.parse(local.toUpperCase() + offset);
  if (Number.isNaN(instant)) return refuse(DATETIME_EXPECTED);
  const stored = new Date(instant).toISOString();
  // An offset can lead out of the years 1 to 9999, which neither this form nor Postgres writes in the same way.
  return /^(?!0000)\d{4}-/.test(stored) ? accept(stored) : refuse(DATETIME_EXPECTED);
}

function isCalendarDate(year: number, month: number, day: number): boolean {
  if (year < 1 || month < 1 || month > 12 || day < 1) return false;
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
  return day <= (days[month - 1] ?? 0);
}

function checkOption(definition: FieldDefinition, input: unknown): CheckedValue {
  const options = definition.options ?? [];
  return typeof input === 'string' && options.includes(input)
    ? accept(input)
    : refuse(`must be one of ${options.join(', ')}`);
}

/** An export may write an option in other letter case. */
function readOption(definition: FieldDefinition, cell: string): CheckedValue {
  const exact = checkOption(definition, cell);
  if (exact.ok) return exact;
  const lower = cell.toLowerCase();
  const option = definition.options?.find((candidate) => candidate.toLowerCase() === lower);
  return option === undefined ? exact : accept(option);
}

function checkUrl(input: unknown): CheckedValue {
  const text = checkText(input, MAX_URL_LENGTH);
  if (!text.ok || typeof text.value !== 'string') return text;
  if (!/^https?:\/\/[^\s]+$/i.test(text.value) || !URL.canParse(text.value)) {
    return refuse('must be a URL beginning with http:// or https://');
  }
  return text;
}

function checkList(input: unknown): CheckedValue {
  if (!Array.isArray(input)) return refuse('must be a list of texts');
  if (input.length > MAX_LIST_ITEMS) return refuse(`must have at most ${MAX_LIST_ITEMS} items`);
  const items: string[] = [];
  for (const item of input) {
    const checked = checkText(item, MAX_ITEM_LENGTH);
    if (!checked.ok) return refuse(`has an item that ${checked.message}`);
    if (typeof checked.value === 'string') items.push(checked.value);
  }
  return accept(items);
}

function readBoolean(cell: string): CheckedValue {
  switch (cell.toLowerCase()) {
    case 'yes':
    case 'true':
    case '1':
    case 'y':
    case 't':
    case 'on':
      return accept(true);
    case 'no':
    case 'false':
    case '0':
    case 'n':
    case 'f':
    case 'off':
      return accept(false);
    default:
      return refuse('must be yes or no');
  }
}

function accept(value: FieldValue): CheckedValue {
  return { ok: true, value };
}

function refuse(message: string): CheckedValue {
  return { ok: false, message };
}

function unknownType(type: never): never {
  throw new TypeError(`unknown field type: ${String(type)}`);
}
