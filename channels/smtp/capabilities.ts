import type { Reply } from './reply-parser';

/** What a server offers in its answer to EHLO (RFC 5321 section 4.1.1.1). */
export interface Capabilities {
  pipelining: boolean;
  /** BDAT (RFC 3030). */
  chunking: boolean;
  eightBitMime: boolean;
  smtpUtf8: boolean;
  startTls: boolean;
  /** Largest message in octets (RFC 1870); null: not announced, or no fixed limit (0). */
  maxSize: number | null;
  /** Whether SIZE= may be given with MAIL FROM. */
  size: boolean;
  /** Mechanisms in upper case. */
  authentication: ReadonlySet<string>;
  /** All keywords in upper case, for people. */
  keywords: string[];
}

/** A server that only answers HELO, or offers nothing. */
export const NO_CAPABILITIES: Capabilities = {
  pipelining: false,
  chunking: false,
  eightBitMime: false,
  smtpUtf8: false,
  startTls: false,
  maxSize: null,
  size: false,
  authentication: new Set(),
  keywords: [],
};

/** Reads the lines of a 250 answer to EHLO; unknown keywords are kept as names only. */
export function parseCapabilities(reply: Reply): Capabilities {
  const keywords = new Map<string, string[]>();
  // The first line is the server's name. "AUTH=PLAIN" is how servers before RFC 2554 wrote it.
  for (const line of reply.text.split('\n').slice(1)) {
    const [keyword = '', ...parameters] = line.trim().toUpperCase().replace('AUTH=', 'AUTH ').split(/\s+/);
    if (keyword !== '') {
      keywords.set(keyword, [...(keywords.get(keyword) ?? []), ...parameters]);
    }
  }
  const limit = Number(keywords.get('SIZE')?.[0] ?? 0);
  return {
    pipelining: keywords.has('PIPELINING'),
    chunking: keywords.has('CHUNKING'),
    eightBitMime: keywords.has('8BITMIME'),
    smtpUtf8: keywords.has('SMTPUTF8') && keywords.has('8BITMIME'),
    startTls: keywords.has('STARTTLS'),
    size: keywords.has('SIZE'),
    maxSize: Number.isSafeInteger(limit) && limit > 0 ? limit : null,
    authentication: new Set(keywords.get('AUTH') ?? []),
    keywords: [...keywords.keys()],
  };
}
