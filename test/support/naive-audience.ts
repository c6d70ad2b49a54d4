import type { Condition, ConditionTree, ConditionValue, Duration } from '../../domain/audiences';
import { localDate } from '../../domain/shared/zones';

/** A contact with everything that conditions ask about, as a test made it. */
export interface KnownContact {
  id: string;
  email: string;
  firstName: string;
  lastName: string;
  locale: string | null;
  timeZone: string | null;
  status: string;
  tags: string[];
  createdAt: Date;
  fields: Record<string, string | number | boolean | string[]>;
  gone: boolean;
  /** The contact that this one was merged into: its history is that one's, too. */
  mergedInto: string | null;
  /** Status by purpose. */
  consents: Record<string, string>;
  /** Subscribed or not, by category. */
  categories: Record<string, boolean>;
  audiences: string[];
  submissions: { origin: string; at: Date }[];
  events: { type: string; at: Date; campaignId: string | null }[];
  deliveries: KnownDelivery[];
}

export interface KnownDelivery {
  campaignId: string | null;
  class: string;
  status: string;
  reason: string | null;
  at: Date;
  engagements: { kind: 'OPEN' | 'CLICK'; actor: string; url: string | null; at: Date }[];
}

export interface NaiveWorld {
  contacts: KnownContact[];
  now: Date;
  workspaceZone: string;
  fieldTypes: Record<string, string>;
}

/** The ids of all contacts that a tree is true for, contact by contact and in plain words. */
export function naiveMembers(tree: ConditionTree, world: NaiveWorld): string[] {
  return world.contacts
    .filter((contact) => !contact.gone && contact.mergedInto === null && holds(tree, contact, world))
    .map((contact) => contact.id)
    .sort();
}

function holds(tree: ConditionTree, contact: KnownContact, world: NaiveWorld): boolean {
  if ('all' in tree) return tree.all.every((child) => holds(child, contact, world));
  if ('any' in tree) return tree.any.some((child) => holds(child, contact, world));
  if ('not' in tree) return !holds(tree.not, contact, world);
  return conditionHolds(tree, contact, world);
}

function conditionHolds(condition: Condition, contact: KnownContact, world: NaiveWorld): boolean {
  const family = [contact, ...world.contacts.filter((other) => other.mergedInto === contact.id)];
  const recent = (at: Date, within: Duration | undefined) =>
    within === undefined || (at > new Date(world.now.getTime() - inMs(within)) && at <= world.now);
  switch (condition.type) {
    case 'field':
      return valueHolds(builtIn(condition.field, contact), condition.operator, condition.value, contact, world);
    case 'custom_field':
      return valueHolds(
        contact.fields[condition.field] ?? null,
        condition.operator,
        condition.value,
        contact,
        world,
        world.fieldTypes[condition.field],
      );
    case 'consent':
      return (contact.consents[condition.purpose] ?? 'none') === condition.status;
    case 'category':
      return (contact.categories[condition.category] ?? true) === condition.subscribed;
    case 'audience':
      return contact.audiences.includes(condition.audience_id);
    case 'submission': {
      const all = family.flatMap((member) => member.submissions);
      const found = all.filter(
        ({ origin, at }) =>
          (condition.origin === undefined || origin === condition.origin) && recent(at, condition.within),
      );
      return found.length >= (condition.at_least ?? 1);
    }
    case 'event': {
      const all = family.flatMap((member) => member.events);
      const found = all.filter(({ type, at }) => type === condition.event_type && recent(at, condition.within));
      return found.length >= (condition.at_least ?? 1);
    }
    case 'engagement':
      return engagementHolds(condition, family, recent);
  }
}

function engagementHolds(
  condition: Condition & { type: 'engagement' },
  family: KnownContact[],
  recent: (at: Date, within: Duration | undefined) => boolean,
): boolean {
  const deliveries = family
    .flatMap((member) => member.deliveries)
    .filter(({ campaignId }) => condition.campaign_id === undefined || campaignId === condition.campaign_id);
  const received = deliveries.some(
    (delivery) =>
      delivery.status === 'SENT' &&
      ['bulk', 'journey'].includes(delivery.class) &&
      recent(delivery.at, condition.within),
  );
  switch (condition.activity) {
    case 'received':
      return received;
    case 'nothing_received':
      return !received;
    case 'bounced':
      return (
        deliveries.some(
          ({ status, reason, at }) =>
            status === 'FAILED' && reason === 'ADDRESS_REJECTED' && recent(at, condition.within),
        ) ||
        family
          .flatMap((member) => member.events)
          .some(
            ({ type, at, campaignId }) =>
              type === 'email_bounced' &&
              (condition.campaign_id === undefined || campaignId === condition.campaign_id) &&
              recent(at, condition.within),
          )
      );
    case 'opened':
    case 'clicked':
      return deliveries
        .flatMap((delivery) => delivery.engagements)
        .some(
          ({ kind, actor, url, at }) =>
            kind === (condition.activity === 'opened' ? 'OPEN' : 'CLICK') &&
            actor !== 'machine' &&
            (condition.url === undefined || url === condition.url) &&
            recent(at, condition.within),
        );
  }
}

function builtIn(field: string, contact: KnownContact): string | string[] | Date | null {
  switch (field) {
    case 'email':
      return contact.email;
    case 'email_domain':
      return contact.email.split('@').at(-1) ?? '';
    case 'first_name':
      return contact.firstName || null;
    case 'last_name':
      return contact.lastName || null;
    case 'locale':
      return contact.locale;
    case 'time_zone':
      return contact.timeZone;
    case 'status':
      return contact.status;
    case 'tags':
      return contact.tags;
    case 'created_at':
      return contact.createdAt;
    default:
      throw new Error(`no built-in field: ${field}`);
  }
}

function valueHolds(
  stored: string | number | boolean | string[] | Date | null,
  operator: string,
  operand: ConditionValue | undefined,
  contact: KnownContact,
  world: NaiveWorld,
  type?: string,
): boolean {
  if (operator === 'missing') return stored === null || (Array.isArray(stored) && stored.length === 0);
  if (stored === null || operand === undefined) return false;
  const zone = contact.timeZone ?? world.workspaceZone;
  const value = type === 'datetime' && typeof stored === 'string' ? new Date(stored) : stored;
  if (Array.isArray(value)) {
    const wanted = Array.isArray(operand) ? operand : [String(operand)];
    const has = (item: string) => value.includes(item);
    return operator === 'contains_any' ? wanted.some(has) : wanted.every(has);
  }
  if (value instanceof Date) {
    if (operator === 'on_date') return localDate(zone, value) === operand;
    const [at, now] = [value.getTime(), world.now.getTime()];
    if (typeof operand === 'string') {
      return operator === 'before' ? at < Date.parse(operand) : at > Date.parse(operand);
    }
    const length = isDuration(operand) ? inMs(operand) : Number.NaN;
    if (operator === 'within_last') return at > now - length && at <= now;
    if (operator === 'within_next') return at >= now && at < now + length;
    return at <= now - length;
  }
  if (type === 'date' && typeof value === 'string' && isDuration(operand)) {
    const today = localDate(zone, world.now);
    const days = operand.amount * (operand.unit === 'weeks' ? 7 : 1);
    if (operator === 'within_last') return value > addDays(today, -days) && value <= today;
    if (operator === 'within_next') return value >= today && value < addDays(today, days);
    return value <= addDays(today, -days);
  }
  return plainHolds(value, operator, operand);
}

function plainHolds(value: string | number | boolean, operator: string, operand: ConditionValue): boolean {
  const lower = (text: unknown) => String(text).toLowerCase();
  switch (operator) {
    case 'equals':
      return value === operand;
    case 'one_of':
      return Array.isArray(operand) && operand.includes(String(value));
    case 'contains':
      return lower(value).includes(lower(operand));
    case 'starts_with':
      return lower(value).startsWith(lower(operand));
    case 'ends_with':
      return lower(value).endsWith(lower(operand));
    case 'less_than':
    case 'before':
      return value < operand;
    case 'at_most':
      return value <= operand;
    case 'greater_than':
    case 'after':
      return value > operand;
    case 'at_least':
      return value >= operand;
    default:
      throw new Error(`no operator: ${operator}`);
  }
}

function isDuration(operand: ConditionValue): operand is Duration {
  return typeof operand === 'object' && !Array.isArray(operand);
}

function inMs(duration: Duration): number {
  return duration.amount * { hours: 3_600_000, days: 86_400_000, weeks: 604_800_000 }[duration.unit];
}

function addDays(date: string, days: number): string {
  return new Date(Date.parse(`${date}T00:00:00Z`) + days * 86_400_000).toISOString().slice(0, 10);
}
