import type { Socket } from 'node:net';
import { parseMessage } from './message';
import type { SinkStore } from './store';

/** What the sink does besides counting; can be changed while it runs. */
export interface SinkBehaviour {
  /** Milliseconds added to each round trip. */
  latencyMs: number;
  /** Messages accepted per second over all connections; 0 is unlimited. */
  pacePerSecond: number;
  /** Every n-th message is dropped with its connection; 0 never. */
  dropEvery: number;
  /** Where it is dropped: before or after the message counts as accepted. */
  dropAt: 'before-dot-answer' | 'after-accept';
}

/** Spreads acceptances evenly over time (GCRA) for all connections. */
export class Pacer {
  private nextAt = 0;

  /** @returns milliseconds to wait for this one's turn */
  take(now: number, perSecond: number): number {
    if (perSecond <= 0) {
      return 0;
    }
    this.nextAt = Math.max(this.nextAt, now) + 1000 / perSecond;
    return this.nextAt - now - 1000 / perSecond;
  }
}

const GREETING = '220 sink ESMTP\r\n';
const HELLO = '250-sink\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 52428800\r\n';
const END_OF_DATA = Buffer.from('\r\n.\r\n');
const STUFFED = Buffer.from('\r\n..');
const NOTHING = Buffer.alloc(0);
const LF = 10;
const DOT = 46;

const wallClock = (): number => performance.timeOrigin + performance.now();

function unstuffed(stuffed: Buffer): Buffer {
  if (stuffed[0] !== DOT && !stuffed.includes(STUFFED)) {
    return stuffed;
  }
  return Buffer.from(stuffed.toString('latin1').replace(/(^|\r\n)\./g, '$1'), 'latin1');
}

/** One connection of the sink. */
export class SinkSession {
  private input: Buffer = NOTHING;
  private inData = false;
  /** Octets of a message that BDAT announced; -1: none. */
  private chunk = -1;
  private from = '';
  private recipient = '';
  private begunAt = 0;
  private output = '';
  /** Answers leave in order: this is when the last delayed one leaves. */
  private lastDue = 0;
  private stopped = false;

  constructor(
    private readonly socket: Socket,
    private readonly store: SinkStore,
    private readonly behaviour: SinkBehaviour,
    private readonly pacer: Pacer,
  ) {
    store.connections++;
    this.output = GREETING;
    this.flush(0);
  }

  /** Works on bytes: a string of each message would cost more than everything else here. */
  receive(chunk: Buffer): void {
    if (this.stopped) {
      return;
    }
    const input = this.input.length === 0 ? chunk : Buffer.concat([this.input, chunk]);
    let at = 0;
    let wait = 0;
    while (at < input.length) {
      if (this.chunk >= 0) {
        if (input.length - at < this.chunk) {
          break;
        }
        const message = input.subarray(at, at + this.chunk);
        at += this.chunk;
        this.chunk = -1;
        wait = Math.max(wait, this.message(message));
        if (this.stopped) {
          return;
        }
      } else if (this.inData) {
        const empty = input[at] === DOT && input[at + 1] === 13 && input[at + 2] === LF;
        const end = empty ? at - 2 : input.indexOf(END_OF_DATA, at);
        if (!empty && end < 0) {
          break;
        }
        const message = input.subarray(at, Math.max(at, end + 2));
        at = end + 5;
        this.inData = false;
        wait = Math.max(wait, this.message(unstuffed(message)));
        if (this.stopped) {
          return;
        }
      } else {
        const end = input.indexOf(LF, at);
        if (end < 0) {
          break;
        }
        this.command(input.toString('latin1', at, end - 1));
        at = end + 1;
      }
    }
    this.input = at >= input.length ? NOTHING : Buffer.from(input.subarray(at));
    this.flush(wait);
  }

  /** @returns milliseconds its answer has to wait for the pace */
  private message(message: Buffer): number {
    const { store, behaviour } = this;
    const now = wallClock();
    const parsed = parseMessage(message);
    store.octets += message.length;
    store.headerFields += parsed.headerFields;
    store.mimeParts += parsed.parts;
    if (parsed.token === null || !parsed.wellFormed) {
      store.malformed++;
    }
    const dropped = behaviour.dropEvery > 0 && (store.messages + store.dropped + 1) % behaviour.dropEvery === 0;
    if (!dropped || behaviour.dropAt === 'after-accept') {
      store.accept(parsed.token ?? this.recipient, this.recipient, this.begunAt, now);
    }
    if (dropped) {
      store.dropped++;
      this.stopped = true;
      this.socket.destroy();
      return 0;
    }
    this.output += '250 2.0.0 accepted\r\n';
    return this.pacer.take(performance.now(), behaviour.pacePerSecond);
  }

  private command(line: string): void {
    switch (line.slice(0, 4).toUpperCase()) {
      case 'MAIL':
        this.begunAt = wallClock();
        this.store.begun(this.begunAt);
        this.from = line;
        this.output += '250 2.1.0 ok\r\n';
        return;
      case 'RCPT':
        this.recipient = line.slice(line.indexOf('<') + 1, line.indexOf('>'));
        this.output += '250 2.1.5 ok\r\n';
        return;
      case 'DATA':
        if (this.from === '' || this.recipient === '') {
          this.output += '503 5.5.1 MAIL and RCPT first\r\n';
          return;
        }
        this.inData = true;
        this.output += '354 go ahead\r\n';
        return;
      case 'BDAT':
        if (this.from === '' || this.recipient === '') {
          this.output += '503 5.5.1 MAIL and RCPT first\r\n';
          this.stopped = true;
          this.socket.destroy();
          return;
        }
        this.chunk = Number.parseInt(line.slice(5), 10);
        return;
      case 'EHLO':
        this.output += HELLO;
        return;
      case 'HELO':
        this.output += '250 sink\r\n';
        return;
      case 'RSET':
        this.from = '';
        this.recipient = '';
        this.output += '250 2.0.0 ok\r\n';
        return;
      case 'NOOP':
        this.output += '250 2.0.0 ok\r\n';
        return;
      case 'QUIT':
        this.output += '221 2.0.0 bye\r\n';
        this.flush(0);
        this.stopped = true;
        this.socket.end();
        return;
      default:
        this.output += '502 5.5.1 unknown\r\n';
    }
  }

  private flush(waitMs: number): void {
    if (this.output === '') {
      return;
    }
    const output = this.output;
    this.output = '';
    const now = performance.now();
    const due = Math.max(this.lastDue, now + waitMs + this.behaviour.latencyMs);
    if (due <= now) {
      this.socket.write(output, 'latin1');
      return;
    }
    this.lastDue = due;
    setTimeout(() => {
      if (!this.socket.destroyed) {
        this.socket.write(output, 'latin1');
      }
    }, due - now);
  }
}
