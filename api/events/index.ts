import type { AnyRoute } from '../http/route';
import { intakeRoutes } from './events';
import { typeRoutes } from './types';

/** Operations of the events area: intake and types. */
export const eventRoutes: AnyRoute[] = [...intakeRoutes, ...typeRoutes];
