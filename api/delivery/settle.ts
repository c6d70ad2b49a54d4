import { findCampaign } from '../../db/campaigns';
import { wakeLane } from '../../db/delivery';
import { OPERATOR_OUTCOMES, settleByOperator, unconfirmedOf } from '../../db/delivery/operator';
import { DELIVERY_STATUSES } from '../../domain/delivery';
import { notFound } from '../http/problem';
import { type AnyRoute, defineRoute, type WorkspaceContext } from '../http/route';
import { id, workflowReference, z } from '../http/schemas';
import { followLane } from './follow-lane';

const MOST = 1_000;

const outcome = z.enum(OPERATOR_OUTCOMES).openapi({
  description:
    'SENT: the relay took it. NOT_SENT: it did not; the message is queued again and goes a second time if that is ' +
    'wrong. FAILED: it did not, and it shall not be tried again.',
});

const item = z.strictObject({ source_id: id, delivery_id: id, outcome });

const body = z.union([
  z.strictObject({
    items: z
      .array(item)
      .min(1)
      .max(MOST)
      .superRefine((items, context) => {
        const seen = new Set<string>();
        for (const [index, { source_id, delivery_id }] of items.entries()) {
          const key = `${source_id} ${delivery_id}`;
          if (seen.has(key)) context.addIssue({ code: 'custom', path: [index], message: 'This row is named twice.' });
          seen.add(key);
        }
      }),
  }),
  z
    .strictObject({ campaign_id: id, outcome })
    .openapi({ description: `All UNCONFIRMED rows of a campaign, ${MOST} at a time.` }),
]);

const WARNING =
  'These messages are queued again. If the relay did take one of them, its recipient gets it twice: Sally cannot know.';

const settle = defineRoute({
  operationId: 'settleDeliveries',
  method: 'post',
  path: '/workspaces/{ws}/deliveries/settle',
  tag: 'Delivery',
  summary: 'Settles messages whose outcome is unknown, by what an operator found',
  description:
    'Only UNCONFIRMED rows are changed; every other one is answered with `not-unconfirmed` and left as it is. NOT_SENT ' +
    'is the one way in which bulk mail may go twice. A campaign that is SENT stays SENT; what is queued again is sent ' +
    'all the same, and asks every check again. The call is audited, and each row has its own late settlement.',
  access: 'workspace',
  permission: 'delivery:settle',
  idempotent: true,
  body,
  responses: {
    200: {
      description: 'What became of each row',
      schema: z.object({
        results: z.array(
          z.object({
            source_id: z.uuid(),
            delivery_id: z.uuid(),
            result: z.enum(['applied', 'not-unconfirmed', 'not-found']),
            status: z.enum(DELIVERY_STATUSES).nullable().openapi({ description: 'As it is now.' }),
          }),
        ),
        applied: z.number().int(),
        remaining: z
          .number()
          .int()
          .openapi({ description: 'UNCONFIRMED rows of the campaign left for a further call.' }),
        warning: z.string().nullable(),
        workflows: z.array(workflowReference).openapi({ description: 'Of the lanes in which rows wait again.' }),
      }),
    },
  },
  async handle(context, input) {
    const { tx, workspaceId, actor } = context;
    const wanted = await settlementsOf(context, input.body);
    const operator = { workspaceId, actorId: actor.userId };
    const { results, laneIds } = await settleByOperator(tx, operator, wanted.settlements);
    const applied = results.filter((row) => row.result === 'applied').length;
    const queued = results.filter((row) => row.result === 'applied' && row.status === 'QUEUED').length;
    await context.audit({
      action: 'delivery.settle',
      entityType: 'delivery',
      entityId: wanted.campaignId ?? (wanted.settlements.length === 1 ? (results[0]?.deliveryId ?? null) : null),
      new: { campaign_id: wanted.campaignId, outcomes: countBy(wanted.settlements), applied, queued_again: queued },
    });
    const workflows = [];
    for (const laneId of laneIds) workflows.push(followLane(context, { laneId, wake: await wakeLane(tx, laneId) }));
    return {
      status: 200,
      body: {
        results: results.map((row) => ({
          source_id: row.sourceId,
          delivery_id: row.deliveryId,
          result: row.result,
          status: row.status,
        })),
        applied,
        remaining: wanted.remaining,
        warning: queued > 0 ? WARNING : null,
        workflows,
      },
    };
  },
});

async function settlementsOf({ tx, workspaceId }: WorkspaceContext, wanted: z.output<typeof body>) {
  if ('items' in wanted) {
    const settlements = wanted.items.map((row) => ({
      sourceId: row.source_id,
      deliveryId: row.delivery_id,
      outcome: row.outcome,
    }));
    return { settlements, campaignId: null, remaining: 0 };
  }
  const campaign = await findCampaign(tx, workspaceId, wanted.campaign_id);
  if (!campaign) throw notFound('campaign');
  const { rows, total } = await unconfirmedOf(tx, workspaceId, campaign.id, MOST);
  const settlements = rows.map((row) => ({ ...row, outcome: wanted.outcome }));
  return { settlements, campaignId: campaign.id, remaining: total - rows.length };
}

function countBy(settlements: readonly { outcome: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { outcome } of settlements) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

export const settleRoutes: AnyRoute[] = [settle];
