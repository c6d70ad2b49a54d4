import type { MxRecord } from 'node:dns';
import { Resolver } from 'node:dns/promises';
import { knownMxGroups, storeMxGroup } from '../../db/delivery/mx-lookups';
import { groupOfExchangers } from '../../domain/contacts';
import type { Logger } from '../../platform/log';
import type { Queryable } from '../../platform/postgres';

/** How long a finding holds, in this process and in the database. */
const KEEP_SECONDS = 24 * 3_600;
/** How long a domain is left alone after a look-up that failed. */
const RETRY_MS = 600_000;
const LOOKUPS_AT_ONCE = 8;
const MOST_DOMAINS = 20_000;

type ResolveMx = (domain: string) => Promise<MxRecord[]>;

/** Asks these name servers, or those of the system; gives up after two tries of two seconds. */
function resolverOf(servers: string | undefined): ResolveMx {
  const resolver = new Resolver({ timeout: 2_000, tries: 2 });
  if (servers !== undefined) resolver.setServers(servers.split(',').map((server) => server.trim()));
  return (domain) => resolver.resolveMx(domain);
}

/**
 * Which mailbox provider runs the mail of a domain, by its MX records. Nobody waits for a look-up: until it is there,
 * the domain counts as "other".
 */
export class MxGroups {
  private readonly known = new Map<string, { group: string; until: number }>();
  private readonly wanted = new Set<string>();
  private running = 0;
  private readonly resolveMx: ResolveMx;

  constructor(
    private readonly db: Queryable,
    private readonly log: Logger,
    servers: string | undefined,
  ) {
    this.resolveMx = resolverOf(servers);
  }

  /** The group of a domain as far as it is known now; asks for it when it is not. */
  groupOf(domain: string): string {
    const found = this.known.get(domain);
    if (found && found.until > performance.now()) return found.group;
    if (!this.wanted.has(domain) && this.wanted.size < MOST_DOMAINS) {
      this.wanted.add(domain);
      if (this.running < LOOKUPS_AT_ONCE) void this.work();
    }
    return found?.group ?? 'other';
  }

  private async work(): Promise<void> {
    this.running += 1;
    try {
      for (;;) {
        const [domain] = this.wanted;
        if (domain === undefined) return;
        // Remembered before the look-up, so that it is wanted once.
        this.remember(domain, this.known.get(domain)?.group ?? 'other', RETRY_MS);
        this.wanted.delete(domain);
        await this.lookUp(domain);
      }
    } finally {
      this.running -= 1;
    }
  }

  private async lookUp(domain: string): Promise<void> {
    try {
      const stored = (await knownMxGroups(this.db, [domain], KEEP_SECONDS)).get(domain);
      const group = stored ?? groupOfExchangers(await this.resolveMx(domain));
      if (stored === undefined) await storeMxGroup(this.db, domain, group);
      this.remember(domain, group, KEEP_SECONDS * 1_000);
    } catch (error) {
      this.log.debug({ err: error }, 'an MX look-up failed');
    }
  }

  private remember(domain: string, group: string, forMs: number): void {
    if (this.known.size >= MOST_DOMAINS) {
      const [oldest] = this.known.keys();
      if (oldest !== undefined) this.known.delete(oldest);
    }
    this.known.delete(domain);
    this.known.set(domain, { group, until: performance.now() + forMs });
  }
}
