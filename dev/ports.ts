import { createServer } from 'node:net';

/** Everything the embedded stack opens is reachable from this machine only. */
export const LOOPBACK = '127.0.0.1';

/** True when nothing listens on `port` of the loopback interface. The answer may be old a moment later: retry binds. */
export function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: LOOPBACK, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}

/** Ports handed out by this process lately, so that two callers at once do not get the same one. */
const handedOut = new Map<number, number>();
const RESERVED_MS = 30_000;

function reserve(port: number): boolean {
  const now = Date.now();
  for (const [known, since] of handedOut) if (now - since > RESERVED_MS) handedOut.delete(known);
  if (handedOut.has(port)) return false;
  handedOut.set(port, now);
  return true;
}

/** Operating systems give ports above 32767 to outgoing connections, which come and go between a look and a bind. */
const RANDOM_PORTS = { from: 20_000, count: 12_000 };

/**
 * A free loopback port: `preferred` or one of the 20 after it, else a random one that no outgoing connection takes. A port is not
 * handed out twice by one process within 30 s; another process may still take it, so callers retry a failed bind.
 */
export async function findPort(preferred?: number): Promise<number> {
  if (preferred !== undefined) {
    for (let port = preferred; port <= Math.min(preferred + 20, 65_535); port += 1) {
      if ((await isPortFree(port)) && reserve(port)) return port;
    }
  }
  for (;;) {
    const port = RANDOM_PORTS.from + Math.floor(Math.random() * RANDOM_PORTS.count);
    if ((await isPortFree(port)) && reserve(port)) return port;
  }
}
