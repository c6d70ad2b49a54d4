import { z } from 'zod';
import { wireAddress } from '../address';
import type {
  Connector,
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

export interface SendgridOptions {
  /** Base URL: https://api.sendgrid.com, or https://api.eu.sendgrid.com for European subusers. */
  endpoint: string;
  apiKey: string;
  sandbox: boolean;
  tracking: boolean;
  ipPool: string | null;
  http: HttpOptions;
}

/** The connector for SendGrid's Mail Send API (POST /v3/mail/send): one message a request, put together by SendGrid. */
export function createSendgridConnector(options: SendgridOptions): Connector {
  return new HttpConnector(new SendgridApi(options), options.http);
}

class SendgridApi implements ProviderApi {
  readonly batchSize = 1;

  constructor(private readonly options: SendgridOptions) {}

  unfit(message: OutgoingMessage): SendOutcome | null {
    if (!message.structured) return unsuitable('the message was not given in parts');
    return message.smtpUtf8 ? unsuitable('SendGrid takes no non-ASCII local parts') : null;
  }

  async send([message]: readonly OutgoingMessage[], call: ApiCall): Promise<SendOutcome[]> {
    if (!message?.structured) return [];
    const body = Buffer.from(JSON.stringify(this.bodyOf(message, message.structured())));
    const exchange = await call.exchange({
      method: 'POST',
      url: below(this.options.endpoint, '/v3/mail/send'),
      headers: { ...this.authorization(), 'Content-Type': 'application/json' },
      body: () => body,
    });
    return [exchange.kind === 'answer' ? outcomeOf(exchange.answer) : outcomeWithoutAnswer(exchange)];
  }

  /** Asks which permissions the key has; `mail.send` is the one that is needed. */
  async verify(exchange: ApiCall['exchange']): Promise<Verification> {
    const url = below(this.options.endpoint, '/v3/scopes');
    const result = await exchange({ method: 'GET', url, headers: this.authorization(), body: null });
    if (result.kind !== 'answer' || result.answer.status !== 200) return failedVerification(result);
    const scopes = z.object({ scopes: z.array(z.string()) }).safeParse(jsonOf(result.answer));
    if (!scopes.success) return { ok: false, cause: 'protocol', reply: replyOf(result.answer) };
    return scopes.data.scopes.includes('mail.send')
      ? verified('SendGrid', url, ['mail.send'])
      : { ok: false, cause: 'authentication', reply: 'the API key lacks the permission mail.send' };
  }

  private authorization(): Record<string, string> {
    return { Authorization: `Bearer ${this.options.apiKey}` };
  }

  private bodyOf(message: OutgoingMessage, parts: StructuredMessage): object {
    const { sandbox, tracking, ipPool } = this.options;
    const to = { ...mailbox(parts.to), email: wire(message.envelopeTo) };
    return {
      personalizations: [{ to: [to], custom_args: { sally: message.correlation } }],
      from: mailbox(parts.from),
      ...(parts.replyTo && { reply_to: mailbox(parts.replyTo) }),
      subject: parts.subject,
      // RFC 2046, section 5.1.4: the plainest form first; the API insists.
      content: [
        ...(parts.text === null ? [] : [{ type: 'text/plain', value: parts.text }]),
        ...(parts.html === null ? [] : [{ type: 'text/html', value: parts.html }]),
      ],
      // Not among the header fields that SendGrid reserves for itself (API reference, Mail Send, "headers"): ours stands.
      headers: { 'Message-ID': `<${parts.messageId}>`, ...Object.fromEntries(parts.headers) },
      ...(parts.attachments.length > 0 && {
        attachments: parts.attachments.map(({ fileName, contentType, content }) => ({
          filename: fileName,
          type: contentType,
          content: content.toString('base64'),
          disposition: 'attachment',
        })),
      }),
      ...(ipPool !== null && { ip_pool_name: ipPool }),
      mail_settings: { sandbox_mode: { enable: sandbox } },
      tracking_settings: {
        click_tracking: { enable: tracking, enable_text: false },
        open_tracking: { enable: tracking },
        subscription_tracking: { enable: false },
      },
    };
  }
}

/** A name with a comma or semicolon is taken for several addresses unless it is quoted. */
function mailbox({ name, address }: MessageAddress): { email: string; name?: string } {
  const email = wire(address);
  if (name === '') return { email };
  return { email, name: /[,;]/.test(name) ? `"${name.replace(/["\\]/g, '\\$&')}"` : name };
}

function wire(address: string): string {
  const known = wireAddress(address);
  return known.ok ? known.address : address;
}

const problems = z.object({
  errors: z.array(z.object({ message: z.string(), field: z.string().nullish() })).min(1),
});

/** 202 = queued, 200 = checked in sandbox mode. */
function outcomeOf(answer: HttpAnswer): SendOutcome {
  const { status } = answer;
  if (status === 202 || status === 200) {
    const id = answer.headers['x-message-id'];
    return {
      kind: 'accepted',
      providerMessageId: typeof id === 'string' && id !== '' ? id : null,
      reply: `HTTP ${status}`,
    };
  }
  const parsed = problems.safeParse(jsonOf(answer));
  const known = parsed.success ? parsed.data.errors : [];
  const reply = replyOf(answer);
  const hasField = (field: RegExp) => known.some((problem) => field.test(problem.field ?? ''));
  const says = (text: RegExp) => known.some((problem) => text.test(problem.message));
  if (status === 403 && (hasField(/^from/) || says(/verified Sender Identity/i)))
    return refused('sender', status, reply);
  if (status === 400) {
    if (hasField(/^personalizations\.\d+\.to/)) return refused('address', status, reply);
    if (hasField(/^(?:from|reply_to)/)) return refused('sender', status, reply);
    if (hasField(/^ip_pool_name/)) return unavailable('protocol', reply);
  }
  return outcomeOfStatus(answer);
}
