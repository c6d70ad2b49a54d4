import { type Condition, type ConditionTree, conditionsOf } from './conditions';

/** Where one finds the contacts for whom a tree's result may have changed. */
export interface TrackedChanges {
  /** Types of events that tell of a change, besides those of contacts and consents, which always do. */
  eventTypes: string[];
  /** Audiences whose memberships matter. */
  usesAudiences: string[];
  /** Whether opens and clicks matter. */
  engagement: boolean;
}

/**
 * What to go by in order to calculate a tree again for those alone who changed; null where that cannot be known: a
 * condition changes by time alone, or asks about something that not every writer tells of contact by contact (status,
 * categories, pending consents, deliveries).
 */
export function trackedChanges(tree: ConditionTree): TrackedChanges | null {
  const conditions = conditionsOf(tree).map(({ condition }) => condition);
  if (!conditions.every(isTracked)) return null;
  const unique = (values: string[]) => [...new Set(values)].sort();
  return {
    eventTypes: unique(conditions.flatMap((condition) => (condition.type === 'event' ? [condition.event_type] : []))),
    usesAudiences: unique(
      conditions.flatMap((condition) => (condition.type === 'audience' ? [condition.audience_id] : [])),
    ),
    engagement: conditions.some((condition) => condition.type === 'engagement'),
  };
}

function isTracked(condition: Condition): boolean {
  switch (condition.type) {
    case 'field':
      return condition.field !== 'status' && !isRelative(condition.operator);
    case 'custom_field':
      return !isRelative(condition.operator);
    case 'consent':
      return condition.status === 'granted' || condition.status === 'denied';
    case 'submission':
    case 'event':
      return condition.within === undefined;
    case 'engagement':
      return (condition.activity === 'opened' || condition.activity === 'clicked') && condition.within === undefined;
    case 'audience':
      return true;
    case 'category':
      return false;
  }
}

/** Whether an operator compares with the present moment. */
export function isRelative(operator: string): boolean {
  return operator === 'within_last' || operator === 'within_next' || operator === 'older_than';
}
