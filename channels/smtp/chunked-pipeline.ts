import type { SendOutcome } from '../connector';
import { Burst } from './burst';
import type { Capabilities } from './capabilities';
import { classify } from './classify';
import type { Connection, ConnectionEnd } from './connection';
import { Depth } from './depth';
import type { SmtpTimeouts } from './options';
import { LARGE, type Pipeline, type PipelineOwner } from './pipeline';
import { type Reply, replyText } from './reply-parser';
import { prepareEnvelope, type Transaction } from './transaction';
import { toChunk } from './wire';

/** Answers of one transaction in their order; RSET is said only where something may be left of the one before. */
const STAGES = ['rset', 'mail', 'rcpt', 'final'] as const;
type ChunkedStage = (typeof STAGES)[number];

/** A transaction whose commands are in the burst or with the server. */
interface Entry {
  transaction: Transaction;
  /** Index into STAGES of the next answer. */
  stage: number;
  /** Its last octet was passed to the socket; without an answer its fate is unknown. */
  written: boolean;
  writtenAt: number;
  /** It took the last place. */
  filled: boolean;
}

/**
 * Whole messages one behind the other on one connection, for servers that offer CHUNKING and PIPELINING: BDAT says how
 * long a message is and waits for no 354 (RFC 3030 sections 2 and 4.2), so a distant server is not a slow one. Answers
 * come in order. RSET before each MAIL keeps the refusal of one message from spoiling the next.
 *
 * The price: when the connection breaks, all that was written and not answered is unknown, not just one message. So
 * the first message of a connection goes alone, {@link Depth} keeps no more under way than the distance needs, and a
 * server that broke a connection without a word is spoken to with DATA for a while.
 */
export class ChunkedPipeline implements Pipeline {
  private readonly underWay: Entry[] = [];
  /** The entries at the end of `underWay` whose octets are still in the burst. */
  private unwritten = 0;
  /** Is being written in pieces, its last one held back: it can't have been accepted. Always the last under way. */
  private large: Entry | null = null;
  /** A transaction was refused, and none was said behind it that begins with RSET. */
  private spoiled = false;
  private flushPlanned = false;
  private begun = 0;
  private accepted = 0;
  private answered = false;
  private retiring = false;
  private ended = false;
  /** The server said that it closes: what was not answered by then was not looked at. */
  private serverCloses = false;
  private abandoned: 'fenced' | 'stopped' | 'connection' | null = null;
  private readonly burst = new Burst();
  private readonly depth: Depth;

  constructor(
    private readonly connection: Connection,
    private readonly capabilities: Capabilities,
    private readonly timeouts: SmtpTimeouts,
    private readonly limits: { messages: number; pipelined: number },
    private readonly owner: PipelineOwner,
  ) {
    this.depth = new Depth(limits.pipelined);
  }

  start(): void {
    this.connection.listen({
      onReply: (reply) => this.onReply(reply),
      onReplies: () => this.onReplies(),
      onEnd: (end) => this.onEnd(end),
    });
  }

  get idle(): boolean {
    return this.underWay.length === 0;
  }

  get load(): number {
    return this.underWay.length;
  }

  get places(): number {
    return this.depth.value;
  }

  get ready(): boolean {
    return !this.ended && !this.retiring && this.large === null && this.underWay.length < this.depth.value;
  }

  /** The write follows when all that waits is dealt out, so that messages begun together leave together. */
  begin(): void {
    if (this.ready && this.add() && !this.flushPlanned) {
      this.flushPlanned = true;
      queueMicrotask(() => {
        this.flushPlanned = false;
        this.flush();
      });
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

  /** @returns false when nothing was put into the burst */
  private add(): boolean {
    for (let transaction = this.owner.next(); transaction !== undefined; transaction = this.owner.next()) {
      const envelope = prepareEnvelope(transaction.message, this.capabilities);
      if (!envelope.ok) {
        transaction.settle(envelope.outcome);
        continue;
      }
      this.begun++;
      this.retiring ||= this.begun >= this.limits.messages;
      const reset = this.spoiled || this.underWay.length > 0;
      this.spoiled = false;
      const chunk = toChunk(transaction.message.content);
      this.burst.append(`${reset ? 'RSET\r\n' : ''}${envelope.mail}${envelope.rcpt}BDAT ${chunk.length} LAST\r\n`);
      const filled = this.underWay.length + 1 >= this.depth.value;
      const entry: Entry = { transaction, stage: reset ? 0 : 1, written: false, writtenAt: 0, filled };
      this.underWay.push(entry);
      if (chunk.length > LARGE) {
        this.large = entry;
        this.flush();
        this.writeLarge(entry, chunk, 0);
        return false;
      }
      this.unwritten++;
      this.burst.appendClean(chunk);
      return true;
    }
    return false;
  }

  private writeLarge(entry: Entry, chunk: Buffer, offset: number): void {
    if (this.ended) {
      return;
    }
    if (!entry.transaction.gate.mayWrite()) {
      this.owner.fence();
      return;
    }
    const end = Math.min(offset + LARGE, chunk.length);
    if (end < chunk.length) {
      this.await();
      this.connection.write(chunk.subarray(offset, end), () => this.writeLarge(entry, chunk, end));
      return;
    }
    this.large = null;
    entry.written = true;
    entry.writtenAt = performance.now();
    this.connection.write(chunk.subarray(offset, end));
    this.onReplies();
  }

  /** One write for everything that was begun together. */
  private flush(): void {
    if (this.burst.empty || this.ended) {
      return;
    }
    const first = this.underWay.length - this.unwritten - (this.large === null ? 0 : 1);
    const entries = this.underWay.slice(first);
    let asked: Transaction['gate'] | null = null;
    for (const { transaction } of entries) {
      if (transaction.gate !== asked && !transaction.gate.mayWrite()) {
        this.owner.fence();
        return;
      }
      asked = transaction.gate;
    }
    const now = performance.now();
    for (const entry of entries) {
      if (entry !== this.large) {
        entry.written = true;
        entry.writtenAt = now;
      }
    }
    this.unwritten = 0;
    this.await();
    this.burst.writeTo(this.connection);
  }

  private onReply(reply: Reply): void {
    const [head] = this.underWay;
    if (head === undefined) {
      // The server's good-bye, or an answer to nothing.
      this.connection.destroy();
      return;
    }
    this.answered = true;
    const stage = STAGES[head.stage] as ChunkedStage;
    head.stage++;
    if (reply.code === 421) {
      this.closing(head, reply, stage);
    } else if (stage === 'final') {
      this.answerFinal(head, reply);
    } else {
      this.answerCommand(head, reply, stage);
    }
  }

  private answerCommand(head: Entry, reply: Reply, stage: Exclude<ChunkedStage, 'final'>): void {
    if (reply.code < 300) {
      head.transaction.recipientAccepted ||= stage === 'rcpt';
    } else if (reply.code < 400 || stage === 'rset') {
      this.nonsense(head, `the server answered ${stage.toUpperCase()} with ${reply.code}`);
    } else {
      this.spoiled ||= this.underWay.length === 1;
      head.transaction.settle(classify(reply, stage));
      if (head === this.large) {
        // All earlier ones are answered, and the server need not be sent the rest.
        this.connection.destroy();
      }
    }
  }

  private answerFinal(head: Entry, reply: Reply): void {
    const { transaction } = head;
    this.underWay.shift();
    if (!head.written) {
      // Refused before its end was sent; or it "has" what it can't have.
      this.large = null;
      transaction.settle(
        reply.code >= 400
          ? classify(reply, 'final')
          : { kind: 'unavailable', cause: 'protocol', reply: replyText(reply), retryAfterMs: null },
      );
      this.connection.destroy();
      return;
    }
    this.depth.answered(performance.now() - head.writtenAt, head.filled);
    if (!transaction.open) {
      // Whatever it says, nobody was to receive that message.
      return;
    }
    if (reply.code < 300) {
      this.accepted++;
      transaction.settle({ kind: 'accepted', providerMessageId: null, reply: replyText(reply) });
    } else if (reply.code >= 400) {
      this.spoiled ||= this.underWay.length === 0;
      transaction.settle(classify(reply, 'final'));
    } else {
      // A 3xx answers nothing we asked. The message was handed over and no usable answer came.
      transaction.settle({ kind: 'unknown', cause: 'the server answered the message with 3xx' });
      this.connection.destroy();
    }
  }

  /**
   * 421: the server closes, and has not looked at what follows (RFC 5321 section 3.8; RFC 2920 keeps the order). On a
   * connection that has carried mail this is usually its limit or its patience, and nothing against the message.
   */
  private closing(head: Entry, reply: Reply, stage: ChunkedStage): void {
    const justClosing = stage === 'rset' || (stage === 'mail' && this.accepted > 0 && !/^4\.7\.\d/.test(reply.text));
    head.transaction.settle(
      justClosing ? { kind: 'not-sent', cause: 'connection', inData: false } : classify(reply, stage),
    );
    this.serverCloses = true;
    this.connection.destroy();
  }

  /** Its content may have been taken all the same: it is with the server already. */
  private nonsense(head: Entry, cause: string): void {
    if (head.written) {
      head.transaction.settle({ kind: 'unknown', cause });
    }
    this.connection.destroy();
  }

  private onReplies(): void {
    while (this.ready && this.add()) {
      // As many as there are places.
    }
    this.flush();
    if (!this.ended) {
      this.rest();
      this.owner.progressed(this);
    }
  }

  private await(): void {
    const [head] = this.underWay;
    const final = head?.written && STAGES[head.stage] === 'final';
    this.connection.expectWithin(final ? this.timeouts.finalDotMs : this.timeouts.commandMs);
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
    this.large = null;
    let unanswered = 0;
    for (const { transaction, written } of this.underWay.splice(0)) {
      if (!transaction.open) {
        continue;
      }
      unanswered += written && !this.serverCloses ? 1 : 0;
      transaction.settle(this.outcomeOf(written, transaction.recipientAccepted, end));
    }
    if (unanswered > 0 && this.abandoned === null) {
      this.owner.distrust(this);
    }
    this.owner.ended(this);
  }

  private outcomeOf(written: boolean, inData: boolean, end: ConnectionEnd): SendOutcome {
    if (this.serverCloses) {
      return { kind: 'not-sent', cause: 'connection', inData: false };
    }
    if (written) {
      return { kind: 'unknown', cause: `no answer to the message: ${end.cause}` };
    }
    if (this.abandoned !== null) {
      return { kind: 'not-sent', cause: this.abandoned, inData: false };
    }
    return inData
      ? { kind: 'not-sent', cause: 'dropped-in-data', inData: true }
      : { kind: 'not-sent', cause: 'dropped-before-data', inData: false };
  }
}
