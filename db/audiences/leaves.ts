import { type Comparison, type Condition, type ConditionOf, type Duration, milliseconds } from '../../domain/audiences';
import { type Statement, sql } from '../../platform/postgres';
import { comparisonOf, type Lookups } from './resolve';

/** One condition as SQL about a contact `c`. */
export type Leaf =
  /** About the contact's own row. */
  | { kind: 'row'; predicate: Statement }
  /** About a custom field's row of contact_attributes, which may be absent. */
  | { kind: 'attribute'; fieldId: string; predicate: (attribute: Statement) => Statement }
  /** Whether the contact is in (or, negated, not in) a set. */
  | {
      kind: 'set';
      negated: boolean;
      /** Each contact of the set once, as `contact_id`. */
      contactIds: Statement;
      /** The same question about `c` alone, by index. */
      forEach: Statement;
    };

export function leafOf(condition: Condition, lookups: Lookups): Leaf {
  switch (condition.type) {
    case 'field':
      return fieldLeaf(condition, lookups);
    case 'custom_field':
      return customFieldLeaf(condition, lookups);
    case 'consent':
      return consentLeaf(condition, lookups);
    case 'category':
      return keyed(
        sql`SELECT x.contact_id FROM category_preferences x WHERE x.workspace_id = ${lookups.workspaceId}::uuid
              AND x.category_id = ${lookups.categories.get(condition.category)}::uuid AND NOT x.subscribed`,
        condition.subscribed,
      );
    case 'audience':
      return keyed(
        sql`SELECT x.contact_id FROM audience_members x WHERE x.workspace_id = ${lookups.workspaceId}::uuid
              AND x.audience_id = ${condition.audience_id}::uuid`,
        false,
      );
    case 'submission':
      return history(
        sql`SELECT x.contact_id FROM submissions x WHERE x.workspace_id = ${lookups.workspaceId}::uuid
              AND (${condition.origin ?? null}::text IS NULL OR x.origin = ${condition.origin ?? null}::text)
              AND ${during(sql`x.created_at`, condition.within, lookups)}`,
        condition.at_least ?? 1,
        lookups,
      );
    case 'event':
      return history(
        sql`SELECT x.contact_id FROM marketing_events x WHERE x.workspace_id = ${lookups.workspaceId}::uuid
              AND x.event_type = ${condition.event_type}::text AND x.contact_id IS NOT NULL
              AND ${during(sql`x.created_at`, condition.within, lookups)}`,
        condition.at_least ?? 1,
        lookups,
      );
    case 'engagement': {
      const leaf = history(engagementRows(condition, lookups), 1, lookups);
      return { ...leaf, negated: condition.activity === 'nothing_received' };
    }
  }
}

function consentLeaf(condition: ConditionOf<'consent'>, lookups: Lookups): Leaf {
  const purpose = lookups.purposes.get(condition.purpose);
  if (condition.status === 'none') {
    return keyed(
      sql`SELECT x.contact_id FROM consents x WHERE x.workspace_id = ${lookups.workspaceId}::uuid
            AND x.channel = 'email' AND x.purpose_id = ${purpose}::uuid`,
      true,
    );
  }
  return keyed(
    sql`SELECT x.contact_id FROM consents x WHERE x.workspace_id = ${lookups.workspaceId}::uuid
          AND x.channel = 'email' AND x.purpose_id = ${purpose}::uuid AND x.status = ${condition.status}::text`,
    false,
  );
}

/** A table that has at most one row per contact, moved along when contacts are merged. */
function keyed(contactIds: Statement, negated: boolean): Leaf {
  return { kind: 'set', negated, contactIds, forEach: sql`EXISTS (${contactIds} AND x.contact_id = c.id)` };
}

/**
 * Rows that tell what happened to a contact. Those of contacts that were merged into another keep their contact's id;
 * they count for the one that is left.
 */
function history(rows: Statement, atLeast: number, { workspaceId }: Lookups): Leaf & { kind: 'set' } {
  return {
    kind: 'set',
    negated: false,
    contactIds: sql`SELECT coalesce(merged.merged_into, rows.contact_id) AS contact_id
      FROM (${rows}) rows
      LEFT JOIN contacts merged ON merged.workspace_id = ${workspaceId}::uuid AND merged.id = rows.contact_id
        AND merged.merged_into IS NOT NULL
      GROUP BY 1 HAVING count(*) >= ${atLeast}::bigint`,
    forEach: sql`(SELECT count(*) FROM (
        SELECT FROM (${rows}) rows WHERE rows.contact_id = ANY (ARRAY(
          SELECT c.id UNION ALL
          SELECT f.id FROM contacts f WHERE f.workspace_id = ${workspaceId}::uuid AND f.merged_into = c.id))
        LIMIT ${atLeast}::bigint) found) >= ${atLeast}::bigint`,
  };
}

/** After `now - within` and not after now; true where no length of time is given. */
function during(moment: Statement, within: Duration | undefined, { now }: Lookups): Statement {
  if (within === undefined) return sql`true`;
  const from = new Date(now.getTime() - milliseconds(within));
  return sql`${moment} > ${from}::timestamptz AND ${moment} <= ${now}::timestamptz`;
}

function engagementRows(condition: ConditionOf<'engagement'>, lookups: Lookups): Statement {
  const { workspaceId } = lookups;
  const ofCampaign = condition.campaign_id
    ? sql`d.source_type = 'CAMPAIGN' AND d.source_id IN (SELECT r.id FROM campaign_runs r
        WHERE r.workspace_id = ${workspaceId}::uuid AND r.campaign_id = ${condition.campaign_id}::uuid)`
    : sql`true`;
  switch (condition.activity) {
    case 'opened':
    case 'clicked': {
      const link =
        condition.url === undefined
          ? sql``
          : sql`JOIN links l ON l.workspace_id = d.workspace_id AND l.message_id = d.message_id
                AND l.position = e.link_position AND l.url = ${condition.url}::text`;
      return sql`SELECT d.contact_id FROM deliveries d
        JOIN engagements e ON e.source_id = d.source_id AND e.delivery_id = d.id ${link}
        WHERE d.workspace_id = ${workspaceId}::uuid AND d.contact_id IS NOT NULL AND e.workspace_id = ${workspaceId}::uuid
          AND e.kind = ${condition.activity === 'opened' ? 'OPEN' : 'CLICK'}::text AND e.actor <> 'machine'
          AND ${ofCampaign} AND ${during(sql`e.occurred_at`, condition.within, lookups)}`;
    }
    case 'bounced':
      return sql`SELECT d.contact_id FROM deliveries d
        WHERE d.workspace_id = ${workspaceId}::uuid AND d.contact_id IS NOT NULL AND d.status = 'FAILED'
          AND d.reason = 'ADDRESS_REJECTED' AND ${ofCampaign}
          AND ${during(sql`d.last_attempt_at`, condition.within, lookups)}
        UNION ALL
        SELECT x.contact_id FROM marketing_events x
        WHERE x.workspace_id = ${workspaceId}::uuid AND x.contact_id IS NOT NULL AND x.event_type = 'email_bounced'
          AND (${condition.campaign_id ?? null}::uuid IS NULL OR x.campaign_id = ${condition.campaign_id ?? null}::uuid)
          AND ${during(sql`x.created_at`, condition.within, lookups)}`;
    case 'received':
    case 'nothing_received':
      return sql`SELECT d.contact_id FROM deliveries d
        WHERE d.workspace_id = ${workspaceId}::uuid AND d.contact_id IS NOT NULL AND d.status = 'SENT'
          AND d.class IN ('bulk', 'journey') AND ${ofCampaign} AND ${during(sql`d.sent_at`, condition.within, lookups)}`;
  }
}

function fieldLeaf(condition: ConditionOf<'field'>, lookups: Lookups): Leaf {
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

function customFieldLeaf(condition: ConditionOf<'custom_field'>, lookups: Lookups): Leaf {
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

/** NULL where the column is. */
function compareValue(
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
