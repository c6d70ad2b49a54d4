import type { AnyRoute } from '../http/route';
import { audienceCrudRoutes } from './audiences';
import { memberRoutes } from './members';

/** Operations of the audiences area: static lists. */
export const audienceRoutes: AnyRoute[] = [...audienceCrudRoutes, ...memberRoutes];
