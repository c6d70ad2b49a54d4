import { checkValue, type FieldType } from '../contacts';
import type { ConditionValue, Duration, OPERATORS } from './conditions';

type Operator = (typeof OPERATORS)[number];

/** What a condition asks of a value, with operator and operand checked against the field's type. */
export type Comparison =
  | { kind: 'missing' }
  | { kind: 'text'; operator: 'equals' | 'contains' | 'starts_with' | 'ends_with'; value: string }
  | { kind: 'one-of'; values: string[] }
  | { kind: 'number'; operator: 'equals' | 'less_than' | 'at_most' | 'greater_than' | 'at_least'; value: number }
  | { kind: 'boolean'; value: boolean }
  /** `value`: YYYY-MM-DD. */
  | { kind: 'date'; operator: 'equals' | 'before' | 'after'; value: string }
  /** Calendar days from today, today being the contact's own. */
  | { kind: 'date-relative'; operator: 'within_last' | 'within_next' | 'older_than'; days: number }
  | { kind: 'moment'; operator: 'before' | 'after'; value: Date }
  | { kind: 'moment-relative'; operator: 'within_last' | 'within_next' | 'older_than'; milliseconds: number }
  /** On a date as the contact's zone has it. */
  | { kind: 'moment-date'; value: string }
  | { kind: 'list'; operator: 'contains_any' | 'contains_all'; values: string[] };

export type CheckedComparison = { ok: true; comparison: Comparison } | { ok: false; message: string };

const BY_TYPE: Record<FieldType, readonly Operator[]> = {
  text: ['equals', 'one_of', 'contains', 'starts_with', 'ends_with', 'missing'],
  url: ['equals', 'one_of', 'contains', 'starts_with', 'ends_with', 'missing'],
  enum: ['equals', 'one_of', 'missing'],
  number: ['equals', 'less_than', 'at_most', 'greater_than', 'at_least', 'missing'],
  boolean: ['equals', 'missing'],
  date: ['equals', 'before', 'after', 'within_last', 'within_next', 'older_than', 'missing'],
  datetime: ['before', 'after', 'on_date', 'within_last', 'within_next', 'older_than', 'missing'],
  list: ['contains', 'contains_any', 'contains_all', 'missing'],
};

const HOURS = { hours: 1, days: 24, weeks: 168 } as const;

/** A length of time in milliseconds. */
export function milliseconds(duration: Duration): number {
  return duration.amount * HOURS[duration.unit] * 3_600_000;
}

/** Checks operator and operand of a condition against the type of the field it is about. */
export function checkComparison(
  type: FieldType,
  operator: Operator,
  value: ConditionValue | undefined,
  options: readonly string[] | null = null,
): CheckedComparison {
  if (!BY_TYPE[type].includes(operator)) {
    return refuse(`"${operator}" does not go with a ${type} field; it takes ${BY_TYPE[type].join(', ')}`);
  }
  if (operator === 'missing')
    return value === undefined ? accept({ kind: 'missing' }) : refuse('"missing" takes no value');
  if (value === undefined) return refuse(`"${operator}" needs a value`);
  switch (type) {
    case 'text':
    case 'url':
      return checkText(operator, value);
    case 'enum':
      return checkEnum(operator, value, options ?? []);
    case 'number':
      return checkNumber(operator, value);
    case 'boolean':
      return typeof value === 'boolean' ? accept({ kind: 'boolean', value }) : refuse('needs true or false');
    case 'date':
      return checkDate(operator, value);
    case 'datetime':
      return checkMoment(operator, value);
    case 'list':
      return checkList(operator, value);
  }
}

function checkText(operator: Operator, value: ConditionValue): CheckedComparison {
  if (operator === 'one_of')
    return Array.isArray(value) ? accept({ kind: 'one-of', values: value }) : refuse('needs a list of texts');
  if (typeof value !== 'string') return refuse('needs a text');
  switch (operator) {
    case 'equals':
    case 'contains':
    case 'starts_with':
    case 'ends_with':
      return accept({ kind: 'text', operator, value });
    default:
      return refuse('cannot be compared like this');
  }
}

function checkEnum(operator: Operator, value: ConditionValue, options: readonly string[]): CheckedComparison {
  const checked = checkText(operator, value);
  if (!checked.ok) return checked;
  const wanted = Array.isArray(value) ? value : [value];
  const unknown = wanted.find((item) => typeof item !== 'string' || !options.includes(item));
  return unknown === undefined ? checked : refuse(`needs values out of ${options.join(', ')}`);
}

function checkNumber(operator: Operator, value: ConditionValue): CheckedComparison {
  if (typeof value !== 'number') return refuse('needs a number');
  switch (operator) {
    case 'equals':
    case 'less_than':
    case 'at_most':
    case 'greater_than':
    case 'at_least':
      return accept({ kind: 'number', operator, value });
    default:
      return refuse('cannot be compared like this');
  }
}

function checkDate(operator: Operator, value: ConditionValue): CheckedComparison {
  switch (operator) {
    case 'equals':
    case 'before':
    case 'after':
      return isDate(value) ? accept({ kind: 'date', operator, value }) : refuse('needs a date written as YYYY-MM-DD');
    case 'within_last':
    case 'within_next':
    case 'older_than':
      if (!isDuration(value) || value.unit === 'hours') return refuse('needs {"amount": 7, "unit": "days"} or "weeks"');
      return accept({ kind: 'date-relative', operator, days: value.amount * (value.unit === 'weeks' ? 7 : 1) });
    default:
      return refuse('cannot be compared like this');
  }
}

function checkMoment(operator: Operator, value: ConditionValue): CheckedComparison {
  switch (operator) {
    case 'on_date':
      return isDate(value) ? accept({ kind: 'moment-date', value }) : refuse('needs a date written as YYYY-MM-DD');
    case 'before':
    case 'after': {
      const moment = typeof value === 'string' && /(Z|[+-]\d\d:?\d\d)$/i.test(value) ? checkValue(MOMENT, value) : null;
      if (moment === null || !moment.ok || typeof moment.value !== 'string') {
        return refuse('needs a date and time with an offset, such as 2026-03-01T09:00:00Z');
      }
      return accept({ kind: 'moment', operator, value: new Date(moment.value) });
    }
    case 'within_last':
    case 'within_next':
    case 'older_than':
      if (!isDuration(value)) return refuse('needs {"amount": 7, "unit": "days"}, "hours" or "weeks"');
      return accept({ kind: 'moment-relative', operator, milliseconds: milliseconds(value) });
    default:
      return refuse('cannot be compared like this');
  }
}

function checkList(operator: Operator, value: ConditionValue): CheckedComparison {
  if (operator === 'contains') {
    return typeof value === 'string'
      ? accept({ kind: 'list', operator: 'contains_all', values: [value] })
      : refuse('needs a text');
  }
  if (!Array.isArray(value)) return refuse('needs a list of texts');
  return accept({
    kind: 'list',
    operator: operator === 'contains_any' ? 'contains_any' : 'contains_all',
    values: value,
  });
}

const DATE = { key: 'value', type: 'date', required: false } as const;
const MOMENT = { key: 'value', type: 'datetime', required: false } as const;

function isDate(value: ConditionValue): value is string {
  return typeof value === 'string' && checkValue(DATE, value).ok;
}

function isDuration(value: ConditionValue): value is Duration {
  return typeof value === 'object' && !Array.isArray(value);
}

function accept(comparison: Comparison): CheckedComparison {
  return { ok: true, comparison };
}

function refuse(message: string): CheckedComparison {
  return { ok: false, message };
}
