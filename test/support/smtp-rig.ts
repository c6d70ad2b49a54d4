import type { Connector, OutgoingMessage, SendGate, SendOutcome } from '../../channels/connector';
import { createSmtpConnector, type SmtpOptions, smtpOptions } from '../../channels/smtp';
import { type Script, ScriptedSmtpServer, type ScriptedSmtpServerOptions } from './scripted-smtp-server';

type Overrides = Omit<Partial<SmtpOptions>, 'timeouts'> & { timeouts?: Partial<SmtpOptions['timeouts']> };

export const OPEN: SendGate = { mayBegin: () => true, mayWrite: () => true };

/** An SMTP connector and the server it speaks to. */
export class SmtpRig {
  private currentServer: ScriptedSmtpServer | null = null;
  private currentConnector: Connector | null = null;

  get server(): ScriptedSmtpServer {
    if (this.currentServer === null) throw new Error('begin() comes first');
    return this.currentServer;
  }

  get connector(): Connector {
    if (this.currentConnector === null) throw new Error('begin() comes first');
    return this.currentConnector;
  }

  /** One connection unless `overrides` say otherwise. */
  async begin(script: Script | undefined, more: ScriptedSmtpServerOptions = {}, overrides: Overrides = {}) {
    const server = await ScriptedSmtpServer.start({ ...more, script });
    this.currentServer = server;
    this.currentConnector = createSmtpConnector(
      smtpOptions({
        host: '127.0.0.1',
        port: server.port,
        maxConnections: 1,
        reconnectMs: 30,
        ...overrides,
        // Nothing but silence meets them, however slow the machine is.
        timeouts: {
          connectMs: 10_000,
          greetingMs: 10_000,
          commandMs: 10_000,
          finalDotMs: 10_000,
          ...overrides.timeouts,
        },
      }),
    );
  }

  sendAll(ids: string[], gate: SendGate = OPEN): Promise<SendOutcome[]> {
    return Promise.all(ids.map((id) => this.connector.send(message(id), gate)));
  }

  async end(): Promise<void> {
    await this.connector.close(0);
    await this.server.stop();
  }
}

export function message(id: string, change: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return {
    deliveryId: id,
    correlation: `source.${id}`,
    lane: 'pool/default',
    envelopeFrom: 'news@sender.example',
    envelopeTo: `${id}@recipient.example`,
    content: Buffer.from(`X-Sally-Delivery: ${id}\r\nSubject: Hello\r\n\r\nHello ${id}\r\n.dot\r\n`),
    eightBit: false,
    smtpUtf8: false,
    ...change,
  };
}

/** An outcome as one short text. */
export function short(outcome: SendOutcome): string {
  switch (outcome.kind) {
    case 'permanent':
      return `permanent ${outcome.scope}${outcome.suppress ? ' suppress' : ''}${outcome.otherRoute ? ' other' : ''}`;
    case 'not-sent':
    case 'unavailable':
      return `${outcome.kind} ${outcome.cause}`;
    default:
      return outcome.kind;
  }
}

/** The script of a fault for the n-th message at one step. */
export const fault =
  (step: string, n: number, answer: ReturnType<Script>): Script =>
  (context) =>
    context.step === step && context.message === n ? answer : undefined;

export async function eventually(condition: () => boolean): Promise<void> {
  const end = performance.now() + 30_000;
  while (performance.now() < end) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error('did not happen in time');
}
