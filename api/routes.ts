import { audienceRoutes } from './audiences';
import { campaignRoutes } from './campaigns';
import { consentAreaRoutes } from './consent';
import { contactsRoutes } from './contacts';
import { followMerges } from './contacts/follow-merges';
import { rightsRoutes } from './contacts/rights';
import { contentRoutes } from './content';
import { campaignDeliveryRoutes } from './delivery/campaign-routes';
import { eventRoutes } from './events';
import { gatesRoutes } from './gates';
import type { AnyRoute } from './http/route';
import { journeyRoutes } from './journeys';
import { senderRoutes } from './senders';
import { trackingRoutes } from './tracking/routes';
import { workspaceRoutes } from './workspace';

const areas: AnyRoute[] = [
  ...workspaceRoutes,
  ...contactsRoutes,
  ...rightsRoutes,
  ...audienceRoutes,
  ...eventRoutes,
  ...consentAreaRoutes,
  ...contentRoutes,
  ...campaignRoutes,
  ...campaignDeliveryRoutes,
  ...senderRoutes,
  ...gatesRoutes,
  ...journeyRoutes,
  ...trackingRoutes,
];

/** Every operation of the API, by area. */
export const routes: AnyRoute[] = areas.map(followMerges);
