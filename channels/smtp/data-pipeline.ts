import type { SendOutcome } from '../connector';
import { Burst } from './burst';
import type { Capabilities } from './capabilities';
import { classify, type Stage } from './classify';
import type { Connection, ConnectionEnd } from './connection';
import type { SmtpTimeouts } from './options';
import { LARGE, type Pipeline, type PipelineOwner } from './pipeline';
import { type Reply, replyText } from './reply-parser';
import { prepareEnvelope, type Transaction } from './transaction';
import { toWire } from './wire';

/** Commands of the envelope in the order of their answers. */
const STAGES: readonly Stage[] = ['mail', 'rcpt', 'data'];

/**
 * Mail transactions on one connection. At most two messages are under way: one whose final dot awaits its answer, and
 * behind it one envelope (RFC 2920 section 3.1 lets MAIL, RCPT, DATA follow the dot in the same write; DATA ends a
 * group). Answers come in order, so the state is a few fields:
 *
 *   [answer to the final dot of `content`] [answer to RSET] [answers to MAIL, RCPT, DATA of `envelope`]
 *
 * Without PIPELINING the same states are walked one command at a time. Content above LARGE is written in pieces, and its
 * final dot only when the kernel has taken all of it.
 */
export class DataPipeline implements Pipeline {
  /** Its final dot was passed to the socket (or is in the burst); without an answer its fate is unknown. */
  private content: Transaction | null = null;
  /** The burst being put together holds the content: nothing of it was passed to the socket yet. */
  private contentInBurst = false;
  /** Its content is being written in pieces; its dot is still held back, so it can't have been accepted. */
  private large: Transaction | null = null;
  /** A dot that ended an empty message nobody may receive (354 after a refused recipient). */
  private loneDot = false;
  private reset = false;
  private envelope: Transaction | null = null;
  /** Index into STAGES of the next answer for the envelope. */
  private stage = 0;
  /** Lock-step only: the commands of the envelope still to be said. */
  private unsaid: string[] = [];
  private begun = 0;
  private accepted = 0;
  private answered = false;
  private retiring = false;
  private ended = false;
  /** Why we ended it ourselves, if we did. */
  private abandoned: 'fenced' | 'stopped' | 'connection' | null = null;
  private readonly burst = new Burst();

  constructor(
    private readonly connection: Connection,
    private readonly capabilities: Capabilities,
    private readonly timeouts: SmtpTimeouts,
    private readonly maxMessages: number,
    private readonly owner: PipelineOwner,
  ) {}

  start(): void {
    this.connection.listen({
      onReply: (reply) => this.onReply(reply),
      onReplies: () => this.onReplies(),
      onEnd: (end) => this.onEnd(end),
    });
  }

  get idle(): boolean {
    return this.content === null && this.large === null && this.envelope === null && !this.reset && !this.loneDot;
  }

  /** 0, 1 or 2. */
  get load(): number {
    return (this.content === null ? 0 : 1) + (this.large === null ? 0 : 1) + (this.envelope === null ? 0 : 1);
  }

  get places(): number {
    return this.capabilities.pipelining ? 2 : 1;
  }

  get ready(): boolean {
    if (this.ended || this.retiring || this.envelope !== null || this.large !== null) {
      return false;
    }
    return this.capabilities.pipelining || this.idle;
  }

  begin(): void {
    if (this.ready) {
      this.addEnvelope();
      this.flush();
    }
  }

  retire(): void {
    this.retiring = true;
    if (this.idle && !this.ended) {
      this.connection.quit();
    }
  }

  abandon(cause: 'fenced' | 'stopped' | 'connection'): void {
    this.abandoned ??= cause;
    this.connection.destroy();
  }

  get useless(): boolean {
    return this.begun > 0 && !this.answered && !this.retiring && this.abandoned === null;
  }

  private onReply(reply: Reply): void {
    if (!this.burst.empty) {
      // All that was asked is answered, and what is still unwritten can't be: the server counts differently than we do.
      this.nonsense(this.content ?? this.envelope, reply);
    } else if (this.content !== null) {
      const transaction = this.content;
      this.content = null;
      this.answered = true;
      this.answerContent(transaction, reply);
    } else if (this.loneDot) {
      // Whatever it says, nobody was to receive that message.
      this.loneDot = false;
    } else if (this.reset) {
      this.reset = false;
      if (reply.code !== 250) {
        this.connection.destroy();
      }
    } else if (this.envelope !== null) {
      this.answerEnvelope(this.envelope, reply);
    } else {
      this.unexpected(reply);
    }
  }

  private answerContent(transaction: Transaction, reply: Reply): void {
    if (reply.code >= 200 && reply.code < 300) {
      this.accepted++;
      transaction.settle({ kind: 'accepted', providerMessageId: null, reply: replyText(reply) });
    } else if (reply.code >= 400) {
      transaction.settle(classify(reply, 'final'));
    } else {
      // A 3xx answers nothing we asked. The message was handed over and no usable answer came.
      transaction.settle({ kind: 'unknown', cause: 'the server answered the message with 3xx' });
      this.connection.destroy();
      return;
    }
    if (reply.code === 421) {
      this.connection.destroy();
    }
  }

  private answerEnvelope(transaction: Transaction, reply: Reply): void {
    const stage = STAGES[this.stage] as Stage;
    this.stage++;
    this.answered = true;
    if (reply.code === 421) {
      this.closing(transaction, reply, stage);
      return;
    }
    if (stage === 'data') {
      this.answerData(transaction, reply);
      return;
    }
    if (reply.code >= 400) {
      transaction.settle(classify(reply, stage));
      if (!this.capabilities.pipelining) {
        // Lock-step: DATA was not said, so only the transaction has to be forgotten.
        this.envelope = null;
        this.addReset();
      }
    } else if (reply.code >= 300) {
      this.nonsense(transaction, reply);
    } else {
      transaction.recipientAccepted ||= stage === 'rcpt';
      const command = this.unsaid.shift();
      if (command !== undefined) {
        this.burst.append(command);
      }
    }
  }

  private answerData(transaction: Transaction, reply: Reply): void {
    if (reply.code === 354) {
      this.envelope = null;
      if (!transaction.open) {
        // RFC 2920 section 3.1: the recipient was refused, yet the server wants a message. It gets an empty one.
        this.loneDot = true;
        this.burst.append('.\r\n');
        this.addReset();
      } else if (!transaction.gate.mayBegin(transaction.message.deliveryId)) {
        // All earlier answers are in, so closing now harms no other message, and nothing of this one was sent.
        transaction.settle({ kind: 'not-sent', cause: 'stopped', inData: false });
        this.connection.destroy();
      } else {
        this.addContent(transaction);
      }
    } else if (reply.code >= 400) {
      this.envelope = null;
      transaction.settle(classify(reply, 'data'));
      this.addReset();
    } else {
      this.nonsense(transaction, reply);
    }
  }

  /**
   * 421: the server closes. On a connection that has carried mail this is usually its limit or its patience, and
   * nothing against the message; a new connection will tell.
   */
  private closing(transaction: Transaction, reply: Reply, stage: Stage): void {
    const justClosing = stage === 'mail' && this.accepted > 0 && !/^4\.7\.\d/.test(reply.text);
    transaction.settle(justClosing ? { kind: 'not-sent', cause: 'connection', inData: false } : classify(reply, stage));
    this.connection.destroy();
  }

  private nonsense(transaction: Transaction | null, reply: Reply): void {
    transaction?.settle({ kind: 'unavailable', cause: 'protocol', reply: replyText(reply), retryAfterMs: null });
    this.connection.destroy();
  }

  /** An answer to nothing: a refusal in the middle of a large message, or the server's good-bye. */
  private unexpected(reply: Reply): void {
    if (this.large !== null && reply.code >= 400) {
      this.large.settle(classify(reply, 'final'));
    }
    this.connection.destroy();
  }

  private onReplies(): void {
    if (this.ready && (this.capabilities.pipelining || this.burst.empty)) {
      this.addEnvelope();
    }
    this.flush();
    if (!this.ended) {
      this.rest();
      this.owner.progressed(this);
    }
  }

  private addEnvelope(): void {
    for (;;) {
      const transaction = this.owner.next();
      if (transaction === undefined) {
        return;
      }
      const envelope = prepareEnvelope(transaction.message, this.capabilities);
      if (envelope.ok) {
        this.begun++;
        this.retiring ||= this.begun >= this.maxMessages;
        this.envelope = transaction;
        this.stage = 0;
        if (this.capabilities.pipelining) {
          this.burst.append(`${envelope.mail}${envelope.rcpt}DATA\r\n`);
        } else {
          this.burst.append(envelope.mail);
          this.unsaid = [envelope.rcpt, 'DATA\r\n'];
        }
        return;
      }
      transaction.settle(envelope.outcome);
    }
  }

  private addReset(): void {
    this.reset = true;
    this.unsaid = [];
    this.burst.append('RSET\r\n');
  }

  private addContent(transaction: Transaction): void {
    const { content } = transaction.message;
    if (content.length > LARGE) {
      this.large = transaction;
      this.flush();
      this.writeLarge(transaction, toWire(content), 0);
      return;
    }
    this.content = transaction;
    this.contentInBurst = true;
    this.burst.appendContent(content);
    this.burst.append('.\r\n');
  }

  private writeLarge(transaction: Transaction, wire: Buffer, offset: number): void {
    if (this.ended) {
      return;
    }
    if (!transaction.gate.mayWrite()) {
      this.owner.fence();
      return;
    }
    this.connection.expectWithin(this.timeouts.commandMs);
    if (offset < wire.length) {
      const end = Math.min(offset + LARGE, wire.length);
      this.connection.write(wire.subarray(offset, end), () => this.writeLarge(transaction, wire, end));
      return;
    }
    this.large = null;
    this.content = transaction;
    this.burst.append('.\r\n');
    this.onReplies();
  }

  /** One write for everything the answers of one read made possible. */
  private flush(): void {
    if (this.burst.empty || this.ended) {
      return;
    }
    const mayWrite =
      (this.content === null || this.content.gate.mayWrite()) &&
      (this.envelope === null || this.envelope.gate === this.content?.gate || this.envelope.gate.mayWrite());
    if (!mayWrite) {
      this.owner.fence();
      return;
    }
    this.contentInBurst = false;
    this.await();
    this.burst.writeTo(this.connection);
  }

  private await(): void {
    this.connection.expectWithin(this.content !== null ? this.timeouts.finalDotMs : this.timeouts.commandMs);
  }

  private rest(): void {
    if (!this.idle) {
      this.await();
    } else if (this.retiring) {
      this.connection.quit();
    } else {
      this.connection.expectNothing();
    }
  }

  private onEnd(end: ConnectionEnd): void {
    this.ended = true;
    const { content, large, envelope } = this;
    this.content = null;
    this.large = null;
    this.envelope = null;
    const garbage = end.cause === 'garbage' ? end.line : null;
    if (content !== null && !this.contentInBurst) {
      content.settle({ kind: 'unknown', cause: `no answer to the final dot: ${end.cause}` });
    } else {
      content?.settle(this.lost(true, garbage));
    }
    large?.settle(this.lost(true, garbage));
    // Behind a message that got no answer, silence and garbage say nothing about the envelope.
    envelope?.settle(this.lost(envelope.recipientAccepted, content === null ? garbage : null));
    this.owner.ended(this);
  }

  /** The outcome of a message whose final dot was not passed to the socket. */
  private lost(inData: boolean, garbage: string | null): SendOutcome {
    if (this.abandoned !== null) {
      return { kind: 'not-sent', cause: this.abandoned, inData: false };
    }
    if (garbage !== null) {
      return { kind: 'unavailable', cause: 'protocol', reply: `no SMTP: ${garbage}`, retryAfterMs: null };
    }
    return inData
      ? { kind: 'not-sent', cause: 'dropped-in-data', inData: true }
      : { kind: 'not-sent', cause: 'dropped-before-data', inData: false };
  }
}
