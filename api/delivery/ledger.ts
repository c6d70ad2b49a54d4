import { countLedger, findCampaign, findRun } from '../../db/campaigns';
import { DELIVERY_STATUSES } from '../../domain/delivery';
import { proofOf } from '../../domain/delivery/proof';
import { notFound } from '../http/problem';
import { type AnyRoute, defineRoute } from '../http/route';
import { id, z } from '../http/schemas';

const count = z.number().int();
const status = z.enum(DELIVERY_STATUSES);
const side = z.object({ of: z.string(), count });

const ledgerDocument = z
  .object({
    campaign_id: z.uuid(),
    run_id: z.uuid().nullable(),
    phase: z.enum(['PENDING', 'MATERIALISING', 'MATERIALISED']).nullable(),
    audience_size: count.nullable(),
    rows: count,
    by_status: z.object({
      QUEUED: count,
      SENDING: count,
      SENT: count,
      FAILED: count,
      UNCONFIRMED: count,
      CANCELLED: count,
    }),
    reasons: z.array(z.object({ status, reason: z.string(), count })),
    accepted: z.object({
      in_groups: count.openapi({ description: 'As the channel counted them.' }),
      late: count.openapi({ description: 'Known only after their group was closed: replies, evidence, operators.' }),
    }),
    balanced: z.boolean(),
    equations: z.array(z.object({ name: z.string(), left: side, right: side, holds: z.boolean() })),
  })
  .openapi('Ledger');

const NO_COUNTS = {
  audience_size: null,
  rows: 0,
  by_status: {},
  reasons: [],
  accepted_in_groups: 0,
  accepted_late: 0,
  counters: { materialised: 0, queued: 0, sending: 0, sent: 0, failed: 0, unconfirmed: 0, cancelled: 0 },
};

const show = defineRoute({
  operationId: 'getCampaignLedger',
  method: 'get',
  path: '/workspaces/{ws}/email-marketing/campaigns/{campaign_id}/ledger',
  tag: 'Delivery',
  summary: 'Proves that every message of a campaign is accounted for',
  description:
    'Compares counts that were made independently of each other: the audience and the rows, rows that are SENT and ' +
    'acceptances counted by the channel, rows and the counters of each process. They agree at every moment, not only ' +
    'at the end.',
  access: 'workspace',
  permission: 'delivery:read',
  params: z.strictObject({ campaign_id: id }),
  responses: { 200: { description: 'The proof', schema: ledgerDocument } },
  async handle(context, { params }) {
    const { tx, workspaceId } = context;
    const campaign = await findCampaign(tx, workspaceId, params.campaign_id);
    if (!campaign) throw notFound('campaign');
    const run = campaign.run_id ? await findRun(tx, workspaceId, campaign.run_id) : null;
    const counts = run ? await countLedger(tx, { workspaceId, runId: run.id, streamId: run.stream_id }) : NO_COUNTS;
    const proof = proofOf({
      audienceSize: counts.audience_size,
      rows: counts.rows,
      byStatus: counts.by_status,
      acceptedInGroups: counts.accepted_in_groups,
      acceptedLate: counts.accepted_late,
      counters: counts.counters,
    });
    const none = { QUEUED: 0, SENDING: 0, SENT: 0, FAILED: 0, UNCONFIRMED: 0, CANCELLED: 0 };
    return {
      status: 200,
      body: {
        campaign_id: campaign.id,
        run_id: run?.id ?? null,
        phase: run?.phase ?? null,
        audience_size: counts.audience_size,
        rows: counts.rows,
        by_status: { ...none, ...counts.by_status },
        reasons: counts.reasons,
        accepted: { in_groups: counts.accepted_in_groups, late: counts.accepted_late },
        ...proof,
      },
    };
  },
});

export const ledgerRoutes: AnyRoute[] = [show];
