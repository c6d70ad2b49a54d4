import { AsyncLocalStorage } from 'node:async_hooks';
import { wireAddress } from '../address';
import type { Connector, OutgoingMessage, SendOutcome, Verification } from '../connector';
import {
  type ApiCall,
  failedVerification,
  type HttpAnswer,
  HttpConnector,
  type HttpOptions,
  outcomeOfStatus,
  outcomeWithoutAnswer,
  type ProviderApi,
  refused,
  unavailable,
  unsuitable,
  verified,
} from '../http';
import type { SesClient } from './client';
import { type Exchanged, ExchangeHandler, NoAnswerError } from './handler';

export interface SesOptions {
  region: string;
  /** Base URL instead of the region's own. */
  endpoint: string | null;
  accessKeyId: string;
  secretAccessKey: string;
  configurationSet: string | null;
  http: HttpOptions;
}

/** The connector for Amazon SES (API v2, SendEmail with raw content): one message a request, as Sally composed it. */
export function createSesConnector(options: SesOptions): Connector {
  return new HttpConnector(new SesApi(options), options.http);
}

/** Where the daily quota is used up, it comes back little by little over 24 hours. */
const DAILY_QUOTA_MS = 15 * 60_000;

/** The SDK opens no connection and repeats nothing: its requests are made by our transport. */
class SesApi implements ProviderApi {
  readonly batchSize = 1;
  private readonly current = new AsyncLocalStorage<Exchanged>();
  private loaded: SesClient | null = null;

  constructor(private readonly options: SesOptions) {}

  unfit(message: OutgoingMessage): SendOutcome | null {
    return message.smtpUtf8 ? unsuitable('SES takes no non-ASCII local parts') : null;
  }

  async send([message]: readonly OutgoingMessage[], call: ApiCall): Promise<SendOutcome[]> {
    if (!message) return [];
    const client = this.client();
    const to = wireAddress(message.envelopeTo);
    const mail = {
      from: message.envelopeFrom,
      to: to.ok ? to.address : message.envelopeTo,
      content: message.content,
      // Values of tags hold no dots.
      tag: message.correlation.replace('.', '_'),
      configurationSet: this.options.configurationSet,
    };
    const exchanged: Exchanged = { exchange: call.exchange, last: null };
    try {
      const providerMessageId = await this.current.run(exchanged, () => client.send(mail));
      const replaced = providerMessageId !== null && { messageId: this.messageIdOf(providerMessageId) };
      return [{ kind: 'accepted', providerMessageId, reply: 'HTTP 200', ...replaced }];
    } catch (error) {
      if (error instanceof NoAnswerError) return [outcomeWithoutAnswer(error.exchange)];
      if (exchanged.last?.kind !== 'answer') throw error;
      return [outcomeOf(client.problemOf(error), exchanged.last.answer)];
    }
  }

  /** Asks for the account's state; sending must be enabled. */
  async verify(exchange: ApiCall['exchange']): Promise<Verification> {
    const client = this.client();
    const exchanged: Exchanged = { exchange, last: null };
    try {
      const account = await this.current.run(exchanged, () => client.account());
      if (account.sendingEnabled === undefined) return failedVerification({ kind: 'unknown', cause: 'no account' });
      if (!account.sendingEnabled) {
        return { ok: false, cause: 'authentication', reply: 'sending is paused for this account' };
      }
      const url = new URL(this.options.endpoint ?? 'https://email.amazonaws.com');
      return verified('Amazon SES', url, [account.production ? 'production access' : 'account in the sandbox']);
    } catch (error) {
      if (exchanged.last === null) throw error;
      return failedVerification(exchanged.last);
    }
  }

  /**
   * SES overrides the Message-ID header (developer guide, "Amazon SES header fields") with its own id at a domain of the
   * region; the oldest region's is called "email".
   */
  private messageIdOf(id: string): string {
    const { region } = this.options;
    return `${id}@${region === 'us-east-1' ? 'email' : region}.amazonses.com`;
  }

  /** Loads the SDK with the first message or check: it takes half a second and 20 MB. */
  private client(): SesClient {
    const { createSesClient }: typeof import('./client') = require('./client');
    this.loaded ??= createSesClient(new ExchangeHandler(this.current), this.options);
    return this.loaded;
  }
}

/** Errors of the API by their names (SES API v2 reference, SendEmail, and the errors common to all AWS APIs). */
function outcomeOf(problem: { name: string; message: string } | null, answer: HttpAnswer): SendOutcome {
  const { status } = answer;
  if (status === 200) return { kind: 'unknown', cause: 'an answer of another form' };
  if (!problem) return outcomeOfStatus(answer);
  const { name, message } = problem;
  const reply = `${name} ${message}`.slice(0, 500);
  switch (name) {
    case 'TooManyRequestsException':
    case 'LimitExceededException':
    case 'ThrottlingException':
    case 'Throttling': {
      const outcome = outcomeOfStatus({ ...answer, status: 429 });
      if (outcome.kind !== 'throttled') return outcome;
      const retryAfterMs = outcome.retryAfterMs ?? (/daily/i.test(message) ? DAILY_QUOTA_MS : null);
      return { ...outcome, code: status, retryAfterMs, reply };
    }
    case 'AccountSuspendedException':
    case 'SendingPausedException':
    case 'AccessDeniedException':
    case 'UnrecognizedClientException':
    case 'InvalidClientTokenId':
    case 'InvalidSignatureException':
    case 'SignatureDoesNotMatch':
    case 'IncompleteSignature':
    case 'ExpiredTokenException':
      return unavailable('authentication', reply);
    case 'MailFromDomainNotVerifiedException':
      return refused('sender', status, reply);
    case 'MessageRejected':
      return refused(/not verified|identit/i.test(message) ? 'sender' : 'message', status, reply);
    // The configuration set, or an identity that a policy names.
    case 'NotFoundException':
      return unavailable('protocol', reply);
    case 'BadRequestException':
      return refused(/address|recipient|domain/i.test(message) ? 'address' : 'message', status, reply);
    default:
      return outcomeOfStatus(answer);
  }
}
