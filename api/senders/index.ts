import type { AnyRoute } from '../http/route';
import { checkRoutes } from './checks';
import { providerRoutes } from './providers';

/** Operations of the senders area. */
export const senderRoutes: AnyRoute[] = [...providerRoutes, ...checkRoutes];
