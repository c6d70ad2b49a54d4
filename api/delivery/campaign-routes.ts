import type { AnyRoute } from '../http/route';
import { ledgerRoutes } from './ledger';
import { recipientRoutes } from './recipients';
import { transactionalRoutes } from './transactional';

/** What became of a campaign's messages, and single transactional messages. */
export const campaignDeliveryRoutes: AnyRoute[] = [...recipientRoutes, ...ledgerRoutes, ...transactionalRoutes];
