import type { AnyRoute } from '../http/route';
import { breakerRoutes } from './breakers';
import { explainRoutes } from './explain';
import { ledgerRoutes } from './ledger';
import { listRoutes } from './list';
import { recipientRoutes } from './recipients';
import { requeueRoutes } from './requeue';
import { settleRoutes } from './settle';
import { transactionalRoutes } from './transactional';

/** The ledger: what became of messages, settling what is unknown, and single transactional messages. */
export const campaignDeliveryRoutes: AnyRoute[] = [
  ...recipientRoutes,
  ...ledgerRoutes,
  ...listRoutes,
  ...breakerRoutes,
  ...explainRoutes,
  ...requeueRoutes,
  ...settleRoutes,
  ...transactionalRoutes,
];
