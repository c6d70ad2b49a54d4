import type { DeliveryRow } from '../../db/delivery/list';
import { DELIVERY_STATUSES } from '../../domain/delivery';
import { moment, z } from '../http/schemas';

/** A row of the ledger in answers. */
export const deliveryDocument = z
  .object({
    id: z.uuid(),
    source_id: z
      .uuid()
      .openapi({ description: 'Campaign run, opt-in request or API request; with `id` the row’s key.' }),
    source_type: z.enum(['CAMPAIGN', 'OPT_IN', 'TRANSACTIONAL', 'TEST', 'SEQUENCE']),
    step_key: z.string(),
    campaign_id: z.uuid().nullable(),
    contact_id: z.uuid().nullable(),
    email: z.string().nullable().openapi({ description: 'As sent; null for a contact nothing was sent to yet.' }),
    message_id: z.uuid().openapi({ description: 'The frozen message.' }),
    class: z.enum(['transactional', 'opt-in', 'journey', 'bulk', 'test']),
    status: z.enum(DELIVERY_STATUSES),
    reason: z.string().nullable(),
    attempts: z.number().int(),
    not_before: moment,
    last_attempt_at: moment.nullable(),
    sent_at: moment.nullable(),
    created_at: moment,
    rfc_message_id: z.string().openapi({ description: 'The Message-ID header, to be looked for in the relay’s log.' }),
    route: z
      .object({
        provider_id: z.uuid().openapi({ description: 'The nil UUID: the fallback sender of the installation.' }),
        identity_id: z.uuid(),
        dedicated_ip_id: z.uuid().nullable(),
        reason: z.string().openapi({ description: 'Why this way: what it was chosen by, or moved from.' }),
      })
      .nullable()
      .openapi({ description: 'The way it took last; null before the first.' }),
  })
  .openapi('Delivery');

export function toDelivery(row: DeliveryRow): z.output<typeof deliveryDocument> {
  return {
    ...row,
    not_before: row.not_before.toISOString(),
    last_attempt_at: row.last_attempt_at?.toISOString() ?? null,
    sent_at: row.sent_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
  };
}
