import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

/** What the load generator is told on its standard input, as one JSON document. */
export interface LoadOrder {
  port: number;
  /** Requests at once, each on a connection of its own that is kept. */
  connections: number;
  method?: 'GET' | 'POST';
  /** Paths, taken in turn. */
  paths: string[];
  /** Beside Host, User-Agent and what a body needs; default: those of a browser that follows a link. */
  headers?: Record<string, string>;
  /** JSON documents, taken in turn, for POST. */
  bodies?: string[];
  /** The status that counts as an answer; anything else is wrong. */
  status: number;
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

const BROWSER = { Accept: 'text/html', 'Accept-Language': 'en' };
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
  private readonly good: string;
  private finish: (report: LoadReport) => void = () => {};

  constructor(private readonly order: LoadOrder) {
    this.latencies = new Float64Array(order.requests);
    this.good = `HTTP/1.1 ${order.status}`;
    const { paths, bodies } = order;
    const different = Math.max(paths.length, bodies?.length ?? 0);
    this.requests = Array.from({ length: different }, (_, n) =>
      requestBytes(order, paths[n % paths.length] ?? '/', bodies?.[n % bodies.length]),
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
      if (!isWhole(rest)) return;
      const good = rest.startsWith(this.good);
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

function requestBytes(order: LoadOrder, path: string, body: string | undefined): Buffer {
  const headers: Record<string, string> = {
    Host: '127.0.0.1',
    'User-Agent': USER_AGENT,
    ...(order.headers ?? BROWSER),
  };
  if (body !== undefined) {
    headers['Content-Type'] = 'application/json';
    headers['Content-Length'] = String(Buffer.byteLength(body));
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${order.method ?? 'GET'} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body ?? ''}`);
}

/** Whether an answer is all there: its head, and as much of a body as that says. */
function isWhole(answer: string): boolean {
  const head = answer.indexOf('\r\n\r\n');
  if (head < 0) return false;
  const length = /\r\ncontent-length: *(\d+)/i.exec(answer)?.[1] ?? '0';
  return answer.length >= head + 4 + Number(length);
}

async function main(): Promise<void> {
  const order = JSON.parse(readFileSync(0, 'utf8')) as LoadOrder;
  const report = await new Load(order).run();
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
}

void main();
