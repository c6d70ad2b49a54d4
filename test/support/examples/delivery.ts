import { uuidv7 } from '../../../platform/ids';
import { draftCampaign } from './content';
import type { Examples } from './example';

/** Requests of the operations of the ledger. */
export const deliveryExamples: Examples = {
  listBreakers: () => ({}),
  listDeliveries: () => ({ query: { status: 'UNCONFIRMED' } }),
  requeueDeliveries: async (world) => ({
    body: { campaign_id: await draftCampaign(world), reasons: ['RETRIES_EXHAUSTED'], note: 'The relay was full.' },
  }),
  settleDeliveries: () => ({
    body: { items: [{ source_id: uuidv7(), delivery_id: uuidv7(), outcome: 'SENT' }] },
  }),
  explainContact: async (world) => ({
    params: { contact_id: await world.contact() },
    query: { campaign: await draftCampaign(world) },
  }),
};
