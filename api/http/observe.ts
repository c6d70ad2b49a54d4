import type { NextFunction, Request, Response } from 'express';
import { httpRequestDuration } from '../../platform/metrics';
import { failSpan, SpanKind, startSpan, type TraceCarrier, within } from '../../platform/tracing';
import type { AnyRoute } from './route';

/** Measures a request from its arrival, its body included, to the last byte of its answer. */
export function measure(route: AnyRoute) {
  return (request: Request, response: Response, next: NextFunction): void => {
    const started = process.hrtime.bigint();
    response.once('close', () => {
      const seconds = Number(process.hrtime.bigint() - started) / 1e9;
      httpRequestDuration.observe(
        { operation: route.operationId, method: request.method, status: response.statusCode },
        seconds,
      );
    });
    next();
  };
}

function carrierOf(request: Request): TraceCarrier | undefined {
  const { traceparent, tracestate } = request.headers;
  if (typeof traceparent !== 'string') return undefined;
  return { traceparent, ...(typeof tracestate === 'string' ? { tracestate } : {}) };
}

/** Handles a request as a span, below the caller's trace where it sent one. */
export function traced(
  route: AnyRoute,
  request: Request,
  response: Response,
  handle: () => Promise<void>,
): Promise<void> {
  const span = startSpan(`${request.method} ${route.path}`, {
    kind: SpanKind.SERVER,
    parent: carrierOf(request),
    attributes: { 'http.request.method': request.method, 'http.route': route.path },
  });
  response.once('close', () => {
    span.setAttribute('http.response.status_code', response.statusCode);
    if (response.statusCode >= 500) failSpan(span, undefined);
    else span.end();
  });
  return within(span, handle);
}
