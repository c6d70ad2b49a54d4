import type { AnyRoute } from '../http/route';
import { actionRoutes } from './actions';
import { campaignCrudRoutes } from './campaigns';
import { campaignForecastRoutes } from './forecast';
import { submitRoutes } from './submit';
import { testSendRoutes } from './test-send';

/** Operations of campaigns: drafting, submitting, starting and stopping, test mail. */
export const campaignRoutes: AnyRoute[] = [
  ...campaignCrudRoutes,
  ...submitRoutes,
  ...actionRoutes,
  ...testSendRoutes,
  ...campaignForecastRoutes,
];
