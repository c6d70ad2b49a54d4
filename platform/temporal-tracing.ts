import type { WorkflowClientInterceptor } from '@temporalio/client';
import { defaultPayloadConverter, type Headers } from '@temporalio/common';
import { z } from 'zod';
import { activeCarrier, type TraceCarrier } from './tracing';

/** Header of starts, signals and activities that carries the trace; the name that Temporal's own SDKs use. */
export const TRACE_HEADER = '_tracer-data';

const carrierSchema = z.object({
  traceparent: z.string().max(200).optional(),
  tracestate: z.string().max(600).optional(),
});

function withCarrier<Input extends { readonly headers: Headers }>(input: Input): Input {
  const carrier = activeCarrier();
  if (!carrier) return input;
  return { ...input, headers: { ...input.headers, [TRACE_HEADER]: defaultPayloadConverter.toPayload(carrier) } };
}

/** Gives the active trace to the workflows that a client starts or signals. */
export const traceClientInterceptor: WorkflowClientInterceptor = {
  startWithDetails: (input, next) => next(withCarrier(input)),
  signal: (input, next) => next(withCarrier(input)),
  signalWithStart: (input, next) => next(withCarrier(input)),
};

/** The trace that an activity was given, or null. */
export function carrierOf(headers: Headers): TraceCarrier | null {
  const payload = headers[TRACE_HEADER];
  if (!payload) return null;
  const parsed = carrierSchema.safeParse(defaultPayloadConverter.fromPayload(payload));
  return parsed.success && parsed.data.traceparent ? parsed.data : null;
}
