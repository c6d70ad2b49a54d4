import { resolveConditions } from '../../db/audiences';
import { type ConditionTree, condition, MAX_CONDITIONS, MAX_DEPTH, parseConditions } from '../../domain/audiences';
import { Problem } from '../http/problem';
import type { WorkspaceContext } from '../http/route';
import { z } from '../http/schemas';

const { $schema: _draft, ...conditionSchema } = z.toJSONSchema(condition, { io: 'input', unrepresentable: 'any' });
const nested = { $ref: '#/components/schemas/Conditions' };

/** A tree of conditions; `requireConditions` reads it. */
export const conditionTree = z.unknown().openapi('Conditions', {
  description:
    `Conditions about a contact, nested by {"all": […]}, {"any": […]} and {"not": …}, at most ${MAX_DEPTH} deep and ` +
    `${MAX_CONDITIONS} altogether. A comparison with a missing value is false; "not" is true for all others.`,
  anyOf: [
    ...['all', 'any'].map((group) => ({
      type: 'object' as const,
      properties: { [group]: { type: 'array' as const, items: nested, minItems: 1, maxItems: MAX_CONDITIONS } },
      required: [group],
      additionalProperties: false,
    })),
    { type: 'object' as const, properties: { not: nested }, required: ['not'], additionalProperties: false },
    // The document is JSON Schema 2020-12 (OpenAPI 3.1); the two libraries type it differently.
    ...(conditionSchema.oneOf ?? conditionSchema.anyOf ?? []).map((branch) => JSON.parse(JSON.stringify(branch))),
  ],
  example: {
    all: [
      { type: 'consent', purpose: 'newsletter', status: 'granted' },
      { not: { type: 'engagement', activity: 'opened', within: { amount: 30, unit: 'days' } } },
    ],
  },
});

/** The same, or null. */
export const maybeConditions = z.union([conditionTree, z.null()]);

/**
 * Reads a tree and finds what it refers to in the workspace; 422 that points at each wrong place.
 * @param field where the tree stands in the body
 */
export async function requireConditions(
  context: WorkspaceContext,
  given: unknown,
  field = 'conditions',
): Promise<ConditionTree> {
  const parsed = parseConditions(given);
  if (!parsed.ok) throw refused(parsed.problems, field);
  const resolution = await resolveConditions(context.tx, context.workspaceId, parsed.tree);
  if (!resolution.ok) throw refused(resolution.problems, field);
  return parsed.tree;
}

function refused(problems: { path: string; message: string }[], field: string): Problem {
  const errors = problems.map(({ path, message }) => ({
    pointer: `/body/${field}${path === '' ? '' : `/${path}`}`,
    detail: message,
  }));
  return new Problem('validation-failed', errors[0]?.detail ?? 'The conditions are not valid.', { errors });
}
