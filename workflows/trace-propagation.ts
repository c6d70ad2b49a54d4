import type { Headers, WorkflowInterceptorsFactory } from '@temporalio/workflow';

/** As in platform/temporal-tracing.ts, which is not for the workflow sandbox. */
const TRACE_HEADER = '_tracer-data';

/**
 * Carries the trace of a start, or of the latest signal that brought one, on to activities and children. The payload
 * is passed as it came; nothing here reads it. Continue-as-new does not take it along, so that the trace of one
 * request does not grow for as long as a lane lives.
 */
export const interceptors: WorkflowInterceptorsFactory = () => {
  let trace: Headers = {};
  const remember = (headers: Headers): void => {
    const payload = headers[TRACE_HEADER];
    if (payload) trace = { [TRACE_HEADER]: payload };
  };
  return {
    inbound: [
      {
        execute: (input, next) => {
          remember(input.headers);
          return next(input);
        },
        handleSignal: (input, next) => {
          remember(input.headers);
          return next(input);
        },
      },
    ],
    outbound: [
      {
        scheduleActivity: (input, next) => next({ ...input, headers: { ...input.headers, ...trace } }),
        startChildWorkflowExecution: (input, next) => next({ ...input, headers: { ...input.headers, ...trace } }),
      },
    ],
  };
};
