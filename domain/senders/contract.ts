import type { WorkflowStart } from '../../platform/temporal';
import { CONTROL_TASK_QUEUE } from '../shared/task-queues';

/** Names and inputs of the senders area's workflows, shared by workflows, activities and api. */
export const CHECK_PROVIDER_WORKFLOW = 'checkProvider';

/** A row of `jobs` of kind checkProvider; which provider is in the row. */
export interface CheckProviderInput {
  workspaceId: string;
  jobId: string;
}

/** What a check found out; ids and classes only, so that it may stand in a history. */
export interface CheckProviderResult {
  status: 'OK' | 'FAILED';
  /** Class of the failure; null when all is well. */
  cause: string | null;
}

/** Starts the check of a provider. */
export function checkProviderWorkflow(input: CheckProviderInput): WorkflowStart {
  return {
    type: CHECK_PROVIDER_WORKFLOW,
    workflowId: `job/${input.jobId}`,
    taskQueue: CONTROL_TASK_QUEUE,
    input,
    workspaceId: input.workspaceId,
    area: 'senders',
    entityId: input.jobId,
    summary: 'Checks whether a provider can be reached and logged in to',
  };
}
