import type {
  Connector,
  Evidence,
  LookupQuery,
  OutgoingMessage,
  SendGate,
  SendOutcome,
  Verification,
} from '../connector';
import { FairQueue } from '../fair-queue';
import { Health } from './health';
import { type Exchange, type HttpOptions, type HttpRequest, HttpTransport } from './transport';

/** Over which the rate of beginning messages is averaged; also the time a claim should cover. */
const PACE_MS = 250;

const STOPPED: SendOutcome = { kind: 'not-sent', cause: 'stopped', inData: false };
const FENCED: SendOutcome = { kind: 'not-sent', cause: 'fenced', inData: false };
const HELD_BACK: SendOutcome = { kind: 'not-sent', cause: 'connection', inData: false };

/** Makes requests; those of messages ask the gate right before their first byte. */
export interface ApiCall {
  exchange(request: HttpRequest): Promise<Exchange>;
  /** Asked again when the body is made: whether this message may still begin. */
  mayBegin(message: OutgoingMessage): boolean;
}

/** What is particular to one provider. Holds no state of its own about messages. */
export interface ProviderApi {
  /** Most messages in one request; each has an outcome of its own. */
  readonly batchSize: number;
  /** Why a message cannot go this way at all; null = it can. */
  unfit(message: OutgoingMessage): SendOutcome | null;
  /** Sends messages in one request. An outcome for each, in their order. */
  send(messages: readonly OutgoingMessage[], call: ApiCall): Promise<SendOutcome[]>;
  verify(exchange: ApiCall['exchange']): Promise<Verification>;
  lookup?(query: LookupQuery, exchange: ApiCall['exchange']): Promise<Evidence | null>;
}

interface Waiting {
  message: OutgoingMessage;
  gate: SendGate;
  settle: (outcome: SendOutcome) => void;
}

/** The connector for a provider that is spoken to by HTTP: lanes in turn, bounded requests, pauses when it is ill. */
export class HttpConnector implements Connector {
  readonly lookup?: (query: LookupQuery) => Promise<Evidence | null>;
  private readonly transport: HttpTransport;
  private readonly health: Health;
  private readonly queue = new FairQueue<Waiting>();
  private readonly whenIdle: (() => void)[] = [];
  private requests = 0;
  private underWay = 0;
  private closing = false;
  private pumpPlanned = false;
  private recall: NodeJS.Timeout | null = null;
  /** Messages begun in the current and in the last full stretch of PACE_MS. */
  private begun = 0;
  private begunBefore = 0;
  private stretchEnds = 0;

  constructor(
    private readonly api: ProviderApi,
    private readonly options: HttpOptions,
  ) {
    this.transport = new HttpTransport(options);
    this.health = new Health(options.pauseMs, options.pauseMaxMs);
    const { lookup } = api;
    if (lookup) this.lookup = (query) => lookup.call(api, query, (request) => this.transport.exchange(request));
  }

  send(message: OutgoingMessage, gate: SendGate): Promise<SendOutcome> {
    if (this.closing) return Promise.resolve(STOPPED);
    const unfit = this.api.unfit(message);
    if (unfit) return Promise.resolve(unfit);
    return new Promise((settle) => {
      this.queue.push(message.lane, { message, gate, settle });
      this.recall ??= setInterval(() => this.recallStopped(), PACE_MS);
      if (this.pumpPlanned) return;
      // A group is handed over in one turn of the event loop; it is dealt out when all of it is here.
      this.pumpPlanned = true;
      queueMicrotask(() => {
        this.pumpPlanned = false;
        this.pump();
      });
    });
  }

  freePlaces(): number {
    const now = performance.now();
    if (this.closing || this.health.wait(now) > 0) return 0;
    const busy = this.queue.size + this.underWay;
    // After a failure one message finds out whether the provider is well again.
    if (this.health.ill) return Math.max(0, 1 - busy);
    this.turnStretch(now);
    const beginnable = this.options.maxConnections * Math.max(2, this.api.batchSize);
    return Math.max(0, Math.max(beginnable, this.begunBefore, this.begun) - busy);
  }

  /** Messages go as text inside a request: what is 8-bit in them would have to be encoded anyway. */
  offers(): { eightBitMime: boolean; smtpUtf8: boolean } {
    return { eightBitMime: false, smtpUtf8: false };
  }

  async close(graceMs: number): Promise<void> {
    this.closing = true;
    for (const waiting of this.queue.drain()) waiting.settle(STOPPED);
    if (this.recall) clearInterval(this.recall);
    if (this.requests > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => this.transport.destroy(), graceMs);
        this.whenIdle.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    this.transport.destroy();
  }

  verify(): Promise<Verification> {
    return this.api.verify((request) => this.transport.exchange(request));
  }

  private pump(): void {
    // What waits would meet the same: it goes back unharmed, and the breaker hears of a provider that does not work.
    const refusal = this.health.refusal(performance.now());
    if (refusal) for (const waiting of this.queue.drain()) waiting.settle(refusal === 'wait' ? HELD_BACK : refusal);
    while (this.queue.size > 0 && this.requests < this.options.maxConnections) {
      const group = this.takeGroup();
      if (group.length > 0) void this.request(group);
    }
  }

  private takeGroup(): Waiting[] {
    const group: Waiting[] = [];
    while (group.length < this.api.batchSize) {
      const waiting = this.queue.shift();
      if (!waiting) break;
      const { gate, message } = waiting;
      if (gate.mayBegin(message.deliveryId) && (gate.isOnTime?.() ?? true)) group.push(waiting);
      else waiting.settle(STOPPED);
    }
    return group;
  }

  private async request(group: Waiting[]): Promise<void> {
    this.requests += 1;
    this.underWay += group.length;
    this.turnStretch(performance.now());
    this.begun += group.length;
    const outcomes = await this.outcomesOf(group);
    this.requests -= 1;
    this.underWay -= group.length;
    for (const [position, waiting] of group.entries()) {
      waiting.settle(outcomes[position] ?? { kind: 'unknown', cause: 'no result' });
    }
    for (const outcome of outcomes) this.health.observe(outcome, performance.now());
    if (this.requests === 0) for (const resolve of this.whenIdle.splice(0)) resolve();
    this.pump();
  }

  private async outcomesOf(group: Waiting[]): Promise<SendOutcome[]> {
    const gates = new Map(group.map(({ message, gate }) => [message, gate]));
    const mayBegin = (message: OutgoingMessage): boolean => gates.get(message)?.mayBegin(message.deliveryId) ?? false;
    const permit = () => {
      if (group.some(({ gate }) => !gate.mayWrite())) {
        this.fence();
        return 'fenced';
      }
      return group.some(({ message }) => mayBegin(message)) ? null : 'stopped';
    };
    let written = false;
    try {
      const messages = group.map(({ message }) => message);
      return await this.api.send(messages, {
        mayBegin,
        exchange: (request) => {
          written = true;
          return this.transport.exchange(request, permit);
        },
      });
    } catch (error) {
      // A defect of ours, in making the request or in reading its answer.
      const cause = error instanceof Error ? error.message : 'unexpected failure';
      const outcome: SendOutcome = written
        ? { kind: 'unknown', cause }
        : {
            kind: 'permanent',
            scope: 'message',
            suppress: false,
            otherRoute: true,
            code: null,
            enhanced: null,
            reply: cause,
          };
      return group.map(() => outcome);
    }
  }

  /** The process has lost its lease: nothing more may be written. */
  private fence(): void {
    for (const waiting of this.queue.drain()) waiting.settle(FENCED);
  }

  private recallStopped(): void {
    const stopped = this.queue.remove(({ gate, message }) => !gate.mayBegin(message.deliveryId));
    for (const waiting of stopped) waiting.settle(STOPPED);
    if (this.queue.size === 0 && this.recall !== null) {
      clearInterval(this.recall);
      this.recall = null;
    }
  }

  private turnStretch(now: number): void {
    if (now < this.stretchEnds) return;
    this.begunBefore = now - this.stretchEnds < PACE_MS ? this.begun : 0;
    this.begun = 0;
    this.stretchEnds = now + PACE_MS;
  }
}
