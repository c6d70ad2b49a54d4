import { z } from 'zod';
import { wireAddress } from '../address';
import type {
  Connector,
  Evidence,
  LookupQuery,
  MessageAddress,
  OutgoingMessage,
  SendOutcome,
  StructuredMessage,
  Verification,
} from '../connector';
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

export interface PostmarkOptions {
  /** Base URL: https://api.postmarkapp.com. */
  endpoint: string;
  serverToken: string;
  /** With Postmark's test token messages are checked and thrown away. */
  sandbox: boolean;
  tracking: boolean;
  messageStream: string;
  http: HttpOptions;
}

/** The connector for Postmark (POST /email/batch): many messages a request, put together by Postmark. */
export function createPostmarkConnector(options: PostmarkOptions): Connector {
  return new HttpConnector(new PostmarkApi(options), options.http);
}

const TEST_TOKEN = 'POSTMARK_API_TEST';
/** The API takes 500 and 50 MB; fewer, since one lost answer makes all of a request unknown. */
const BATCH_SIZE = 50;

class PostmarkApi implements ProviderApi {
  readonly batchSize = BATCH_SIZE;

  constructor(private readonly options: PostmarkOptions) {}

  unfit(message: OutgoingMessage): SendOutcome | null {
    if (!message.structured) return unsuitable('the message was not given in parts');
    return message.smtpUtf8 ? unsuitable('Postmark takes no non-ASCII local parts') : null;
  }

  async send(messages: readonly OutgoingMessage[], call: ApiCall): Promise<SendOutcome[]> {
    let begun: readonly OutgoingMessage[] = messages;
    const exchange = await call.exchange({
      method: 'POST',
      url: below(this.options.endpoint, '/email/batch'),
      headers: { ...this.authorization(this.options.sandbox ? TEST_TOKEN : this.options.serverToken), ...JSON_TYPES },
      body: () => {
        begun = messages.filter((message) => call.mayBegin(message));
        return Buffer.from(JSON.stringify(begun.map((message) => this.itemOf(message))));
      },
    });
    const outcomes =
      exchange.kind === 'answer'
        ? outcomesOf(exchange.answer, begun.length)
        : begun.map(() => outcomeWithoutAnswer(exchange));
    return messages.map((message) => outcomes[begun.indexOf(message)] ?? STOPPED);
  }

  async verify(exchange: ApiCall['exchange']): Promise<Verification> {
    const url = below(this.options.endpoint, '/server');
    const headers = { ...this.authorization(this.options.serverToken), ...JSON_TYPES };
    const result = await exchange({ method: 'GET', url, headers, body: null });
    if (result.kind !== 'answer' || result.answer.status !== 200) return failedVerification(result);
    const server = z.object({ Name: z.string() }).safeParse(jsonOf(result.answer));
    if (!server.success) return { ok: false, cause: 'protocol', reply: replyOf(result.answer) };
    return verified(`Postmark server ${server.data.Name}`, url);
  }

  /** Searches the outbound messages by their metadata. */
  async lookup(query: LookupQuery, exchange: ApiCall['exchange']): Promise<Evidence | null> {
    const url = below(this.options.endpoint, '/messages/outbound');
    url.search = new URLSearchParams({
      count: '1',
      offset: '0',
      metadata_sally: query.correlation,
      messagestream: this.options.messageStream,
    }).toString();
    const headers = { ...this.authorization(this.options.serverToken), ...JSON_TYPES };
    const result = await exchange({ method: 'GET', url, headers, body: null });
    if (result.kind !== 'answer' || result.answer.status !== 200) return null;
    const page = z.object({ Messages: z.array(z.object({ MessageID: z.string() })) }).safeParse(jsonOf(result.answer));
    if (!page.success) return null;
    const [own] = page.data.Messages;
    return own ? { found: true, providerMessageId: own.MessageID } : { found: false };
  }

  private authorization(token: string): Record<string, string> {
    return { 'X-Postmark-Server-Token': token };
  }

  private itemOf(message: OutgoingMessage): object {
    const parts = message.structured?.() as StructuredMessage;
    const { tracking, messageStream } = this.options;
    return {
      From: mailbox(parts.from),
      To: mailbox({ name: parts.to.name, address: message.envelopeTo }),
      ...(parts.replyTo && { ReplyTo: mailbox(parts.replyTo) }),
      Subject: parts.subject,
      ...(parts.text !== null && { TextBody: parts.text }),
      ...(parts.html !== null && { HtmlBody: parts.html }),
      Headers: [
        ['Message-ID', `<${parts.messageId}>`] as const,
        // Without it Postmark puts {its MessageID}@mtasv.net in the place of ours.
        ['X-PM-KeepID', 'true'] as const,
        ...parts.headers,
      ].map(([name, value]) => ({ Name: name, Value: value })),
      ...(parts.attachments.length > 0 && {
        Attachments: parts.attachments.map(({ fileName, contentType, content }) => ({
          Name: fileName,
          ContentType: contentType,
          Content: content.toString('base64'),
        })),
      }),
      Metadata: { sally: message.correlation },
      MessageStream: messageStream,
      TrackOpens: tracking,
      TrackLinks: tracking ? 'HtmlAndText' : 'None',
    };
  }
}

const STOPPED: SendOutcome = { kind: 'not-sent', cause: 'stopped', inData: false };
const JSON_TYPES = { Accept: 'application/json', 'Content-Type': 'application/json' };

/** "Name" <address>: names always quoted (RFC 5322, section 3.2.4), non-ASCII as it is. */
function mailbox({ name, address }: MessageAddress): string {
  const known = wireAddress(address);
  const wire = known.ok ? known.address : address;
  return name === '' ? wire : `"${name.replace(/["\\]/g, '\\$&')}" <${wire}>`;
}

const result = z.object({ ErrorCode: z.int(), Message: z.string(), MessageID: z.string().optional() });
type Result = z.infer<typeof result>;

/** One outcome per message of the batch, in its order. */
function outcomesOf(answer: HttpAnswer, count: number): SendOutcome[] {
  if (answer.status === 200) {
    const parsed = z.array(result).safeParse(jsonOf(answer));
    if (parsed.success && parsed.data.length === count) return parsed.data.map((item) => outcomeOf(item, answer));
    return Array.from({ length: count }, () => ({ kind: 'unknown', cause: 'an answer of another form' }));
  }
  const single = result.safeParse(jsonOf(answer));
  const known = answer.status === 422 && single.success;
  const outcome = known ? outcomeOf(single.data, answer) : outcomeOfStatus(answer);
  // What is wrong with the whole request is nobody's address.
  const blamed: SendOutcome =
    outcome.kind === 'permanent' && count > 1 ? unavailable('protocol', replyOf(answer)) : outcome;
  return Array.from({ length: count }, () => blamed);
}

/** Postmark's API error codes (developer documentation, "API error codes"). */
function outcomeOf({ ErrorCode: code, Message: text, MessageID: id }: Result, answer: HttpAnswer): SendOutcome {
  const reply = `${code} ${text}`.slice(0, 500);
  switch (code) {
    case 0:
      return { kind: 'accepted', providerMessageId: id ?? null, reply };
    // Inactive recipient: bounced hard or complained before, at Postmark.
    case 406:
      return refused('address', code, reply);
    case 300:
      if (/'?\bFrom\b'?|sender/i.test(text)) return refused('sender', code, reply);
      return /'?\bTo\b'?|recipient|address/i.test(text)
        ? refused('address', code, reply)
        : refused('message', code, reply);
    // Sender signature not found or not confirmed; account pending, From and To must share a domain.
    case 400:
    case 401:
    case 412:
      return refused('sender', code, reply);
    // Bad token, no credits, inactive server, account may not send.
    case 10:
    case 405:
    case 407:
    case 413:
      return unavailable('authentication', reply);
    // Maintenance.
    case 100:
      return unavailable('protocol', reply);
    // No such message stream, or one that may not send.
    case 1235:
    case 1236:
      return unavailable('protocol', reply);
    case 429:
      return outcomeOfStatus({ ...answer, status: 429 });
    default:
      return refused('message', code, reply);
  }
}
