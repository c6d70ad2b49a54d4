import type { AnyRoute } from './http/route';
import { senderRoutes } from './senders';

/** Every operation of the API, by area. */
export const routes: AnyRoute[] = [...senderRoutes];
