import type { DomainAuthentication } from './alignment';
import type { RoutingStrategy } from './candidate';
import type { Egress, IpCredentials } from './egress';

/** One member of a pool with what belongs to it. */
export interface WayOut {
  id: string;
  providerId: string;
  weight: number;
  priority: number;
  mxGroups: string[];
  /** null = the From address of the message. */
  identity: { email: string; isActive: boolean } | null;
  ip: DedicatedIp | null;
}

interface DedicatedIp {
  id: string;
  version: number;
  egress: Egress;
  /** Sealed log-in of its own (base64); null = the provider's. */
  sealed: string | null;
  /** The same opened, see `openIpCredentials`. */
  credentials?: IpCredentials;
  isPaused: boolean;
  dailyLimit: number | null;
  health: number | null;
}

/** A sending domain as far as routing looks at it. */
export interface DomainState extends DomainAuthentication {
  id: string;
  isPaused: boolean;
  dailyLimit: number | null;
  health: number | null;
  /** Health by mailbox-provider group, where it was measured. */
  byGroup: Record<string, number>;
}

/** All that routing knows of a workspace, besides its providers. */
export interface WaysOut {
  pools: Map<string, { strategy: RoutingStrategy; members: WayOut[] }>;
  defaultPoolId: string | null;
  /** By the right part of From addresses. */
  domains: Map<string, DomainState>;
}
