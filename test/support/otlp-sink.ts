import { createServer } from 'node:http';
import { z } from 'zod';
import { LONGEST_MS } from './until';

const attribute = z.object({ key: z.string(), value: z.record(z.string(), z.unknown()) });

const request = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: z.array(attribute) }),
      scopeSpans: z.array(
        z.object({
          spans: z.array(
            z.object({
              traceId: z.string(),
              spanId: z.string(),
              parentSpanId: z.string().optional(),
              name: z.string(),
              kind: z.number(),
              attributes: z.array(attribute),
              status: z.object({ code: z.number().optional(), message: z.string().optional() }),
            }),
          ),
        }),
      ),
    }),
  ),
});

export interface ReceivedSpan {
  service: string;
  traceId: string;
  spanId: string;
  parentSpanId: string | undefined;
  name: string;
  attributes: Record<string, unknown>;
  error: string | undefined;
}

export interface OtlpSink {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  endpoint: string;
  spans: ReceivedSpan[];
  /** Everything received, as text, to be searched for what must not be in it. */
  raw: string[];
  /** Waits until `found` finds something among the spans. */
  waitFor<T>(found: (spans: ReceivedSpan[]) => T | undefined, what: string): Promise<T>;
  close(): Promise<void>;
}

function plain(attributes: z.output<typeof attribute>[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}

/** A collector for OTLP over HTTP with JSON (https://opentelemetry.io/docs/specs/otlp/) that keeps what it gets. */
export async function startOtlpSink(): Promise<OtlpSink> {
  const spans: ReceivedSpan[] = [];
  const raw: string[] = [];
  const receive = (text: string): void => {
    raw.push(text);
    for (const { resource, scopeSpans } of request.parse(JSON.parse(text)).resourceSpans) {
      const service = String(plain(resource.attributes)['service.name']);
      for (const span of scopeSpans.flatMap((scope) => scope.spans)) {
        const { traceId, spanId, parentSpanId, name, status } = span;
        const error = status.code === 2 ? (status.message ?? '') : undefined;
        spans.push({ service, traceId, spanId, parentSpanId, name, attributes: plain(span.attributes), error });
      }
    }
  };
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      receive(Buffer.concat(chunks).toString('utf8'));
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    endpoint: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`,
    spans,
    raw,
    waitFor: async (found, what) => {
      const deadline = Date.now() + LONGEST_MS;
      for (;;) {
        const result = found(spans);
        if (result !== undefined) return result;
        if (Date.now() > deadline) {
          throw new Error(`no ${what} among: ${spans.map((span) => `${span.service} ${span.name}`).join(', ')}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
