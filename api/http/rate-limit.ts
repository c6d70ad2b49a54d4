import { isIPv4, isIPv6 } from 'node:net';
import type { Request } from 'express';
import { rateLimitBucket, takeRateLimit } from '../../db/workspace';
import type { ApiDependencies } from '../dependencies';
import { Problem } from './problem';

/**
 * The network that a request comes from: an IPv4 address, or the first 64 bits of an IPv6 address, since one
 * customer commonly has all of them (RFC 6177).
 */
export function clientNetwork(request: Pick<Request, 'ip'>): string {
  const address = request.ip ?? 'unknown';
  const mapped = address.toLowerCase().replace(/^::ffff:/, '');
  if (isIPv4(mapped)) return mapped;
  if (!isIPv6(address)) return 'unknown';
  const [head = '', tail] = address.toLowerCase().split('%')[0]?.split('::') ?? [];
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...Array<string>(zeros).fill('0'), ...right];
  return groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':');
}

/** Counts one use of `what` for each of `forWhom`; 429 with Retry-After when one is beyond its limit. */
export async function limitRate(
  deps: Pick<ApiDependencies, 'db' | 'addressHasher'>,
  what: string,
  limits: { forWhom: string; limit: number; windowSeconds: number }[],
): Promise<void> {
  for (const { forWhom, limit, windowSeconds } of limits) {
    const bucket = rateLimitBucket(deps.addressHasher, what, forWhom);
    const { allowed, retryAfter } = await takeRateLimit(deps.db, bucket, limit, windowSeconds);
    if (!allowed) {
      throw new Problem('rate-limited', `Too many attempts. Try again in ${retryAfter} seconds.`, {
        headers: { 'Retry-After': String(retryAfter) },
      });
    }
  }
}
