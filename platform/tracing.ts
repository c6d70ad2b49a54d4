import {
  type Attributes,
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';

export { type Context, type Span, SpanKind };

/** W3C Trace Context (https://www.w3.org/TR/trace-context/) as it travels in HTTP and Temporal headers. */
export interface TraceCarrier {
  traceparent?: string;
  tracestate?: string;
}

/** Name of the tracer, as in spec 001, "Distributed Tracing". */
const TRACER = 'marketing-automation';

export interface Tracing {
  /** Exports what has ended and stops. */
  close(): Promise<void>;
}

/**
 * Sends traces to an OTLP/HTTP collector (`endpoint` is its root, as in OTEL_EXPORTER_OTLP_ENDPOINT). Without an
 * endpoint nothing is recorded, and every function below costs next to nothing. Call it once, before the first span.
 */
export function startTracing(options: { service: string; endpoint: string | undefined }): Tracing {
  if (!options.endpoint) return { close: async () => {} };
  // Loaded only where it is used: it takes a third of a second of every start.
  const { exportTraces }: typeof import('./trace-export') = require('./trace-export');
  return exportTraces(options.service, `${options.endpoint.replace(/\/$/, '')}/v1/traces`);
}

export interface SpanOptions {
  /** Ids and numbers only: `contact.id`, `campaign.id`; never an address or a name. */
  attributes?: Attributes;
  kind?: SpanKind;
  /** When it began, in milliseconds since 1970, if not now. */
  startTime?: number;
  /** Span or carrier to hang it below; default: the active span. */
  parent?: Span | TraceCarrier;
}

function contextOf(parent: Span | TraceCarrier | undefined): Context {
  if (parent === undefined) return context.active();
  if ('spanContext' in parent) return trace.setSpan(context.active(), parent);
  return propagation.extract(ROOT_CONTEXT, parent);
}

/** Begins a span that the caller ends; for hot paths, where no callback fits. */
export function startSpan(name: string, options: SpanOptions = {}): Span {
  const { attributes, kind = SpanKind.INTERNAL } = options;
  return trace
    .getTracer(TRACER)
    .startSpan(name, { attributes, kind, startTime: options.startTime }, contextOf(options.parent));
}

/** Ends a span as failed. Only the error's name is kept: messages echo addresses. */
export function failSpan(span: Span, error: unknown): void {
  span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.name : 'Error' });
  span.end();
}

/** Runs `work` with `span` active, so that what it starts hangs below; ending the span stays with the caller. */
export function within<T>(span: Span, work: () => T): T {
  return context.with(trace.setSpan(context.active(), span), work);
}

/** Runs `work` inside a span that is active for everything below it, and ends it with the outcome. */
export async function withSpan<T>(name: string, options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T> {
  const span = startSpan(name, options);
  try {
    const result = await context.with(trace.setSpan(contextOf(options.parent), span), () => work(span));
    span.setStatus({ code: SpanStatusCode.OK });
    span.end();
    return result;
  } catch (error) {
    failSpan(span, error);
    throw error;
  }
}

/** Where the active trace is, to be carried elsewhere; null when nothing is traced. */
export function activeCarrier(): TraceCarrier | null {
  if (!trace.getSpan(context.active())?.isRecording()) return null;
  const carrier: TraceCarrier = {};
  propagation.inject(context.active(), carrier);
  return carrier.traceparent ? carrier : null;
}

/** Whether this message of a bulk is among those that are traced (OTEL_BULK_SAMPLE_RATIO). */
export function isSampled(ratio: number): boolean {
  return ratio > 0 && Math.random() < ratio;
}
