/** How a pool deals its messages out; spec 003 "Smart routing". */
export const ROUTING_STRATEGIES = ['round-robin', 'weighted', 'priority'] as const;
export type RoutingStrategy = (typeof ROUTING_STRATEGIES)[number];

/** What is known to authenticate mail of a From domain at a provider (RFC 7489, section 3.1). */
export interface Alignment {
  dkim: boolean;
  spf: boolean;
  /** Providers were named for this domain: one without both is not used at all. */
  closed: boolean;
}

/** Why a candidate takes nothing now. */
export type Blocked = 'BREAKER_OPEN' | 'CAPACITY';

/** One way a message may leave: provider, From address and perhaps a dedicated IP. Times are monotonic milliseconds. */
export interface RouteCandidate {
  /** Names the candidate within its list, and is part of what is hashed. */
  id: string;
  providerId: string;
  weight: number;
  /** 1 first. */
  priority: number;
  /** Mailbox-provider groups it is meant for; empty = all. */
  mxGroups: readonly string[];
  /** 0–100, of its domain, IP and provider; null = not known. By group where it was measured. */
  health: { overall: number | null; byGroup: ReadonlyMap<string, number> };
  alignment: Alignment;
  blocked: { cause: Blocked; until: number } | null;
  /** Its breaker is open, and the next message may try whether it closes. */
  probe: boolean;
}

/** What a campaign, or else its pool, says. */
export interface RoutingPolicy {
  strategy: RoutingStrategy;
  /** Ids of providers, the first one best. */
  preferredProviders: readonly string[];
  /** False: what the first choice does not take waits for it. */
  fallbackEnabled: boolean;
  /** Whether a used-up daily cap is a reason to move on; false = the message waits for the next day. */
  movesOnCapacity: boolean;
}

/** What a choice knows of the recipient. */
export interface RouteRecipient {
  deliveryId: string;
  mxGroup: string;
}

export type RouteChoice =
  | { kind: 'route'; position: number; reason: string; probe: boolean }
  | { kind: 'none'; cause: Blocked | 'NO_SENDER' | 'MISALIGNED'; retryInMs: number };
