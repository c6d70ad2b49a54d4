import type { Comparison } from '../../domain/audiences';
import { type Statement, sql } from '../../platform/postgres';
import type { Lookups } from './resolve';

/** A checked comparison with a column, as SQL about a contact `c`. NULL where the column is. */
export function compareValue(
  column: Statement,
  comparison: Exclude<Comparison, { kind: 'missing' }>,
  lookups: Lookups,
): Statement {
  switch (comparison.kind) {
    case 'text':
      return compareText(column, comparison);
    case 'one-of':
      return sql`${column} = ANY (${comparison.values}::text[])`;
    case 'number':
      return compareNumber(column, comparison);
    case 'boolean':
      return sql`${column} = ${comparison.value}::boolean`;
    case 'date':
      switch (comparison.operator) {
        case 'equals':
          return sql`${column} = ${comparison.value}::date`;
        case 'before':
          return sql`${column} < ${comparison.value}::date`;
        case 'after':
          return sql`${column} > ${comparison.value}::date`;
      }
      break;
    case 'date-relative': {
      const today = sql`(${lookups.now}::timestamptz AT TIME ZONE ${zoneOfContact(lookups)})::date`;
      const days = sql`${comparison.days}::integer`;
      switch (comparison.operator) {
        case 'within_last':
          return sql`${column} > ${today} - ${days} AND ${column} <= ${today}`;
        case 'within_next':
          return sql`${column} >= ${today} AND ${column} < ${today} + ${days}`;
        case 'older_than':
          return sql`${column} <= ${today} - ${days}`;
      }
      break;
    }
    case 'moment':
      return comparison.operator === 'before'
        ? sql`${column} < ${comparison.value}::timestamptz`
        : sql`${column} > ${comparison.value}::timestamptz`;
    case 'moment-relative': {
      const now = sql`${lookups.now}::timestamptz`;
      const before = sql`${new Date(lookups.now.getTime() - comparison.milliseconds)}::timestamptz`;
      const later = sql`${new Date(lookups.now.getTime() + comparison.milliseconds)}::timestamptz`;
      switch (comparison.operator) {
        case 'within_last':
          return sql`${column} > ${before} AND ${column} <= ${now}`;
        case 'within_next':
          return sql`${column} >= ${now} AND ${column} < ${later}`;
        case 'older_than':
          return sql`${column} <= ${before}`;
      }
      break;
    }
    case 'moment-date':
      return sql`(${column} AT TIME ZONE ${zoneOfContact(lookups)})::date = ${comparison.value}::date`;
    case 'list':
      return comparison.operator === 'contains_any'
        ? sql`${column} && ${comparison.values}::text[]`
        : sql`${column} @> ${comparison.values}::text[]`;
  }
}

/** Equality is exact; what looks for a part ignores letter case, by the database's own rules, not those of "C". */
function compareText(column: Statement, comparison: Comparison & { kind: 'text' }): Statement {
  if (comparison.operator === 'equals') return sql`${column} = ${comparison.value}::text`;
  const text = sql`lower((${column}) COLLATE "default")`;
  const part = sql`lower(${comparison.value}::text COLLATE "default")`;
  switch (comparison.operator) {
    case 'contains':
      return sql`position(${part} IN ${text}) > 0`;
    case 'starts_with':
      return sql`starts_with(${text}, ${part})`;
    case 'ends_with':
      return sql`right(${text}, length(${part})) = ${part}`;
  }
}

function compareNumber(column: Statement, comparison: Comparison & { kind: 'number' }): Statement {
  const value = sql`${comparison.value}::double precision`;
  switch (comparison.operator) {
    case 'equals':
      return sql`${column} = ${value}`;
    case 'less_than':
      return sql`${column} < ${value}`;
    case 'at_most':
      return sql`${column} <= ${value}`;
    case 'greater_than':
      return sql`${column} > ${value}`;
    case 'at_least':
      return sql`${column} >= ${value}`;
  }
}

function zoneOfContact({ knownZones, timeZone }: Lookups): Statement {
  return sql`CASE WHEN c.time_zone = ANY (${knownZones}::text[]) THEN c.time_zone ELSE ${timeZone}::text END`;
}
