import { healthStatus } from '../health';
import type { Alignment, Blocked, RouteCandidate, RouteChoice, RouteRecipient, RoutingPolicy } from './candidate';

/** How soon to look again where only an operator can help. */
const LOOK_AGAIN_MS = 30_000;

interface Ranked {
  position: number;
  candidate: RouteCandidate;
  preferred: number;
  affinity: number;
  tier: number;
  order: number;
}

/**
 * The route of one message: the first choice by preferred providers, affinity, health and strategy, or, where that
 * one takes nothing and the policy allows it, the next that keeps the From address as well authenticated. Pure and
 * deterministic: the same message goes the same way at every look, whatever the order of the candidates. `now` is on the
 * clock of `blocked.until`.
 */
export function chooseRoute(
  candidates: readonly RouteCandidate[],
  recipient: RouteRecipient,
  policy: RoutingPolicy,
  now: number,
): RouteChoice {
  if (candidates.length === 0) return { kind: 'none', cause: 'NO_SENDER', retryInMs: LOOK_AGAIN_MS };
  const ranked = rank(candidates, recipient, policy);
  const [first] = ranked;
  if (!first) return { kind: 'none', cause: 'MISALIGNED', retryInMs: LOOK_AGAIN_MS };
  let soonest: { cause: Blocked; until: number } | null = null;
  let moved: Blocked | null = null;
  for (const entry of ranked) {
    const { candidate, position } = entry;
    if (entry !== first && losesAlignment(first.candidate.alignment, candidate.alignment)) continue;
    const blocked = blockedNow(candidate, now);
    if (blocked === null) {
      const reason = describe(entry, ranked.length, recipient, policy, moved);
      return { kind: 'route', position, reason, probe: candidate.probe };
    }
    moved ??= blocked.cause;
    if (soonest === null || blocked.until < soonest.until) soonest = blocked;
    if (!policy.fallbackEnabled || (blocked.cause === 'CAPACITY' && !policy.movesOnCapacity)) {
      soonest = blocked;
      break;
    }
  }
  if (soonest === null) return { kind: 'none', cause: 'NO_SENDER', retryInMs: LOOK_AGAIN_MS };
  return { kind: 'none', cause: soonest.cause, retryInMs: Math.max(0, soonest.until - now) };
}

/** What a choice depends on besides its candidates: lets callers choose once for many messages. */
export function choiceDependsOn(
  candidates: readonly RouteCandidate[],
  policy: RoutingPolicy,
): 'nothing' | 'group' | 'row' {
  if (candidates.length <= 1) return 'nothing';
  if (policy.strategy !== 'priority') return 'row';
  const byGroup = candidates.some(({ mxGroups, health }) => mxGroups.length > 0 || health.byGroup.size > 0);
  return byGroup ? 'group' : 'nothing';
}

/** Positions in the order in which candidates are asked: messages with the same order always go the same way. */
export function rankedPositions(
  candidates: readonly RouteCandidate[],
  recipient: RouteRecipient,
  policy: RoutingPolicy,
): number[] {
  return rank(candidates, recipient, policy).map(({ position }) => position);
}

/**
 * Of many messages to one mailbox-provider group, the share that has each candidate (by position) as its first choice,
 * whatever blocks it.
 */
export function firstChoiceShares(
  candidates: readonly RouteCandidate[],
  mxGroup: string,
  policy: RoutingPolicy,
): ReadonlyMap<number, number> {
  const ranked = rank(candidates, { deliveryId: '', mxGroup }, policy);
  const [first] = ranked;
  if (!first) return new Map();
  const alike = ranked.filter(
    ({ preferred, affinity, tier }) =>
      preferred === first.preferred && affinity === first.affinity && tier === first.tier,
  );
  const weights = alike.map(({ candidate }) => shareWeight(candidate, policy, healthAt(candidate, mxGroup)));
  const all = weights.reduce((sum, weight) => sum + weight, 0);
  if (policy.strategy === 'priority' || all === 0) return new Map([[first.position, 1]]);
  return new Map(alike.map(({ position }, at) => [position, (weights[at] ?? 0) / all]));
}

function healthAt({ health }: RouteCandidate, mxGroup: string): number | null {
  return health.byGroup.get(mxGroup) ?? health.overall;
}

/** What shares are in proportion to, where the strategy deals messages out. */
function shareWeight(candidate: RouteCandidate, policy: RoutingPolicy, health: number | null): number {
  return policy.strategy === 'weighted' ? candidate.weight * ((health ?? 100) / 100) : 1;
}

function blockedNow({ blocked }: RouteCandidate, now: number): { cause: Blocked; until: number } | null {
  return blocked !== null && blocked.until > now ? blocked : null;
}

/** Candidates in the order in which they are asked; those that would break alignment are not among them. */
function rank(candidates: readonly RouteCandidate[], recipient: RouteRecipient, policy: RoutingPolicy): Ranked[] {
  const ranked: Ranked[] = [];
  for (const [position, candidate] of candidates.entries()) {
    const { alignment, mxGroups } = candidate;
    if (alignment.closed && !(alignment.dkim && alignment.spf)) continue;
    const health = healthAt(candidate, recipient.mxGroup);
    const preferred = policy.preferredProviders.indexOf(candidate.providerId);
    ranked.push({
      position,
      candidate,
      preferred: preferred === -1 ? policy.preferredProviders.length : preferred,
      affinity: mxGroups.length === 0 ? 1 : mxGroups.includes(recipient.mxGroup) ? 0 : 2,
      tier: tierOf(health),
      order: orderOf(candidate, recipient, policy, health),
    });
  }
  return ranked.sort(
    (a, b) =>
      a.preferred - b.preferred ||
      a.affinity - b.affinity ||
      a.tier - b.tier ||
      a.order - b.order ||
      (a.candidate.id < b.candidate.id ? -1 : a.candidate.id > b.candidate.id ? 1 : 0),
  );
}

/** What is ill comes last: nobody is preferred for being well, and nothing is assumed of what was not measured. */
function tierOf(health: number | null): number {
  const status = healthStatus(health);
  return status === 'CRITICAL' ? 2 : status === 'POOR' ? 1 : 0;
}

/**
 * Priority: as numbered, better health first among equals. Else weighted rendezvous hashing: the first choice falls on
 * each candidate in proportion to its weight, and what one does not take is dealt out to the others by theirs.
 */
function orderOf(
  candidate: RouteCandidate,
  recipient: RouteRecipient,
  policy: RoutingPolicy,
  health: number | null,
): number {
  switch (policy.strategy) {
    case 'priority':
      return candidate.priority + (100 - (health ?? 100)) / 1_000;
    case 'weighted':
    case 'round-robin':
      return rendezvous(recipient.deliveryId, candidate.id, shareWeight(candidate, policy, health));
  }
}

function rendezvous(deliveryId: string, candidateId: string, weight: number): number {
  return weight > 0 ? -Math.log(fraction(deliveryId, candidateId)) / weight : Number.MAX_VALUE;
}

/** A number in (0, 1), evenly spread: FNV-1a over both ids, then the finaliser of MurmurHash3. */
function fraction(deliveryId: string, candidateId: string): number {
  let hash = 0x811c9dc5;
  for (const text of [deliveryId, candidateId]) {
    for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (((hash ^ (hash >>> 16)) >>> 0) + 0.5) / 2 ** 32;
}

/** A move must not lose what authenticates the From address at the first choice. */
function losesAlignment(from: Alignment, to: Alignment): boolean {
  return (from.dkim && !to.dkim) || (from.spf && !to.spf);
}

/** Why this one, for the ledger: no names, no addresses. */
function describe(
  entry: Ranked,
  all: number,
  recipient: RouteRecipient,
  policy: RoutingPolicy,
  moved: Blocked | null,
): string {
  const { candidate } = entry;
  const parts = [
    all === 1
      ? 'only route'
      : policy.strategy === 'priority'
        ? `priority ${candidate.priority}`
        : policy.strategy === 'weighted'
          ? `weight ${candidate.weight}`
          : `round-robin of ${all}`,
  ];
  if (entry.preferred < policy.preferredProviders.length) parts.push('preferred provider');
  if (entry.affinity === 0) parts.push(`for ${recipient.mxGroup}`);
  if (moved !== null) parts.push(`failover: ${moved}`);
  if (candidate.probe) parts.push('probe of an open breaker');
  return parts.join('; ');
}
