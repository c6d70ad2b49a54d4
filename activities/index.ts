import { createAudienceActivities } from './audiences';
import { createCampaignActivities } from './campaigns';
import { createConsentActivities } from './consent';
import { createContactActivities } from './contacts';
import { createRightsActivities } from './contacts/rights';
import { createDeliveryControlActivities } from './delivery/control';
import type { ActivityDependencies } from './dependencies';
import { createEventActivities } from './events';
import { createJourneyActivities } from './journeys';
import { createSenderActivities } from './senders';

/** Activities of the control queue, by area. */
export function createControlActivities(deps: ActivityDependencies) {
  return {
    ...createAudienceActivities(deps),
    ...createCampaignActivities(deps),
    ...createConsentActivities(deps),
    ...createContactActivities(deps),
    ...createDeliveryControlActivities(deps),
    ...createEventActivities(deps),
    ...createRightsActivities(deps),
    ...createJourneyActivities(deps),
    ...createSenderActivities(deps),
  };
}
