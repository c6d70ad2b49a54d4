import type { ActivityExecuteInput, ActivityInboundCallsInterceptor, Next } from '@temporalio/worker';
import { carrierOf } from '../../platform/temporal-tracing';
import { SpanKind, withSpan } from '../../platform/tracing';

/**
 * Runs an activity as a span of the trace that its workflow was started or signalled with; without one, as it is.
 * Spans keep only an error's name.
 */
export class TraceInterceptor implements ActivityInboundCallsInterceptor {
  constructor(
    private readonly info: { activityType: string; workflowExecution?: { workflowId: string; runId: string } },
  ) {}

  execute(input: ActivityExecuteInput, next: Next<ActivityInboundCallsInterceptor, 'execute'>): Promise<unknown> {
    const parent = carrierOf(input.headers);
    if (!parent) return next(input);
    const { workflowId, runId } = this.info.workflowExecution ?? {};
    const attributes = { 'temporal.workflow.id': workflowId, 'temporal.run.id': runId };
    return withSpan(`activity ${this.info.activityType}`, { parent, attributes, kind: SpanKind.CONSUMER }, () =>
      next(input),
    );
  }
}
