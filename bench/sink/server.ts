import http from 'node:http';
import net from 'node:net';
import { z } from 'zod';
import { Pacer, type SinkBehaviour, SinkSession } from './session';
import { SinkStore, type TokenRecord } from './store';

const READ_BUFFER = 256 * 1024;

const behaviourSchema = z.strictObject({
  latencyMs: z.number().min(0).max(60_000).optional(),
  pacePerSecond: z.number().min(0).optional(),
  dropEvery: z.number().int().min(0).optional(),
  dropAt: z.enum(['before-dot-answer', 'after-accept']).optional(),
});

export interface RunningSink {
  port: number;
  controlPort: number;
  stop(): Promise<void>;
}

/**
 * An SMTP server for benchmarks and crash tests: faster than what it measures, parses every message and counts by
 * token. Control over HTTP: `GET /counts`, `GET /tokens` (token → count, recipient, begunAt, acceptedAt),
 * `GET /begun-since?at=ms` (tokens begun later than that), `POST /reset`, `POST /behaviour` (JSON, see SinkBehaviour).
 */
export async function startSink(
  ports: { port: number; controlPort: number },
  initial: SinkBehaviour,
): Promise<RunningSink> {
  const store = new SinkStore();
  const behaviour = { ...initial };
  const pacer = new Pacer();
  const sockets = new Set<net.Socket>();
  const smtp = net.createServer({ noDelay: true, highWaterMark: READ_BUFFER }, (socket) => {
    sockets.add(socket);
    const session = new SinkSession(socket, store, behaviour, pacer);
    socket.on('data', (chunk: Buffer) => session.receive(chunk));
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  const control = http.createServer((request, response) => {
    void answer(request, store, behaviour).then(({ status, body }) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    });
  });
  const port = await listen(smtp, ports.port);
  const controlPort = await listen(control, ports.controlPort);
  return {
    port,
    controlPort,
    stop: async () => {
      for (const socket of sockets) {
        socket.destroy();
      }
      control.closeAllConnections();
      await Promise.all([smtp, control].map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}

async function answer(
  request: http.IncomingMessage,
  store: SinkStore,
  behaviour: SinkBehaviour,
): Promise<{ status: number; body: unknown }> {
  const url = new URL(request.url ?? '/', 'http://sink');
  switch (`${request.method} ${url.pathname}`) {
    case 'GET /counts':
      return { status: 200, body: store.counts() };
    case 'GET /tokens':
      return { status: 200, body: Object.fromEntries(store.tokens) };
    case 'GET /begun-since': {
      const at = Number(url.searchParams.get('at'));
      const later = [...store.tokens].filter(([, record]: [string, TokenRecord]) => record.begunAt > at);
      return { status: 200, body: { count: later.length, tokens: later.slice(0, 100).map(([token]) => token) } };
    }
    case 'POST /reset':
      store.reset();
      return { status: 200, body: {} };
    case 'POST /behaviour': {
      const parsed = behaviourSchema.safeParse(await readJson(request));
      if (!parsed.success) {
        return { status: 422, body: { message: parsed.error.message } };
      }
      Object.assign(behaviour, parsed.data);
      return { status: 200, body: behaviour };
    }
    default:
      return { status: 404, body: {} };
  }
}

async function readJson(request: http.IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of request) {
    text += String(chunk);
  }
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function listen(server: net.Server | http.Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}
