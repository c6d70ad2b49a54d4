import type { Ways } from '../../senders';
import type { CapacityKind } from '../capacity';
import { RouteStates } from './route-states';
import type { ForecastInput } from './types';

/** What limits one way now. */
export interface RouteLimits {
  providerId: string;
  fromEmail: string;
  ipId: string | null;
  perSecond: number;
  breakerUntil: number | null;
  limits: { kind: CapacityKind; limit: number; used: number }[];
}

/** The ways of a request with their limits as a forecast begins with them. */
export function limitsOf(input: ForecastInput, { ways }: Ways): RouteLimits[] {
  const states = new RouteStates(input);
  return ways.map((way) => ({
    ...{ providerId: way.sender.providerId, fromEmail: way.fromEmail, ipId: way.ip?.id ?? null },
    perSecond: input.speedOf(way.sender.providerId),
    breakerUntil: states.breakerUntil(way, input.now),
    limits: way.caps.map((cap) => ({ kind: cap.kind, limit: cap.limit, used: states.usedOf(cap, input.now) })),
  }));
}
