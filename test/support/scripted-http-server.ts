import { readFileSync } from 'node:fs';
import http, { type IncomingHttpHeaders } from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { join } from 'node:path';

/** A request as it came, whole. */
export interface ReceivedRequest {
  method: string;
  /** Path without query. */
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** What to do with a request. */
export type HttpReply =
  | { status: number; headers?: Record<string, string>; json?: unknown; text?: string; delayMs?: number }
  /** Cuts the connection after the whole request was read. */
  | { reset: true }
  /** Never answers. */
  | { silent: true }
  /** Sends the head of an answer and cuts the connection before its body. */
  | { cutAnswer: true };

/** What happens before a request is read: nothing is answered, or the connection is cut in the middle of its body. */
export type BeforeRequest = 'no-handshake' | 'cut-body' | 'stop-reading';

export interface ScriptedHttpServerOptions {
  certificate?: 'localhost' | 'mismatch';
  before?: BeforeRequest;
}

const FIXTURES = join(__dirname, '..', 'fixtures', 'tls');

/** An HTTP server that answers as it is told, or misbehaves, and keeps every request it has read whole. */
export class ScriptedHttpServer {
  readonly requests: ReceivedRequest[] = [];
  connections = 0;
  reply: (request: ReceivedRequest) => HttpReply = () => ({ status: 200 });
  private readonly sockets = new Set<net.Socket>();
  private server: net.Server | null = null;
  private boundPort = 0;

  private constructor(private readonly options: ScriptedHttpServerOptions) {}

  static async start(options: ScriptedHttpServerOptions = {}): Promise<ScriptedHttpServer> {
    const scripted = new ScriptedHttpServer(options);
    const server = scripted.make();
    scripted.server = server;
    server.on('connection', (socket: net.Socket) => {
      scripted.connections += 1;
      scripted.sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => scripted.sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    scripted.boundPort = typeof address === 'object' && address !== null ? address.port : 0;
    return scripted;
  }

  get port(): number {
    return this.boundPort;
  }

  /** Base URL; with a certificate by the name that it is for. */
  get url(): string {
    return this.options.certificate ? `https://localhost:${this.port}` : `http://127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    const { server } = this;
    this.server = null;
    if (server) await new Promise((resolve) => server.close(resolve));
  }

  private make(): net.Server {
    const { certificate, before } = this.options;
    // Accepts the connection, and then says nothing.
    if (before === 'no-handshake') return net.createServer(() => {});
    const listener = (request: http.IncomingMessage, response: http.ServerResponse) =>
      void this.take(request, response);
    if (!certificate) return http.createServer(listener);
    const read = (kind: 'key' | 'crt') => readFileSync(join(FIXTURES, `${certificate}.${kind}`), 'utf8');
    return https.createServer({ key: read('key'), cert: read('crt') }, listener);
  }

  private async take(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    if (this.options.before === 'stop-reading') {
      request.pause();
      return;
    }
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) {
        if (this.options.before === 'cut-body') {
          request.socket.resetAndDestroy();
          return;
        }
        chunks.push(Buffer.from(chunk));
      }
    } catch {
      return;
    }
    const url = new URL(request.url ?? '/', 'http://scripted.test');
    const received: ReceivedRequest = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: Buffer.concat(chunks),
    };
    this.requests.push(received);
    const reply = this.reply(received);
    if ('silent' in reply) return;
    if ('reset' in reply) {
      request.socket.resetAndDestroy();
      return;
    }
    if ('cutAnswer' in reply) {
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '1000' });
      response.write('{"');
      setTimeout(() => request.socket.destroy(), 20);
      return;
    }
    if (reply.delayMs) await new Promise((resolve) => setTimeout(resolve, reply.delayMs));
    const body = reply.json === undefined ? (reply.text ?? '') : JSON.stringify(reply.json);
    const type = reply.json === undefined ? 'text/plain' : 'application/json';
    response.writeHead(reply.status, { 'Content-Type': type, ...reply.headers });
    response.end(body);
  }
}
