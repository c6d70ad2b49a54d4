import { findMessageLinks } from '../../db/tracking';
import type { Queryable } from '../../platform/postgres';

/** A message's links as they are answered: the Location header per link number, null where there is no safe one. */
export interface LinkTable {
  workspaceId: string;
  locations: readonly (string | null)[];
}

/** Messages kept; a large installation's newsletters of a year. One has at most 1,000 links. */
const MAX_TABLES = 1_000;
/** A click waits no longer for a link table than this; then it is "come back later". */
const LOOK_UP_MS = 1_000;

/** Postgres could not be asked in time. */
export class LinkTableUnavailable extends Error {}

/**
 * The link tables of sent messages, kept in process: frozen messages never change, so what is here is right for ever,
 * and goes on being answered while Postgres is away.
 */
export class LinkTables {
  /** In order of use, the longest unused first. */
  private readonly tables = new Map<string, LinkTable>();
  private readonly looking = new Map<string, Promise<LinkTable | null>>();

  constructor(private readonly db: Queryable) {}

  /** The table if it is in process already. */
  known(messageId: string): LinkTable | undefined {
    const table = this.tables.get(messageId);
    if (table) {
      this.tables.delete(messageId);
      this.tables.set(messageId, table);
    }
    return table;
  }

  /** The table, or null when there is no such message. @throws LinkTableUnavailable */
  async find(messageId: string): Promise<LinkTable | null> {
    const known = this.known(messageId);
    if (known) return known;
    let looking = this.looking.get(messageId);
    if (!looking) {
      looking = this.lookUp(messageId).finally(() => this.looking.delete(messageId));
      this.looking.set(messageId, looking);
    }
    return looking;
  }

  private async lookUp(messageId: string): Promise<LinkTable | null> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new LinkTableUnavailable('too late')), LOOK_UP_MS);
    });
    try {
      const links = await Promise.race([findMessageLinks(this.db, messageId), late]);
      if (!links) return null;
      const table = { workspaceId: links.workspaceId, locations: links.urls.map(toLocation) };
      this.tables.set(messageId, table);
      const oldest = this.tables.keys().next();
      if (this.tables.size > MAX_TABLES && !oldest.done) this.tables.delete(oldest.value);
      return table;
    } catch (error) {
      throw error instanceof LinkTableUnavailable ? error : new LinkTableUnavailable('failed', { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The Location header of a link: as written where it is plain ASCII, else percent-encoded; http and https only. */
function toLocation(url: string): string | null {
  const trimmed = url.trim();
  if (!URL.canParse(trimmed)) return null;
  const parsed = new URL(trimmed);
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') return null;
  return /^[\x21-\x7e]+$/.test(trimmed) ? trimmed : parsed.href;
}
