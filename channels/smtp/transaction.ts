import { wireAddress } from '../address';
import type { OutgoingMessage, SendGate, SendOutcome } from '../connector';
import type { Capabilities } from './capabilities';

/** One message on its way through the pool, and the promise that waits for its outcome. */
export class Transaction {
  private settled = false;
  /** Set once RCPT TO was accepted: from here on a drop happens inside the message's own DATA. */
  recipientAccepted = false;

  constructor(
    readonly message: OutgoingMessage,
    readonly gate: SendGate,
    private readonly resolve: (outcome: SendOutcome) => void,
  ) {}

  /** The first outcome counts; what follows from the same server (503 after a refused RCPT) does not. */
  settle(outcome: SendOutcome): void {
    if (!this.settled) {
      this.settled = true;
      this.resolve(outcome);
    }
  }

  get open(): boolean {
    return !this.settled;
  }
}

/** What to say before DATA, or why this message can't be said to this server. */
export type Envelope = { ok: true; mail: string; rcpt: string } | { ok: false; outcome: SendOutcome };

/** RFC 5321 section 4.5.5: for mail that must not be answered by a bounce. */
const NULL_SENDER = { ok: true, address: '', needsSmtpUtf8: false } as const;

/**
 * MAIL FROM and RCPT TO with the parameters this message needs and this server offers (RFC 1870, 6152, 6531).
 * A message the server can't carry is refused here without a byte being sent.
 */
export function prepareEnvelope(message: OutgoingMessage, offered: Capabilities): Envelope {
  const from = message.envelopeFrom === '' ? NULL_SENDER : wireAddress(message.envelopeFrom);
  const to = wireAddress(message.envelopeTo);
  if (!from.ok) {
    return refuse('sender', false, 'the sender address is not fit for an envelope');
  }
  if (!to.ok) {
    return refuse('address', false, 'the address is not fit for an envelope');
  }
  if ((to.needsSmtpUtf8 || from.needsSmtpUtf8 || message.smtpUtf8) && !offered.smtpUtf8) {
    return refuse(from.needsSmtpUtf8 ? 'sender' : 'address', true, 'the server does not offer SMTPUTF8');
  }
  if (message.eightBit && !offered.eightBitMime) {
    // Composed for another server, or before the first one was known: it comes back and is composed as 7-bit.
    return { ok: false, outcome: { kind: 'not-sent', cause: 'connection', inData: false } };
  }
  if (offered.maxSize !== null && message.content.length > offered.maxSize) {
    return refuse('message', false, `the message is larger than the server's limit of ${offered.maxSize} octets`);
  }
  let mail = `MAIL FROM:<${from.address}>`;
  if (message.eightBit) {
    mail += ' BODY=8BITMIME';
  }
  if (to.needsSmtpUtf8 || from.needsSmtpUtf8 || message.smtpUtf8) {
    mail += ' SMTPUTF8';
  }
  if (offered.size) {
    mail += ` SIZE=${message.content.length}`;
  }
  return { ok: true, mail: `${mail}\r\n`, rcpt: `RCPT TO:<${to.address}>\r\n` };
}

function refuse(scope: 'address' | 'sender' | 'message', otherRoute: boolean, reply: string): Envelope {
  return {
    ok: false,
    outcome: { kind: 'permanent', scope, suppress: false, otherRoute, code: null, enhanced: null, reply },
  };
}
