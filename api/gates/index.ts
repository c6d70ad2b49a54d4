import type { AnyRoute } from '../http/route';
import { gateRoutes } from './gates';
import { publicGateRoutes } from './public';

/** Operations of the gates area. */
export const gatesRoutes: AnyRoute[] = [...gateRoutes, ...publicGateRoutes];
