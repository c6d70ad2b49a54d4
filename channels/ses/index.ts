import { AsyncLocalStorage } from 'node:async_hooks';
import { GetAccountCommand, SESv2Client, SESv2ServiceException, SendEmailCommand } from '@aws-sdk/client-sesv2';
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

/** What the SDK adds: serialising, signatures (SigV4), reading of errors. It opens no connection and repeats nothing. */
class SesApi implements ProviderApi {
  readonly batchSize = 1;
  private readonly current = new AsyncLocalStorage<Exchanged>();
  private readonly client: SESv2Client;

  constructor(private readonly options: SesOptions) {
    const { region, endpoint, accessKeyId, secretAccessKey } = options;
    this.client = new SESv2Client({
      region,
      ...(endpoint !== null && { endpoint }),
      credentials: { accessKeyId, secretAccessKey },
      // A repeated request is a message sent twice.
      maxAttempts: 1,
      requestHandler: new ExchangeHandler(this.current),
    });
  }

  unfit(message: OutgoingMessage): SendOutcome | null {
    return message.smtpUtf8 ? unsuitable('SES takes no non-ASCII local parts') : null;
  }

  async send([message]: readonly OutgoingMessage[], call: ApiCall): Promise<SendOutcome[]> {
    if (!message) return [];
    const { configurationSet } = this.options;
    const to = wireAddress(message.envelopeTo);
    const command = new SendEmailCommand({
      ...(message.envelopeFrom !== '' && { FromEmailAddress: message.envelopeFrom }),
      Destination: { ToAddresses: [to.ok ? to.address : message.envelopeTo] },
      Content: { Raw: { Data: message.content } },
      // Values of tags hold no dots.
      EmailTags: [{ Name: 'sally', Value: message.correlation.replace('.', '_') }],
      ...(configurationSet !== null && { ConfigurationSetName: configurationSet }),
    });
    const exchanged: Exchanged = { exchange: call.exchange, last: null };
    try {
      const { MessageId } = await this.current.run(exchanged, () => this.client.send(command));
      return [{ kind: 'accepted', providerMessageId: MessageId ?? null, reply: 'HTTP 200' }];
    } catch (error) {
      if (error instanceof NoAnswerError) return [outcomeWithoutAnswer(error.exchange)];
      if (exchanged.last?.kind !== 'answer') throw error;
      return [outcomeOf(error, exchanged.last.answer)];
    }
  }

  /** Asks for the account's state; sending must be enabled. */
  async verify(exchange: ApiCall['exchange']): Promise<Verification> {
    const exchanged: Exchanged = { exchange, last: null };
    try {
      const account = await this.current.run(exchanged, () => this.client.send(new GetAccountCommand({})));
      if (account.SendingEnabled === false) {
        return { ok: false, cause: 'authentication', reply: 'sending is paused for this account' };
      }
      const url = new URL(this.options.endpoint ?? 'https://email.amazonaws.com');
      return verified('Amazon SES', url, [
        account.ProductionAccessEnabled ? 'production access' : 'account in the sandbox',
      ]);
    } catch (error) {
      if (exchanged.last === null) throw error;
      return failedVerification(exchanged.last);
    }
  }
}

/** Errors of the API by their names (SES API v2 reference, SendEmail, and the errors common to all AWS APIs). */
function outcomeOf(error: unknown, answer: HttpAnswer): SendOutcome {
  if (answer.status === 200) return { kind: 'unknown', cause: 'an answer of another form' };
  if (!(error instanceof SESv2ServiceException)) return outcomeOfStatus(answer);
  const { name } = error;
  const reply = `${name} ${error.message}`.slice(0, 500);
  const { status } = answer;
  switch (name) {
    case 'TooManyRequestsException':
    case 'LimitExceededException':
    case 'ThrottlingException':
    case 'Throttling': {
      const outcome = outcomeOfStatus({ ...answer, status: 429 });
      if (outcome.kind !== 'throttled') return outcome;
      const retryAfterMs = outcome.retryAfterMs ?? (/daily/i.test(error.message) ? DAILY_QUOTA_MS : null);
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
      return refused(/not verified|identit/i.test(error.message) ? 'sender' : 'message', status, reply);
    // The configuration set, or an identity that a policy names.
    case 'NotFoundException':
      return unavailable('protocol', reply);
    case 'BadRequestException':
      return refused(/address|recipient|domain/i.test(error.message) ? 'address' : 'message', status, reply);
    default:
      return outcomeOfStatus(answer);
  }
}
