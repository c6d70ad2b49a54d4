import type { AnyRoute } from '../http/route';
import { sequenceActionRoutes } from './actions';
import { enrolmentRoutes } from './enrolments';
import { sequenceForecastRoutes } from './forecast';
import { mailboxRoutes } from './mailboxes';
import { sequenceCrudRoutes } from './sequences';
import { sequenceSubmitRoutes } from './submit';

/** Operations of the journeys area: mailboxes, sequences, enrolments. */
export const journeyRoutes: AnyRoute[] = [
  ...mailboxRoutes,
  ...sequenceCrudRoutes,
  ...sequenceSubmitRoutes,
  ...sequenceActionRoutes,
  ...enrolmentRoutes,
  ...sequenceForecastRoutes,
];
