import type { RoutingStrategy } from './candidate';

/** A campaign's own wishes; what is absent is the pool's matter. */
export interface RoutingConfig {
  strategy?: RoutingStrategy | undefined;
  preferred_providers?: string[] | undefined;
  fallback_enabled?: boolean | undefined;
}

/** Who a message may say it is from. */
export interface PermittedSender {
  email: string;
  name: string;
  reply_to: string | null;
}

/**
 * What an approval permits of routing, stored with the frozen message and part of its hash. Which providers and IPs a
 * pool has, and their weights, is not part of it: that is the operators' matter.
 */
export interface PermittedRouting {
  pool_id: string | null;
  /** null = the pool's. */
  strategy: RoutingStrategy | null;
  preferred_providers: string[];
  fallback_enabled: boolean;
  /** Of the pool's identities, besides the message's own From. */
  senders: PermittedSender[];
}
