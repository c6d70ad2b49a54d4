import type { AnyRoute } from '../http/route';
import { audienceCrudRoutes } from './audiences';
import { calculationRoutes } from './calculation';
import { memberRoutes } from './members';

export { maybeConditions, requireConditions } from './conditions';

/** Operations of the audiences area: static lists, dynamic audiences, previews. */
export const audienceRoutes: AnyRoute[] = [...audienceCrudRoutes, ...calculationRoutes, ...memberRoutes];
