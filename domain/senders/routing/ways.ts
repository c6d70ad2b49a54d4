import type { BreakerWay, CapacityLimit, IpDifference } from '../../delivery';
import type { Sender } from '../sender';
import { alignmentOf } from './alignment';
import type { RouteCandidate, RoutingPolicy } from './candidate';
import { choiceDependsOn } from './choose';
import type { PermittedRouting, PermittedSender } from './permitted';
import type { DomainState, WayOut, WaysOut } from './ways-out';

/** What rows of one message may leave by. */
export interface RouteRequest {
  /** The From address of the message, or of the mailbox. */
  fromEmail: string;
  /** Of a mailbox, fixed when the row was planned; null = routes are chosen late. */
  fixedProviderId: string | null;
  /** What the approval permits; null = the message's own From, by whatever is in order. */
  routing: PermittedRouting | null;
}

/** One way out, ready to be opened. */
export interface Way {
  candidate: RouteCandidate;
  sender: Sender;
  /** In the place of the message's own From; null = that. */
  from: PermittedSender | null;
  fromEmail: string;
  /** Its dedicated IP, and what that has in the place of its provider's; null = none. */
  ip: BreakerWay['ip'];
  caps: readonly CapacityLimit[];
}

/** The ways out of one request, as the workspace's objects are; what blocks them comes with each choice. */
export interface Ways {
  ways: readonly Way[];
  policy: RoutingPolicy;
  depends: 'nothing' | 'group' | 'row';
  /** Whether the recipient's mailbox provider makes a difference. */
  asksForGroup: boolean;
}

/** Everything that may carry messages of a request, by pool or, without one, by all providers in their order. */
export function waysOf(request: RouteRequest, senders: readonly Sender[], known: WaysOut): Ways {
  const { routing, fixedProviderId } = request;
  if (fixedProviderId !== null) {
    const policy = { ...PLAIN, fallbackEnabled: false };
    return toWays(providerWays(request, senders, known, fixedProviderId), policy);
  }
  const poolId = routing === null ? known.defaultPoolId : routing.pool_id;
  const pool = poolId === null ? undefined : known.pools.get(poolId);
  const members = pool ? pool.members.flatMap((member) => memberWay(request, senders, known, member) ?? []) : [];
  const wishes = {
    preferredProviders: routing?.preferred_providers ?? [],
    fallbackEnabled: routing?.fallback_enabled ?? true,
  };
  // A pool by default holds nobody up: mail that none of its members may send goes as without it.
  if (pool && (members.length > 0 || routing !== null)) {
    const strategy = routing?.strategy ?? pool.strategy;
    return toWays(members, { ...wishes, strategy, movesOnCapacity: true });
  }
  const strategy = routing?.strategy ?? PLAIN.strategy;
  const movesOnCapacity = routing !== null && routing.strategy !== null;
  return toWays(providerWays(request, senders, known, null), { ...wishes, strategy, movesOnCapacity });
}

const PLAIN: RoutingPolicy = {
  strategy: 'priority',
  preferredProviders: [],
  fallbackEnabled: true,
  movesOnCapacity: false,
};

function toWays(ways: Way[], policy: RoutingPolicy): Ways {
  const candidates = ways.map(({ candidate }) => candidate);
  const asksForGroup = candidates.some(({ mxGroups, health }) => mxGroups.length > 0 || health.byGroup.size > 0);
  return { ways, policy, depends: choiceDependsOn(candidates, policy), asksForGroup };
}

function providerWays(request: RouteRequest, senders: readonly Sender[], known: WaysOut, only: string | null): Way[] {
  return senders.flatMap((sender) => {
    if (only !== null && sender.providerId !== only) return [];
    const priority = sender.kind === 'provider' && !sender.isDefault ? sender.priority : 0;
    const way = { id: sender.providerId, weight: 1, priority, mxGroups: [] };
    return makeWay(way, sender, null, request.fromEmail, null, known) ?? [];
  });
}

function memberWay(request: RouteRequest, senders: readonly Sender[], known: WaysOut, member: WayOut): Way | null {
  const sender = senders.find((candidate) => candidate.providerId === member.providerId);
  if (!sender || member.ip?.isPaused) return null;
  const { identity } = member;
  if (identity === null || identity.email === request.fromEmail) {
    return identity?.isActive === false ? null : makeWay(member, sender, null, request.fromEmail, member.ip, known);
  }
  const from = request.routing?.senders.find((permitted) => permitted.email === identity.email);
  return from && identity.isActive ? makeWay(member, sender, from, from.email, member.ip, known) : null;
}

function makeWay(
  way: Pick<WayOut, 'id' | 'weight' | 'priority' | 'mxGroups'>,
  provider: Sender,
  from: PermittedSender | null,
  fromEmail: string,
  ip: WayOut['ip'],
  known: WaysOut,
): Way | null {
  const host = fromEmail.slice(fromEmail.lastIndexOf('@') + 1);
  const domain = known.domains.get(host) ?? null;
  if (domain?.isPaused) return null;
  const sender = ip === null ? provider : throughIp(provider, ip);
  const signsAs =
    sender.kind === 'provider' && sender.providerType === 'SMTP' ? (sender.settings.dkim?.domain ?? null) : null;
  return {
    candidate: {
      ...{ id: way.id, providerId: provider.providerId },
      ...{ weight: way.weight, priority: way.priority, mxGroups: way.mxGroups },
      health: healthOf(domain, ip),
      alignment: alignmentOf(host, provider.providerId, signsAs, domain),
      blocked: null,
      probe: false,
    },
    ...{ sender, from, fromEmail, ip: ip && { id: ip.id, differsIn: differenceOf(provider, ip) } },
    caps: [...providerCaps(provider), ...objectCaps(domain, ip)],
  };
}

/** What an IP has of its own; null = it is used as the provider is. */
function differenceOf(provider: Sender, { egress, sealed }: NonNullable<WayOut['ip']>): IpDifference | null {
  if (provider.kind === 'installation') return null;
  const { providerType, settings } = provider;
  if (providerType !== 'SMTP') return Object.keys(egress).length > 0 ? 'pool' : null;
  const { host = settings.host, port = settings.port } = egress;
  if (host !== settings.host || port !== settings.port) return 'server';
  return sealed === null ? null : 'login';
}

const throughIpMade = new WeakMap<Sender, Map<string, Sender>>();

/** The provider as told to use one of its dedicated IPs; the same object for the same provider, egress and log-in. */
function throughIp(provider: Sender, { egress, credentials }: NonNullable<WayOut['ip']>): Sender {
  if (provider.kind === 'installation') return provider;
  const made = throughIpMade.get(provider) ?? new Map<string, Sender>();
  throughIpMade.set(provider, made);
  const key = JSON.stringify([egress, credentials]);
  const known = made.get(key);
  if (known) return known;
  // Both were checked against the provider's type: their keys are those of its settings and credentials.
  const sender: Sender = {
    ...provider,
    settings: Object.assign({}, provider.settings, egress),
    credentials: Object.assign({}, provider.credentials, credentials),
  } as Sender;
  made.set(key, sender);
  return sender;
}

function healthOf(domain: DomainState | null, ip: WayOut['ip']): RouteCandidate['health'] {
  const scores = [domain?.health ?? null, ip?.health ?? null].filter((score) => score !== null);
  const ofIp = ip?.health ?? 100;
  const byGroup = Object.entries(domain?.byGroup ?? {}).map(
    ([group, score]) => [group, Math.min(score, ofIp)] as const,
  );
  return { overall: scores.length === 0 ? null : Math.min(...scores), byGroup: new Map(byGroup) };
}

function providerCaps(sender: Sender): CapacityLimit[] {
  if (sender.kind === 'installation') return [];
  const caps: CapacityLimit[] = [];
  const { perDay, per24Hours } = sender.limits;
  if (perDay !== null) caps.push({ kind: 'provider-day', resourceId: sender.providerId, limit: perDay });
  if (per24Hours !== null) caps.push({ kind: 'provider-hour', resourceId: sender.providerId, limit: per24Hours });
  return caps;
}

function objectCaps(domain: DomainState | null, ip: WayOut['ip']): CapacityLimit[] {
  const caps: CapacityLimit[] = [];
  const limited = domain !== null && domain.dailyLimit !== null;
  if (limited) caps.push({ kind: 'domain-day', resourceId: domain.id, limit: domain.dailyLimit ?? 0 });
  if (ip !== null && ip.dailyLimit !== null) caps.push({ kind: 'ip-day', resourceId: ip.id, limit: ip.dailyLimit });
  return caps;
}
