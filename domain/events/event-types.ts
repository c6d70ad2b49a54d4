import { checkValue } from '../contacts';

/** Types of values that a described event may carry. */
export const EVENT_FIELD_TYPES = ['text', 'number', 'boolean', 'date', 'datetime'] as const;

export interface EventField {
  name: string;
  type: (typeof EVENT_FIELD_TYPES)[number];
  required: boolean;
}

/** An event may have happened this long ago: within it, the partition of its month always exists. */
export const OLDEST_EVENT_DAYS = 28;
/** Clocks of clients may be ahead. */
export const NEWEST_EVENT_MINUTES = 5;

/** Sally's own events begin with these; one from outside would be mistaken for them. */
const RESERVED =
  /^(contact|consent|email|campaign|journey|sequence|segment|audience|preferences|suppression|message|sally)(s?_|$)/;

/** Why a type cannot come in from outside, or null. */
export function eventTypeProblem(name: string): string | null {
  if (!/^[a-z][a-z0-9_]{0,49}$/.test(name)) {
    return 'must be lower-case letters, digits and _, beginning with a letter, at most 50';
  }
  return RESERVED.test(name) ? 'begins like one of Sally’s own events; give it another name' : null;
}

/** Why a moment cannot be that of an event received now, or null. */
export function occurredAtProblem(occurredAt: Date, now: Date): string | null {
  const age = now.getTime() - occurredAt.getTime();
  if (age > OLDEST_EVENT_DAYS * 86_400_000) return `must not be more than ${OLDEST_EVENT_DAYS} days ago`;
  if (age < -NEWEST_EVENT_MINUTES * 60_000) return 'must not lie in the future';
  return null;
}

/** Why a payload does not fit what its type describes, or null. Members that are not described may be anything. */
export function payloadProblem(payload: Record<string, unknown>, fields: readonly EventField[]): string | null {
  for (const { name, type, required } of fields) {
    const value = Object.hasOwn(payload, name) ? payload[name] : null;
    if (value === null || value === undefined) {
      if (required) return `payload.${name} is required`;
      continue;
    }
    const checked = checkValue({ key: name, type, required }, value);
    if (!checked.ok) return `payload.${name} ${checked.message}`;
  }
  return null;
}
