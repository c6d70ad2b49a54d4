import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { headerValue, parseHeaders } from './mime';

/** What the list shows of a message. */
export interface MessageSummary {
  /** Counts up from 1 in the order of arrival; never used twice while the inbox runs. */
  id: number;
  /** ISO 8601 */
  receivedAt: string;
  envelopeFrom: string;
  envelopeTo: string[];
  from: string;
  to: string;
  subject: string;
  messageId: string;
  /** Bytes as received. */
  size: number;
}

export interface ListOptions {
  /** A part of an envelope recipient, in any case. */
  to?: string;
  /** A part of subject, From, To or a recipient, in any case. */
  search?: string;
  /** Only messages with a larger id, oldest first; without it the newest come first. */
  after?: number;
  /** At most this many. */
  limit: number;
}

/**
 * The captured messages: the newest `capacity` of them, compressed (a campaign's messages shrink to a quarter), so
 * that the memory is bounded however much is sent.
 */
export class MessageStore {
  readonly #messages = new Map<number, { summary: MessageSummary; compressed: Buffer }>();
  #nextId = 1;
  #received = 0;

  constructor(readonly capacity = 20_000) {}

  /** Messages kept now. */
  get size(): number {
    return this.#messages.size;
  }

  /** Messages received since the start or the last `clear`, also those that are gone. */
  get received(): number {
    return this.#received;
  }

  add(envelopeFrom: string, envelopeTo: string[], raw: Buffer, receivedAt: Date): MessageSummary {
    const headers = parseHeaders(raw);
    const summary: MessageSummary = {
      id: this.#nextId,
      receivedAt: receivedAt.toISOString(),
      envelopeFrom,
      envelopeTo,
      from: headerValue(headers, 'from') ?? '',
      to: headerValue(headers, 'to') ?? '',
      subject: headerValue(headers, 'subject') ?? '',
      messageId: headerValue(headers, 'message-id') ?? '',
      size: raw.length,
    };
    this.#nextId += 1;
    this.#received += 1;
    this.#messages.set(summary.id, { summary, compressed: deflateRawSync(raw, { level: 1 }) });
    if (this.#messages.size > this.capacity) {
      const [oldest] = this.#messages.keys();
      if (oldest !== undefined) this.#messages.delete(oldest);
    }
    return summary;
  }

  list({ to, search, after, limit }: ListOptions): MessageSummary[] {
    const found: MessageSummary[] = [];
    const all = [...this.#messages.values()];
    if (after === undefined) all.reverse();
    for (const { summary } of all) {
      if (found.length >= limit) break;
      if (after !== undefined && summary.id <= after) continue;
      if (to !== undefined && !contains(summary.envelopeTo.join(' '), to)) continue;
      if (search !== undefined && !contains(searchText(summary), search)) continue;
      found.push(summary);
    }
    return found;
  }

  summary(id: number): MessageSummary | undefined {
    return this.#messages.get(id)?.summary;
  }

  /** The message as it was received, without dot-stuffing. */
  raw(id: number): Buffer | undefined {
    const entry = this.#messages.get(id);
    return entry && inflateRawSync(entry.compressed);
  }

  clear(): void {
    this.#messages.clear();
    this.#received = 0;
  }
}

function searchText(summary: MessageSummary): string {
  return [summary.subject, summary.from, summary.to, ...summary.envelopeTo].join(' ');
}

function contains(text: string, part: string): boolean {
  return text.toLowerCase().includes(part.toLowerCase());
}
