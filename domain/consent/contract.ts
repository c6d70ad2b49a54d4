import type { WorkflowStart } from '../../platform/temporal';
import { CONTROL_TASK_QUEUE } from '../shared/task-queues';

/** Names and inputs of the consent area's workflow, shared by workflows, activities and api. */
export const DOUBLE_OPT_IN_WORKFLOW = 'doubleOptIn';

/** "The request's row has changed": confirmed, or another mail was asked for. */
export const OPT_IN_CHANGED_SIGNAL = 'changed';

/** The step the run is at; for tests and operators. */
export const OPT_IN_STEP_QUERY = 'step';

export interface DoubleOptInInput {
  workspaceId: string;
  requestId: string;
}

export function optInWorkflowId(requestId: string): string {
  return `opt-in/${requestId}`;
}

/** Starts the workflow of an open request, or tells the running one to read its row again. */
export function optInWorkflow(input: DoubleOptInInput): WorkflowStart {
  return {
    type: DOUBLE_OPT_IN_WORKFLOW,
    workflowId: optInWorkflowId(input.requestId),
    taskQueue: CONTROL_TASK_QUEUE,
    input,
    workspaceId: input.workspaceId,
    area: 'consent',
    entityId: input.requestId,
    summary: 'Double opt-in: confirmation mail, reminder, expiry',
    urgency: 2,
    signal: { name: OPT_IN_CHANGED_SIGNAL },
  };
}
