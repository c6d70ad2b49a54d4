import type { AsyncLocalStorage } from 'node:async_hooks';
import { Readable } from 'node:stream';
import type { ApiCall, Exchange, HttpRequest } from '../http';

/** How the SDK's requests of one call are made, and what became of the last. */
export interface Exchanged {
  exchange: ApiCall['exchange'];
  last: Exchange | null;
}

/** The SDK's request got no answer; carries what is known of it through the SDK. */
export class NoAnswerError extends Error {
  constructor(readonly exchange: Exclude<Exchange, { kind: 'answer' }>) {
    super(`no answer: ${exchange.kind}`);
    this.name = 'NoAnswerError';
  }
}

/** What the SDK hands to the transport (its HttpRequest, as far as it is needed here). */
interface SdkRequest {
  method: string;
  protocol: string;
  hostname: string;
  port?: number;
  path: string;
  query?: Record<string, string | string[] | null>;
  headers: Record<string, string>;
  body?: unknown;
}

/** Makes the SDK's requests on our transport, so that what is known after a failure is the same as elsewhere. */
export class ExchangeHandler {
  constructor(private readonly current: AsyncLocalStorage<Exchanged>) {}

  async handle(request: SdkRequest) {
    const exchanged = this.current.getStore();
    if (!exchanged) throw new Error('a request outside of a call');
    const exchange = await exchanged.exchange(toRequest(request));
    exchanged.last = exchange;
    if (exchange.kind !== 'answer') throw new NoAnswerError(exchange);
    const { status, headers, body } = exchange.answer;
    return { response: { statusCode: status, headers: flat(headers), body: Readable.from([body]) } };
  }

  destroy(): void {}

  metadata = { handlerProtocol: 'http/1.1' };

  updateHttpClientConfig(): void {}

  httpHandlerConfigs(): Record<string, never> {
    return {};
  }
}

const METHODS = ['GET', 'POST', 'PUT', 'DELETE'] as const;

function toRequest(request: SdkRequest): HttpRequest {
  const port = request.port === undefined ? '' : `:${request.port}`;
  const url = new URL(`${request.protocol}//${request.hostname}${port}${request.path}`);
  for (const [name, value] of Object.entries(request.query ?? {})) {
    for (const each of Array.isArray(value) ? value : [value ?? '']) url.searchParams.append(name, each);
  }
  const method = METHODS.find((known) => known === request.method) ?? 'POST';
  const bytes = bytesOf(request.body);
  return { method, url, headers: request.headers, body: bytes === null ? null : () => bytes };
}

function bytesOf(body: unknown): Buffer | null {
  if (body instanceof Uint8Array) return Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return typeof body === 'string' ? Buffer.from(body) : null;
}

function flat(headers: NodeJS.Dict<string | string[]>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
  );
}
