import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { z } from 'zod';
import { parseMessage } from './mime';
import { INBOX_PAGE, PAGE_POLICY } from './page';
import type { MessageStore } from './store';

const listQuery = z.object({
  to: z.string().min(1).optional(),
  search: z.string().min(1).optional(),
  after: z.coerce.number().int().min(0).optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
});

/** A message may show pictures and its own styles, and nothing else: no scripts, forms or frames. */
const MESSAGE_POLICY =
  "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src http: https: data:; style-src 'unsafe-inline' http: https:; font-src http: https: data:";

const LOOPBACK_HOST = /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/;

/**
 * The inbox in a browser, and its JSON interface:
 *   GET    /api/messages?to=&search=&after=&limit=   summaries; newest first, or oldest first with `after`
 *   GET    /api/messages/{id}                        summary with decoded headers, text, html, attachments
 *   GET    /api/messages/{id}/raw                    as received
 *   DELETE /api/messages                             forgets everything
 *   GET    /api/count                                { count, received }
 */
export function createInboxServer(store: MessageStore): Server {
  return createServer((request, response) => {
    try {
      answer(store, request, response);
    } catch (error) {
      const message = error instanceof z.ZodError ? z.prettifyError(error) : 'The request cannot be answered.';
      sendJson(response, error instanceof z.ZodError ? 400 : 500, { message });
    }
  });
}

function answer(store: MessageStore, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '/', 'http://127.0.0.1');
  const route = url.pathname;
  const message = /^\/api\/messages\/(\d{1,15})(\/raw|\/html)?$/.exec(route);
  if (!LOOPBACK_HOST.test(request.headers.host ?? '')) {
    // A page of another site must not read captured mail by pointing its own name at this address.
    sendJson(response, 403, { message: 'Use http://127.0.0.1 or http://localhost.' });
  } else if (route === '/api/messages' && request.method === 'DELETE') {
    store.clear();
    response.writeHead(204).end();
  } else if (request.method !== 'GET' && request.method !== 'HEAD') {
    sendJson(response, 405, { message: `${request.method} is not offered here.` });
  } else if (route === '/') {
    send(response, 'text/html; charset=utf-8', INBOX_PAGE, PAGE_POLICY);
  } else if (route === '/readyz') {
    sendJson(response, 200, { ready: true });
  } else if (route === '/api/count') {
    sendJson(response, 200, { count: store.size, received: store.received });
  } else if (route === '/api/messages') {
    const query = listQuery.parse(Object.fromEntries(url.searchParams));
    sendJson(response, 200, { messages: store.list(query), count: store.size, received: store.received });
  } else if (message) {
    sendMessage(store, Number(message[1]), message[2], response);
  } else {
    sendJson(response, 404, { message: 'There is nothing at this address.' });
  }
}

function sendMessage(store: MessageStore, id: number, view: string | undefined, response: ServerResponse): void {
  const summary = store.summary(id);
  const raw = store.raw(id);
  if (!summary || !raw) {
    sendJson(response, 404, { message: `Message ${id} is not (or no longer) in the inbox.` });
  } else if (view === '/raw') {
    send(response, 'text/plain; charset=utf-8', raw, "default-src 'none'");
  } else if (view === '/html') {
    // Links open beside the inbox instead of inside its frame.
    const html = `<base target="_blank" rel="noopener noreferrer">${parseMessage(raw).html ?? ''}`;
    send(response, 'text/html; charset=utf-8', html, MESSAGE_POLICY);
  } else {
    sendJson(response, 200, { ...summary, ...parseMessage(raw) });
  }
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

function send(response: ServerResponse, type: string, body: string | Buffer, policy: string): void {
  response.writeHead(200, {
    'content-type': type,
    'content-security-policy': policy,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  });
  response.end(body);
}
