import { z } from 'zod';

/** A condition of a gate. `fields` names first_name, last_name, locale, time_zone or custom fields. */
export const gateCondition = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('consent'), purposeId: z.string() }),
  z.strictObject({ type: z.literal('audience'), audienceId: z.string() }),
  z.strictObject({ type: z.literal('fields'), names: z.array(z.string()).min(1) }),
]);
export type GateCondition = z.infer<typeof gateCondition>;

export interface GatePolicy {
  match: 'all' | 'any';
  /** None: everybody who can read the mail gets the resource. */
  conditions: readonly GateCondition[];
}

/** What is known of a visitor. */
export interface GateFacts {
  /** Purposes with a consent that is granted: confirmed, not only asked for. */
  consents: ReadonlySet<string>;
  /** Lists that the contact is on. */
  audiences: ReadonlySet<string>;
  /** Fields with a value, submitted now or known from before. */
  fields: ReadonlySet<string>;
}

/** One condition with what became of it; kept with the grant. */
export interface GateVerdict {
  condition: GateCondition;
  met: boolean;
}

/** Whether a visitor may have the resource, condition by condition. Pure. */
export function judgeGate(policy: GatePolicy, facts: GateFacts): { open: boolean; verdicts: GateVerdict[] } {
  const verdicts = policy.conditions.map((condition) => ({ condition, met: isMet(condition, facts) }));
  const open =
    verdicts.length === 0 ||
    (policy.match === 'all' ? verdicts.every(({ met }) => met) : verdicts.some(({ met }) => met));
  return { open, verdicts };
}

function isMet(condition: GateCondition, facts: GateFacts): boolean {
  switch (condition.type) {
    case 'consent':
      return facts.consents.has(condition.purposeId);
    case 'audience':
      return facts.audiences.has(condition.audienceId);
    case 'fields':
      return condition.names.every((name) => facts.fields.has(name));
  }
}

/** Fields that a visitor has to submit whatever else is known: only where every condition must be met. */
export function requiredFields(policy: GatePolicy): string[] {
  if (policy.match === 'any') return [];
  return [...new Set(policy.conditions.flatMap((condition) => (condition.type === 'fields' ? condition.names : [])))];
}
