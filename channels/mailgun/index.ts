import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { wireAddress } from '../address';
import type { Connector, Evidence, LookupQuery, OutgoingMessage, SendOutcome, Verification } from '../connector';
import {
  type ApiCall,
  below,
  failedVerification,
  type HttpAnswer,
  HttpConnector,
  type HttpOptions,
  jsonOf,
  outcomeOfStatus,
  outcomeWithoutAnswer,
  type ProviderApi,
  refused,
  replyOf,
  unavailable,
  unsuitable,
  verified,
} from '../http';

export interface MailgunOptions {
  /** Base URL: https://api.mailgun.net or https://api.eu.mailgun.net. */
  endpoint: string;
  domain: string;
  apiKey: string;
  sandbox: boolean;
  tracking: boolean;
  /** Id of an IP pool. */
  ipPool: string | null;
  http: HttpOptions;
}

/** The connector for Mailgun (POST /v3/{domain}/messages.mime): one message a request, as Sally composed it. */
export function createMailgunConnector(options: MailgunOptions): Connector {
  return new HttpConnector(new MailgunApi(options), options.http);
}

/** Events about a message may carry a clock that is a little behind ours. */
const CLOCK_SLACK_SECONDS = 300;
const MOST_EVENTS = 300;

class MailgunApi implements ProviderApi {
  readonly batchSize = 1;

  constructor(private readonly options: MailgunOptions) {}

  unfit(message: OutgoingMessage): SendOutcome | null {
    return message.smtpUtf8 ? unsuitable('Mailgun takes no non-ASCII local parts') : null;
  }

  async send([message]: readonly OutgoingMessage[], call: ApiCall): Promise<SendOutcome[]> {
    if (!message) return [];
    const { sandbox, tracking, ipPool } = this.options;
    const to = wireAddress(message.envelopeTo);
    const form = multipart(
      {
        to: to.ok ? to.address : message.envelopeTo,
        'v:sally': message.correlation,
        'o:tracking': tracking ? 'yes' : 'no',
        ...(sandbox && { 'o:testmode': 'yes' }),
        ...(ipPool !== null && { 'o:sending-ip-pool': ipPool }),
      },
      message.content,
    );
    const exchange = await call.exchange({
      method: 'POST',
      url: this.below(`/v3/${this.options.domain}/messages.mime`),
      headers: { ...this.authorization(), 'Content-Type': form.contentType },
      body: () => form.body,
    });
    return [exchange.kind === 'answer' ? outcomeOf(exchange.answer, message) : outcomeWithoutAnswer(exchange)];
  }

  /** Asks for the sending domain; it must be active. */
  async verify(exchange: ApiCall['exchange']): Promise<Verification> {
    const url = this.below(`/v3/domains/${this.options.domain}`);
    const result = await exchange({ method: 'GET', url, headers: this.authorization(), body: null });
    if (result.kind !== 'answer' || result.answer.status !== 200) return failedVerification(result);
    const known = z.object({ domain: z.object({ state: z.string() }) }).safeParse(jsonOf(result.answer));
    if (!known.success) return { ok: false, cause: 'protocol', reply: replyOf(result.answer) };
    const { state } = known.data.domain;
    return state === 'active'
      ? verified('Mailgun', url, [`domain ${state}`])
      : { ok: false, cause: 'authentication', reply: `the sending domain is ${state}` };
  }

  /** Looks among the recipient's events since then for one with the message's variable. */
  async lookup(query: LookupQuery, exchange: ApiCall['exchange']): Promise<Evidence | null> {
    const to = wireAddress(query.envelopeTo);
    const url = this.below(`/v3/${this.options.domain}/events`);
    url.search = new URLSearchParams({
      begin: String(Math.floor(query.begunAt.getTime() / 1000) - CLOCK_SLACK_SECONDS),
      ascending: 'yes',
      limit: String(MOST_EVENTS),
      recipient: to.ok ? to.address : query.envelopeTo,
    }).toString();
    const result = await exchange({ method: 'GET', url, headers: this.authorization(), body: null });
    if (result.kind !== 'answer' || result.answer.status !== 200) return null;
    const page = eventPage.safeParse(jsonOf(result.answer));
    if (!page.success) return null;
    const own = page.data.items.find((event) => event['user-variables']?.sally === query.correlation);
    // "rejected": Mailgun refused what it had answered for; it is not on its way.
    if (!own || own.event === 'rejected') return { found: false };
    const id = own.message?.headers?.['message-id'] ?? null;
    return { found: true, providerMessageId: id, ...replaced(id, query.correlation) };
  }

  private below(path: string): URL {
    return below(this.options.endpoint, path);
  }

  private authorization(): Record<string, string> {
    return { Authorization: `Basic ${Buffer.from(`api:${this.options.apiKey}`).toString('base64')}` };
  }
}

const eventPage = z.object({
  items: z.array(
    z.object({
      event: z.string(),
      'user-variables': z.record(z.string(), z.unknown()).optional(),
      message: z.object({ headers: z.object({ 'message-id': z.string().optional() }).optional() }).optional(),
    }),
  ),
});

/** multipart/form-data (RFC 7578) with the message as a file, byte for byte. */
function multipart(fields: Record<string, string>, message: Buffer): { contentType: string; body: Buffer } {
  const boundary = `sally-${randomBytes(18).toString('hex')}`;
  let head = '';
  for (const [name, value] of Object.entries(fields)) {
    head += `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  }
  head += `--${boundary}\r\nContent-Disposition: form-data; name="message"; filename="message.mime"\r\nContent-Type: message/rfc822\r\n\r\n`;
  const body = Buffer.concat([Buffer.from(head), message, Buffer.from(`\r\n--${boundary}--\r\n`)]);
  return { contentType: `multipart/form-data; boundary=${boundary}`, body };
}

const queued = z.object({ id: z.string() });

/** Mailgun's id of a message is its Message-ID. It keeps the one in the MIME it gets; one of its own is finally used. */
function replaced(id: string | null, correlation: string): { messageId?: string } {
  return id === null || id.startsWith(`${correlation}@`) || !/^[^\s<>@]+@[^\s<>@]+$/.test(id) ? {} : { messageId: id };
}

function outcomeOf(answer: HttpAnswer, { correlation }: OutgoingMessage): SendOutcome {
  const { status } = answer;
  const reply = replyOf(answer);
  if (status === 200) {
    const parsed = queued.safeParse(jsonOf(answer));
    // The id as it stands in events and headers: without angle brackets.
    const id = parsed.success ? parsed.data.id.replace(/^<|>$/g, '') : null;
    return { kind: 'accepted', providerMessageId: id, reply: `HTTP ${status}`, ...replaced(id, correlation) };
  }
  if (status === 400) {
    if (/\bto\b'?"? parameter is not a valid address/i.test(reply)) return refused('address', status, reply);
    if (/\bfrom\b'?"? parameter is not a valid address/i.test(reply)) return refused('sender', status, reply);
    if (/sandbox subdomains are for test purposes|not allowed to send/i.test(reply))
      return unavailable('authentication', reply);
  }
  return outcomeOfStatus(answer);
}
