import type { Comparison, ConditionOf } from '../../domain/audiences';
import { type Statement, sql } from '../../platform/postgres';
import { compareValue } from './compare';
import type { Leaf } from './leaf';
import { comparisonOf, type Lookups } from './resolve';

/** A condition about a field that every contact has. */
export function fieldLeaf(condition: ConditionOf<'field'>, lookups: Lookups): Leaf {
  const comparison = comparisonOf(condition, lookups);
  if (!comparison) throw new Error('a condition was not resolved');
  const compare = (column: Statement): Leaf => ({
    kind: 'row',
    predicate: comparison.kind === 'missing' ? sql`${column} IS NULL` : compareValue(column, comparison, lookups),
  });
  switch (condition.field) {
    case 'email':
      return compare(sql`c.email`);
    case 'email_domain':
      return compare(sql`c.email_domain`);
    case 'first_name':
      return compare(sql`nullif(c.first_name, '')`);
    case 'last_name':
      return compare(sql`nullif(c.last_name, '')`);
    case 'locale':
      return compare(sql`c.locale`);
    case 'time_zone':
      return compare(sql`c.time_zone`);
    case 'status':
      return compare(sql`c.status`);
    case 'created_at':
      return compare(sql`c.created_at`);
    case 'tags':
      return comparison.kind === 'missing'
        ? { kind: 'row', predicate: sql`cardinality(c.tags) = 0` }
        : compare(sql`c.tags`);
  }
}

/** A condition about a segmentable custom field. */
export function customFieldLeaf(condition: ConditionOf<'custom_field'>, lookups: Lookups): Leaf {
  const field = lookups.fields.get(condition.field);
  const comparison = comparisonOf(condition, lookups);
  if (!field || !comparison) throw new Error('a condition was not resolved');
  return {
    kind: 'attribute',
    fieldId: field.id,
    predicate: (attribute) => {
      if (comparison.kind === 'missing') {
        return sql`${attribute}.contact_id IS NULL OR cardinality(${attribute}.list_value) = 0`;
      }
      const whole = compareValue(columnOf(comparison, attribute), comparison, lookups);
      // The index holds the first 200 characters.
      return comparison.kind === 'text' && comparison.operator === 'equals'
        ? sql`${whole} AND left(${attribute}.text_value, 200) = left(${comparison.value}::text, 200)`
        : whole;
    },
  };
}

function columnOf(comparison: Exclude<Comparison, { kind: 'missing' }>, attribute: Statement): Statement {
  switch (comparison.kind) {
    case 'text':
    case 'one-of':
      return sql`${attribute}.text_value`;
    case 'number':
      return sql`${attribute}.number_value`;
    case 'boolean':
      return sql`${attribute}.boolean_value`;
    case 'date':
    case 'date-relative':
      return sql`${attribute}.date_value`;
    case 'moment':
    case 'moment-relative':
    case 'moment-date':
      return sql`${attribute}.moment_value`;
    case 'list':
      return sql`${attribute}.list_value`;
  }
}
