import type { AnyRoute } from '../http/route';
import { checkRoutes } from './checks';
import { domainRoutes } from './domains';
import { identityRoutes } from './identities';
import { ipRoutes } from './ips';
import { poolRoutes } from './pools';
import { providerRoutes } from './providers';

/** Operations of the senders area. */
export const senderRoutes: AnyRoute[] = [
  ...providerRoutes,
  ...checkRoutes,
  ...domainRoutes,
  ...identityRoutes,
  ...ipRoutes,
  ...poolRoutes,
];
