import { type Condition, type ConditionTree, conditionsOf } from './conditions';

/** Where one finds the contacts for whom a tree's result may have changed. */
export interface TrackedChanges {
  /** Types of events that tell of a change, besides those of contacts and consents, which always do. */
  eventTypes: string[];
  /** Audiences whose memberships matter. */
  usesAudiences: string[];
  /** Whether opens and clicks matter. */
  engagement: boolean;
  /** Whether it matters what became of messages: received, refused. */
  outcomes: boolean;
}

/**
 * What to go by in order to calculate a tree again for those alone who changed; null where that cannot be known: a
 * condition changes by time alone, or asks about something that not every writer tells of contact by contact (status,
 * categories, pending consents).
 */
export function trackedChanges(tree: ConditionTree): TrackedChanges | null {
  const conditions = conditionsOf(tree).map(({ condition }) => condition);
  if (!conditions.every(isTracked)) return null;
  const unique = (values: string[]) => [...new Set(values)].sort();
  const activities = conditions.flatMap((condition) => (condition.type === 'engagement' ? [condition.activity] : []));
  return {
    eventTypes: unique(conditions.flatMap(eventTypesOf)),
    usesAudiences: unique(
      conditions.flatMap((condition) => (condition.type === 'audience' ? [condition.audience_id] : [])),
    ),
    engagement: activities.some((activity) => activity === 'opened' || activity === 'clicked'),
    outcomes: activities.some((activity) => activity !== 'opened' && activity !== 'clicked'),
  };
}

function eventTypesOf(condition: Condition): string[] {
  if (condition.type === 'event') return [condition.event_type];
  // What a provider reports later than it accepted the message.
  return condition.type === 'engagement' && condition.activity === 'bounced' ? ['email_bounced'] : [];
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
    case 'engagement':
      return condition.within === undefined;
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
