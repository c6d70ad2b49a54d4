import { listDeliveries } from '../../db/delivery/list';
import { DELIVERY_STATUSES } from '../../domain/delivery';
import { type AnyRoute, defineRoute } from '../http/route';
import { cutPage, decodeIdCursor, id, pageOf, pageQuery, z } from '../http/schemas';
import { deliveryDocument, toDelivery } from './delivery-document';

const list = defineRoute({
  operationId: 'listDeliveries',
  method: 'get',
  path: '/workspaces/{ws}/deliveries',
  tag: 'Delivery',
  summary: 'Lists rows of the ledger',
  description:
    'Of a campaign, of a contact, or what is on the wire (`status=SENDING`) or unknown (`status=UNCONFIRMED`): one of ' +
    'them must be asked for, since a ledger holds millions of rows. In the order in which they were made.',
  access: 'workspace',
  permission: 'delivery:read',
  query: pageQuery
    .extend({ status: z.enum(DELIVERY_STATUSES).optional(), campaign_id: id.optional(), contact_id: id.optional() })
    .superRefine((query, context) => {
      const bounded = query.campaign_id ?? query.contact_id;
      if (bounded !== undefined || query.status === 'SENDING' || query.status === 'UNCONFIRMED') return;
      const message = 'Ask for a campaign_id, a contact_id, or the status SENDING or UNCONFIRMED.';
      context.addIssue({ code: 'custom', path: ['status'], message });
    }),
  responses: { 200: { description: 'A page of rows', schema: pageOf(deliveryDocument) } },
  async handle({ tx, workspaceId }, { query }) {
    const rows = await listDeliveries(tx, workspaceId, {
      status: query.status ?? null,
      campaignId: query.campaign_id ?? null,
      contactId: query.contact_id ?? null,
      after: decodeIdCursor(query.cursor),
      limit: query.limit,
    });
    return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], toDelivery) };
  },
});

export const listRoutes: AnyRoute[] = [list];
