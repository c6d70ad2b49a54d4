import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

/** What the load generator is told on its standard input, as one JSON document. */
export interface LoadOrder {
  port: number;
  /** Requests at once, each on a connection of its own that is kept. */
  connections: number;
  /** Paths, taken in turn. */
  paths: string[];
  requests: number;
  /** Requests before those that count. */
  warmUp: number;
  /** True: say each answered path on standard output, and end quietly when the server dies. */
  tell: boolean;
}

export interface LoadReport {
  answers: number;
  wrong: number;
  seconds: number;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

const USER_AGENT = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';

/**
 * A load generator in a process of its own: raw sockets and as little parsing as possible, for on a small machine its
 * own work is taken from the server's.
 */
class Load {
  private next = 0;
  private answered = 0;
  private wrong = 0;
  private began = 0;
  private readonly latencies: Float64Array;
  private readonly requests: Buffer[];
  private finish: (report: LoadReport) => void = () => {};

  constructor(private readonly order: LoadOrder) {
    this.latencies = new Float64Array(order.requests);
    this.requests = order.paths.map((path) =>
      Buffer.from(
        `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: ${USER_AGENT}\r\nAccept: text/html\r\nAccept-Language: en\r\n\r\n`,
      ),
    );
  }

  run(): Promise<LoadReport> {
    return new Promise((resolve) => {
      this.finish = resolve;
      for (let i = 0; i < this.order.connections; i += 1) this.open();
    });
  }

  private open(): void {
    const socket = connect({ host: '127.0.0.1', port: this.order.port, noDelay: true });
    let sentAt = 0;
    let current = -1;
    let rest = '';
    const send = (): void => {
      current = this.next;
      if (current >= this.order.warmUp + this.order.requests) {
        socket.end();
        return;
      }
      this.next += 1;
      if (current === this.order.warmUp) this.began = performance.now();
      sentAt = performance.now();
      socket.write(this.requests[current % this.requests.length] ?? '');
    };
    socket.setEncoding('latin1');
    socket.on('connect', send);
    socket.on('data', (chunk: string) => {
      rest += chunk;
      // A redirect has no body.
      if (!rest.endsWith('\r\n\r\n')) return;
      const good = rest.startsWith('HTTP/1.1 302');
      rest = '';
      this.count(current, performance.now() - sentAt, good);
      send();
    });
    socket.on('error', () => this.died(socket));
    socket.on('close', () => this.died(socket));
  }

  private count(index: number, latency: number, good: boolean): void {
    if (index >= this.order.warmUp) this.latencies[index - this.order.warmUp] = latency;
    if (!good) this.wrong += 1;
    else if (this.order.tell) process.stdout.write(`${this.order.paths[index % this.order.paths.length]}\n`);
    this.answered += 1;
    if (this.answered === this.order.warmUp + this.order.requests) this.finish(this.report());
  }

  private died(socket: Socket): void {
    socket.destroy();
    // The server was killed: what was answered until then has been told.
    if (this.order.tell) this.finish(this.report());
  }

  private report(): LoadReport {
    const seconds = (performance.now() - this.began) / 1_000;
    const answers = Math.max(0, this.answered - this.order.warmUp);
    const sorted = this.latencies.slice(0, answers).sort();
    const at = (share: number): number => Math.round((sorted[Math.floor((answers - 1) * share)] ?? 0) * 100) / 100;
    return {
      answers,
      wrong: this.wrong,
      seconds,
      perSecond: Math.round(answers / seconds),
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      maxMs: at(1),
    };
  }
}

async function main(): Promise<void> {
  const order = JSON.parse(readFileSync(0, 'utf8')) as LoadOrder;
  const report = await new Load(order).run();
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
}

void main();
