import { type Condition, type ConditionTree, conditionsOf } from './conditions';
import { isRelative } from './tracked';

/** What can make a dynamic audience's members change. */
export interface Dependencies {
  /** 'profile', 'consent', 'category', 'event:{type}': kinds of change that events tell of. */
  dependsOn: string[];
  /** Changes by time alone, or by what no event tells of: engagement, deliveries, the address's status. */
  timeDependent: boolean;
  usesAudiences: string[];
}

/** What a tree's result depends on. Every tree depends on profiles: a new contact may belong to it. */
export function dependenciesOf(tree: ConditionTree): Dependencies {
  const dependsOn = new Set(['profile']);
  const usesAudiences = new Set<string>();
  let timeDependent = false;
  for (const { condition } of conditionsOf(tree)) {
    timeDependent ||= isTimeDependent(condition);
    if (condition.type === 'consent') dependsOn.add('consent');
    if (condition.type === 'category') dependsOn.add('category');
    if (condition.type === 'event') dependsOn.add(`event:${condition.event_type}`);
    if (condition.type === 'audience') usesAudiences.add(condition.audience_id);
  }
  return { dependsOn: [...dependsOn].sort(), timeDependent, usesAudiences: [...usesAudiences].sort() };
}

function isTimeDependent(condition: Condition): boolean {
  switch (condition.type) {
    case 'field':
      return condition.field === 'status' || isRelative(condition.operator);
    case 'custom_field':
      return isRelative(condition.operator);
    case 'engagement':
      return true;
    case 'submission':
    case 'event':
      return condition.within !== undefined;
    case 'consent':
    case 'category':
    case 'audience':
      return false;
  }
}

/**
 * The kinds of change that an event of this type may mean; dynamic audiences that depend on one of them are dirty.
 * `custom`: the event came in from outside, or is one of Sally's own that a condition names.
 */
export function changesToldBy(eventType: string): string[] {
  const changes = [`event:${eventType}`];
  if (eventType.startsWith('contact')) changes.push('profile');
  // An unsubscribe may end a consent, leave a category, or both.
  if (eventType.startsWith('consent_') || eventType === 'email_unsubscribed') changes.push('consent');
  if (eventType.startsWith('preferences_') || eventType === 'email_unsubscribed') changes.push('category');
  // A merge or an erasure moves consents and preferences as well.
  if (eventType === 'contact_merged' || eventType === 'contact_erased') changes.push('consent', 'category');
  return changes;
}
