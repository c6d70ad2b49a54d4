import { consentAreaRoutes } from './consent';
import type { AnyRoute } from './http/route';
import { senderRoutes } from './senders';
import { workspaceRoutes } from './workspace';

/** Every operation of the API, by area. */
export const routes: AnyRoute[] = [...workspaceRoutes, ...consentAreaRoutes, ...senderRoutes];
