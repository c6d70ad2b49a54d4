import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { LookupFunction } from 'node:net';

export interface HttpTimeouts {
  /** Until a connection is made and encrypted. */
  connectMs: number;
  /** From then until the whole answer is there. Cutting it short turns accepted mail into unknown mail. */
  answerMs: number;
}

export interface HttpOptions {
  maxConnections: number;
  /** Resolves the host at each connection; null: the system's. For refusing private targets (design, section 9). */
  lookup: LookupFunction | null;
  /** PEM of authorities trusted instead of the system's; null: the system's. */
  certificateAuthority: string | null;
  timeouts: HttpTimeouts;
  /**
   * A connection without work is closed after this many milliseconds. Servers do it, mostly after 5 s or more, and a
   * request on one that is just closing would be unknown.
   */
  idleCloseMs: number;
  /** Pause after a provider could not be reached or failed; doubles up to the maximum. */
  pauseMs: number;
  pauseMaxMs: number;
}

const DEFAULTS: HttpOptions = {
  maxConnections: 10,
  lookup: null,
  certificateAuthority: null,
  timeouts: { connectMs: 15_000, answerMs: 120_000 },
  idleCloseMs: 4_000,
  pauseMs: 1_000,
  pauseMaxMs: 60_000,
};

/** Fills in what was left out. */
export function httpOptions(given: Partial<HttpOptions> = {}): HttpOptions {
  return { ...DEFAULTS, ...given };
}

export interface HttpRequest {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  url: URL;
  headers: Record<string, string>;
  /** Made when the connection stands, so that it can leave out what must not begin any more. Null = no body. */
  body: (() => Buffer) | null;
}

export interface HttpAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** Asked when the connection stands, right before the first byte; null lets it go. */
export type Permit = () => 'stopped' | 'fenced' | null;

/**
 * What became of one request:
 * - `answer`: the server answered, whatever it said.
 * - `unreachable`: no connection; not a byte of the request was written.
 * - `withheld`: the permit was refused; not a byte was written.
 * - `cut`: the connection ended before the last byte was passed to the socket: the server cannot have all of it.
 * - `unknown`: the last byte was passed to the socket and no whole answer came.
 */
export type Exchange =
  | { kind: 'answer'; answer: HttpAnswer }
  | { kind: 'unreachable'; cause: 'connect' | 'tls'; reply: string }
  | { kind: 'withheld'; cause: 'stopped' | 'fenced' }
  | { kind: 'cut' }
  | { kind: 'unknown'; cause: string };

const LONGEST_ANSWER = 4 * 1024 * 1024;

/**
 * Kept connections to one provider. Made on node:http instead of fetch, which tells neither whether the last byte of a
 * request was passed to the socket nor lets the resolved address be looked at (decision 15).
 */
export class HttpTransport {
  private readonly plain: http.Agent;
  private readonly encrypted: https.Agent;

  constructor(private readonly options: HttpOptions) {
    const agent = {
      keepAlive: true,
      maxSockets: options.maxConnections,
      timeout: options.idleCloseMs,
      ...(options.lookup && { lookup: options.lookup }),
    };
    this.plain = new http.Agent(agent);
    this.encrypted = new https.Agent({
      ...agent,
      ...(options.certificateAuthority && { ca: options.certificateAuthority }),
    });
  }

  /** Makes one request and never repeats it; never rejects. Redirects are answers. */
  exchange(request: HttpRequest, permit: Permit = () => null): Promise<Exchange> {
    return new Promise((resolve) => {
      const secure = request.url.protocol === 'https:';
      const { connectMs, answerMs } = this.options.timeouts;
      let phase: 'connecting' | 'writing' | 'written' = 'connecting';
      let timer = setTimeout(() => fail(new Error('no connection in time')), connectMs);
      const outgoing = (secure ? https : http).request(request.url, {
        method: request.method,
        headers: request.headers,
        agent: secure ? this.encrypted : this.plain,
      });
      const settle = (exchange: Exchange): void => {
        clearTimeout(timer);
        resolve(exchange);
      };
      const fail = (error: Error): void => {
        outgoing.destroy();
        if (phase === 'connecting')
          settle({ kind: 'unreachable', cause: isTls(error) ? 'tls' : 'connect', reply: error.message });
        else if (phase === 'writing') settle({ kind: 'cut' });
        else settle({ kind: 'unknown', cause: error.message });
      };
      const begin = (): void => {
        const refused = permit();
        if (refused !== null) {
          settle({ kind: 'withheld', cause: refused });
          outgoing.destroy();
          return;
        }
        clearTimeout(timer);
        timer = setTimeout(() => fail(new Error('no answer in time')), answerMs);
        phase = 'writing';
        const written = (): void => {
          phase = 'written';
        };
        if (request.body === null) {
          outgoing.end(written);
          return;
        }
        const body = request.body();
        outgoing.setHeader('Content-Length', body.length);
        outgoing.end(body, written);
      };
      outgoing.on('error', fail);
      outgoing.once('socket', (socket) => {
        // Destroyed already: the error that says why is on its way.
        if (socket.destroyed) return;
        if (socket.connecting) socket.once(secure ? 'secureConnect' : 'connect', begin);
        else begin();
      });
      outgoing.once('response', (response) => {
        // An answer before the whole request was read is an answer all the same.
        phase = 'written';
        collect(response).then((body) => {
          settle({ kind: 'answer', answer: { status: response.statusCode ?? 0, headers: response.headers, body } });
        }, fail);
      });
    });
  }

  /** Cuts all connections. */
  destroy(): void {
    this.plain.destroy();
    this.encrypted.destroy();
  }
}

function collect(response: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    response.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > LONGEST_ANSWER) reject(new Error('the answer is too long'));
      else chunks.push(chunk);
    });
    response.once('end', () => resolve(Buffer.concat(chunks)));
    response.once('error', reject);
    response.once('close', () => reject(new Error('the answer was cut')));
  });
}

const TLS_CODE = /^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|EPROTO)/;

function isTls(error: Error): boolean {
  return 'code' in error && typeof error.code === 'string' && TLS_CODE.test(error.code);
}
