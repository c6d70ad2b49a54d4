import { findCampaign, listRecipients, type RecipientRow } from '../../db/campaigns';
import { RECIPIENT_STATUSES, recipientStatus } from '../../domain/campaigns';
import { DELIVERY_STATUSES } from '../../domain/delivery';
import { notFound } from '../http/problem';
import { type AnyRoute, defineRoute } from '../http/route';
import { cutPage, decodeCursor, id, moment, pageOf, pageQuery, z } from '../http/schemas';

const recipientDocument = z
  .object({
    id: z.uuid().openapi({ description: 'Of the message’s row in the ledger.' }),
    contact_id: z.uuid().nullable(),
    email: z.string().nullable(),
    recipient_name: z.string().nullable(),
    status: z.enum(RECIPIENT_STATUSES),
    reason: z.string().nullable().openapi({ description: 'Why it failed, or what it waits for.' }),
    delivery_status: z.enum(DELIVERY_STATUSES),
    attempts: z.number().int(),
    sent_at: moment.nullable(),
    created_at: moment,
  })
  .openapi('Recipient');

function toRecipient(row: RecipientRow) {
  return {
    id: row.id,
    contact_id: row.contact_id,
    email: row.email,
    recipient_name: row.recipient_name,
    status: recipientStatus(row.status, row),
    reason: row.reason,
    delivery_status: row.status,
    attempts: row.attempts,
    sent_at: row.sent_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
  };
}

const list = defineRoute({
  operationId: 'listCampaignRecipients',
  method: 'get',
  path: '/workspaces/{ws}/email-marketing/campaigns/{campaign_id}/recipients',
  tag: 'Delivery',
  summary: 'Lists everybody in the campaign’s audience and what became of their message',
  description:
    'PENDING: queued, being sent, or outcome unknown. FAILED: also cancelled; suppressed and unsubscribed contacts are ' +
    'here with their reason. Then the strongest of UNSUBSCRIBED, BOUNCED, CLICKED, OPENED, DELIVERED, SENT; DELIVERED ' +
    'and BOUNCED need events of providers. Empty until the campaign begins.',
  access: 'workspace',
  permission: 'delivery:read',
  params: z.strictObject({ campaign_id: id }),
  query: pageQuery.extend({ status: z.enum(RECIPIENT_STATUSES).optional() }),
  responses: { 200: { description: 'A page of recipients', schema: pageOf(recipientDocument) } },
  async handle(context, { params, query }) {
    const campaign = await findCampaign(context.tx, context.workspaceId, params.campaign_id);
    if (!campaign) throw notFound('campaign');
    const [after = null] = decodeCursor(query.cursor, 1) ?? [];
    if (!campaign.run_id) return { status: 200, body: { items: [], next_cursor: null } };
    const rows = await listRecipients(context.tx, {
      workspaceId: context.workspaceId,
      runId: campaign.run_id,
      status: query.status ?? null,
      after,
      limit: query.limit,
    });
    return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], toRecipient) };
  },
});

export const recipientRoutes: AnyRoute[] = [list];
