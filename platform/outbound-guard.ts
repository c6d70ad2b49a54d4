import dns from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/** The target lies in a network that outbound calls must not reach (design, section 9). */
export class ForbiddenTargetError extends Error {
  /** Like the system's own codes of failed connections. */
  readonly code = 'EADDRNOTALLOWED';
  constructor() {
    super('the host resolves to a private, loopback or link-local address');
    this.name = 'ForbiddenTargetError';
  }
}

// The IANA special-purpose registries (RFC 6890 and its updates) where they are not globally reachable, and the
// IPv6 forms that carry an IPv4 address, which would be a way around the list.
const FORBIDDEN = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const) {
  FORBIDDEN.addSubnet(network, prefix, 'ipv4');
}
for (const [network, prefix] of [
  ['::', 96],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
  ['5f00::', 16],
  ['fc00::', 7],
  ['fe80::', 9],
  ['ff00::', 8],
] as const) {
  FORBIDDEN.addSubnet(network, prefix, 'ipv6');
}

/** Whether an IP address (text form) is one that anybody on the internet could mean. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 0) return false;
  // BlockList judges ::ffff:a.b.c.d by its IPv4 rules.
  return !FORBIDDEN.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

/**
 * A `lookup` for sockets that gives out public addresses only. It is asked at each connection, so a name that
 * resolves differently later (DNS rebinding) is refused then. Sockets do not ask it for literal addresses: check
 * those with `isPublicAddress`.
 */
export function guardedLookup(resolve: typeof dns.lookup = dns.lookup): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) {
        callback(error, []);
        return;
      }
      const [first, ...rest] = addresses.filter(({ address }) => isPublicAddress(address));
      if (!first) callback(new ForbiddenTargetError(), []);
      else if (options.all) callback(null, [first, ...rest]);
      else callback(null, first.address, first.family);
    });
  };
}
