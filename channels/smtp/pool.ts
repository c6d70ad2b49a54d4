import type { Connector, OutgoingMessage, SendGate, SendOutcome, Verification } from '../connector';
import { FairQueue } from '../fair-queue';
import { BackOff } from './back-off';
import type { Capabilities } from './capabilities';
import { ChunkedPipeline } from './chunked-pipeline';
import { DataPipeline } from './data-pipeline';
import { HandshakeError, openSession, type Session } from './handshake';
import type { SmtpOptions } from './options';
import type { Pipeline, PipelineOwner } from './pipeline';
import { Transaction } from './transaction';

/** How long the rate of beginning messages is averaged; also the time a claim should cover. */
const PACE_MS = 250;
/** So long a server that broke a connection with messages under way is given them one at a time. */
const DISTRUST_MS = 600_000;

const NOT_SENT_STOPPED: SendOutcome = { kind: 'not-sent', cause: 'stopped', inData: false };
const NOT_SENT_FENCED: SendOutcome = { kind: 'not-sent', cause: 'fenced', inData: false };

/**
 * Kept connections to one server with one log-in, shared by all lanes in turn. Opens them as messages wait, never
 * more than the maximum; closes them when idle.
 */
export class SmtpPool implements Connector, PipelineOwner {
  private readonly queue = new FairQueue<Transaction>();
  private readonly pipelines = new Set<Pipeline>();
  private readonly idleSince = new Map<Pipeline, number>();
  private readonly backOff: BackOff;
  private readonly abort = new AbortController();
  private opening = 0;
  private capabilities: Capabilities | null = null;
  private closing = false;
  private readonly whenEmpty: (() => void)[] = [];
  private pumpPlanned = false;
  private sweeper: NodeJS.Timeout | null = null;
  private recall: NodeJS.Timeout | null = null;
  /** Messages begun in the current and in the last full stretch of PACE_MS. */
  private begun = 0;
  private begunBefore = 0;
  private stretchEnds = 0;
  /** performance.now() until which the server is spoken to with DATA. */
  private distrustedUntil = 0;

  constructor(private readonly options: SmtpOptions) {
    this.backOff = new BackOff(options.reconnectMs, options.reconnectMaxMs);
  }

  send(message: OutgoingMessage, gate: SendGate): Promise<SendOutcome> {
    if (this.closing) {
      return Promise.resolve(NOT_SENT_STOPPED);
    }
    return new Promise((resolve) => {
      this.queue.push(message.lane, new Transaction(message, gate, resolve));
      this.recall ??= setInterval(() => this.recallStopped(), PACE_MS);
      if (!this.pumpPlanned) {
        // A group is handed over in one turn of the event loop; it is dealt out when all of it is here.
        this.pumpPlanned = true;
        queueMicrotask(() => {
          this.pumpPlanned = false;
          this.pump();
        });
      }
    });
  }

  freePlaces(): number {
    if (this.closing || (this.pipelines.size === 0 && this.backOff.wait(performance.now()) > 0)) {
      return 0;
    }
    this.turnStretch();
    let underWay = this.queue.size;
    let places = 0;
    for (const pipeline of this.pipelines) {
      underWay += pipeline.load;
      places += pipeline.places;
    }
    const beginnable = Math.max(2 * this.options.maxConnections, places, this.begunBefore, this.begun);
    return Math.max(0, beginnable - underWay);
  }

  offers(): { eightBitMime: boolean; smtpUtf8: boolean } | null {
    return this.capabilities;
  }

  async close(graceMs: number): Promise<void> {
    this.closing = true;
    for (const waiting of this.queue.drain()) {
      waiting.settle(NOT_SENT_STOPPED);
    }
    this.abort.abort();
    for (const pipeline of [...this.pipelines]) {
      pipeline.retire();
    }
    await new Promise<void>((resolve) => {
      if (this.pipelines.size === 0) {
        resolve();
        return;
      }
      const timer = setTimeout(() => this.endAll('stopped'), graceMs);
      this.whenEmpty.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    for (const timer of [this.sweeper, this.recall]) {
      if (timer !== null) {
        clearInterval(timer);
      }
    }
  }

  async verify(): Promise<Verification> {
    try {
      const session = await openSession(this.options, this.abort.signal);
      const { connection, capabilities, greeting, authenticated } = session;
      const tls = connection.encryption;
      connection.quit();
      return { ok: true, greeting, capabilities: capabilities.keywords, tls, authenticated };
    } catch (error) {
      const failure = asHandshakeError(error);
      return { ok: false, cause: failure.reason, reply: failure.reply };
    }
  }

  next(): Transaction | undefined {
    for (;;) {
      const transaction = this.queue.shift();
      if (transaction === undefined) {
        return undefined;
      }
      const { gate, message } = transaction;
      if (gate.mayBegin(message.deliveryId) && (gate.isOnTime?.() ?? true)) {
        this.turnStretch();
        this.begun++;
        return transaction;
      }
      transaction.settle(NOT_SENT_STOPPED);
    }
  }

  fence(): void {
    for (const waiting of this.queue.drain()) {
      waiting.settle(NOT_SENT_FENCED);
    }
    this.endAll('fenced');
  }

  progressed(pipeline: Pipeline): void {
    if (pipeline.idle) {
      this.idleSince.set(pipeline, performance.now());
    }
  }

  distrust(broken: Pipeline): void {
    this.distrustedUntil = performance.now() + DISTRUST_MS;
    for (const pipeline of this.pipelines) {
      if (pipeline instanceof ChunkedPipeline && pipeline !== broken) {
        pipeline.retire();
      }
    }
  }

  ended(pipeline: Pipeline): void {
    this.pipelines.delete(pipeline);
    this.idleSince.delete(pipeline);
    if (pipeline.useless) {
      const error = new HandshakeError('connect', 'the server closed the connection without an answer', 0);
      this.backOff.failed(error, performance.now());
    }
    if (this.pipelines.size === 0) {
      for (const resolve of this.whenEmpty.splice(0)) {
        resolve();
      }
    }
    this.pump();
  }

  /** Deals waiting messages out: idle connections first, then behind as few messages as possible. */
  private pump(): void {
    let deepest = 1;
    for (let load = 0; load < deepest; load++) {
      for (const pipeline of this.pipelines) {
        // A connection being opened gets a message of its own: better than to stand behind an answer that may never come.
        if (this.queue.size <= (load === 0 ? 0 : this.opening)) {
          break;
        }
        if (pipeline.load === load && pipeline.ready) {
          this.idleSince.delete(pipeline);
          pipeline.begin();
        }
        deepest = Math.max(deepest, pipeline.places);
      }
      if (load === 0) {
        this.openMore();
      }
    }
    this.refuseIfUnreachable();
  }

  private openMore(): void {
    const now = performance.now();
    if (this.closing || this.backOff.wait(now) > 0) {
      return;
    }
    const room = this.options.maxConnections - this.pipelines.size - this.opening;
    const wanted = Math.min(room, this.queue.size - this.opening);
    for (let count = 0; count < wanted; count++) {
      this.opening++;
      openSession(this.options, this.abort.signal).then(
        (session) => this.opened(session),
        (error: unknown) => this.failed(asHandshakeError(error)),
      );
    }
  }

  private opened(session: Session): void {
    this.opening--;
    this.backOff.succeeded();
    this.capabilities = session.capabilities;
    if (this.closing) {
      session.connection.quit();
      return;
    }
    const pipeline = this.pipelineOf(session);
    this.pipelines.add(pipeline);
    this.idleSince.set(pipeline, performance.now());
    this.sweeper ??= setInterval(() => this.closeIdle(), Math.min(5_000, this.options.idleCloseMs)).unref();
    pipeline.start();
    this.pump();
  }

  private pipelineOf({ connection, capabilities }: Session): Pipeline {
    const { timeouts, maxMessagesPerConnection: messages, maxPipelined: pipelined } = this.options;
    const chunked = capabilities.chunking && capabilities.pipelining && pipelined > 1;
    return chunked && performance.now() >= this.distrustedUntil
      ? new ChunkedPipeline(connection, capabilities, timeouts, { messages, pipelined }, this)
      : new DataPipeline(connection, capabilities, timeouts, messages, this);
  }

  private failed(error: HandshakeError): void {
    this.opening--;
    this.backOff.failed(error, performance.now());
    this.pump();
  }

  /** With no connection, none being opened and none to be tried soon, waiting would only hide the failure. */
  private refuseIfUnreachable(): void {
    if (this.pipelines.size > 0 || this.opening > 0 || this.queue.size === 0) {
      return;
    }
    const outcome = this.backOff.outcome(performance.now());
    if (outcome !== null) {
      for (const waiting of this.queue.drain()) {
        waiting.settle(outcome);
      }
    }
  }

  private endAll(cause: 'fenced' | 'stopped'): void {
    for (const pipeline of [...this.pipelines]) {
      pipeline.abandon(cause);
    }
  }

  private closeIdle(): void {
    const before = performance.now() - this.options.idleCloseMs;
    for (const [pipeline, since] of this.idleSince) {
      if (since <= before && pipeline.idle) {
        pipeline.retire();
      }
    }
    if (this.pipelines.size === 0 && this.sweeper !== null) {
      clearInterval(this.sweeper);
      this.sweeper = null;
    }
  }

  /** Behind a slow server messages may wait for minutes; those that were stopped meanwhile are given back now. */
  private recallStopped(): void {
    const stopped = this.queue.remove(({ gate, message }) => !gate.mayBegin(message.deliveryId));
    for (const waiting of stopped) {
      waiting.settle(NOT_SENT_STOPPED);
    }
    if (this.queue.size === 0 && this.recall !== null) {
      clearInterval(this.recall);
      this.recall = null;
    }
  }

  private turnStretch(): void {
    const now = performance.now();
    if (now >= this.stretchEnds) {
      this.begunBefore = now - this.stretchEnds < PACE_MS ? this.begun : 0;
      this.begun = 0;
      this.stretchEnds = now + PACE_MS;
    }
  }
}

function asHandshakeError(error: unknown): HandshakeError {
  return error instanceof HandshakeError ? error : new HandshakeError('connect', 'unexpected failure', 0);
}
