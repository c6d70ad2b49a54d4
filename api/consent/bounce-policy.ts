import { findBouncePolicy, saveBouncePolicy } from '../../db/delivery';
import { Problem } from '../http/problem';
import { type AnyRoute, defineRoute } from '../http/route';
import { z } from '../http/schemas';

const TAG = 'Suppressions';

const bouncePolicy = z.object({
  soft_bounces: z.number().int(),
  within_days: z.number().int(),
  version: z.number().int().openapi({ description: '0: the policy every workspace begins with.' }),
});

/** When soft bounces become a suppression. */
export const bouncePolicyRoutes: AnyRoute[] = [
  defineRoute({
    method: 'get',
    path: '/workspaces/{ws}/bounce-policy',
    operationId: 'getBouncePolicy',
    tag: TAG,
    summary: 'When an address with soft bounces is suppressed',
    access: 'workspace',
    permission: 'suppressions:read',
    responses: { 200: { description: 'The policy', schema: bouncePolicy } },
    async handle({ tx, workspaceId }) {
      const policy = await findBouncePolicy(tx, workspaceId);
      return { status: 200, body: showPolicy(policy), version: policy.version };
    },
  }),
  defineRoute({
    method: 'put',
    path: '/workspaces/{ws}/bounce-policy',
    operationId: 'setBouncePolicy',
    tag: TAG,
    summary: 'Change when an address with soft bounces is suppressed',
    description:
      'A soft bounce is a message that a mailbox refused with "later" until the last try: a full mailbox, for example. Counts from the next one on.',
    access: 'workspace',
    permission: 'suppressions:write',
    body: z.strictObject({
      soft_bounces: z.number().int().min(0).max(100).openapi({ description: '0: never.' }),
      within_days: z.number().int().min(1).max(365),
    }),
    responses: { 200: { description: 'The policy', schema: bouncePolicy } },
    async handle(context, { body, ifMatch }) {
      const { tx, workspaceId } = context;
      const before = await findBouncePolicy(tx, workspaceId);
      if (ifMatch !== null && ifMatch !== before.version) {
        throw new Problem('version-mismatch', `The policy is at version ${before.version}. Read it again.`);
      }
      const after = await saveBouncePolicy(tx, workspaceId, {
        softBounces: body.soft_bounces,
        withinDays: body.within_days,
      });
      await context.audit({
        action: 'bounce_policy.update',
        entityType: 'workspace',
        entityId: workspaceId,
        old: showPolicy(before),
        new: showPolicy(after),
      });
      return { status: 200, body: showPolicy(after), version: after.version };
    },
  }),
];

function showPolicy(policy: Awaited<ReturnType<typeof findBouncePolicy>>): z.output<typeof bouncePolicy> {
  return { soft_bounces: policy.softBounces, within_days: policy.withinDays, version: policy.version };
}
