import type { WorkflowStart } from '../../platform/temporal';
import { CONTROL_TASK_QUEUE } from '../shared/task-queues';

/** Names and inputs of the audiences area's workflows, shared by workflows, activities and api. */
export const REFRESH_AUDIENCES_WORKFLOW = 'refreshAudiences';
export const REFRESH_AUDIENCE_WORKFLOW = 'refreshAudience';

export interface RefreshAudienceInput {
  workspaceId: string;
  audienceId: string;
}

/** What a calculation did; numbers only, so that it may stand in a history. */
export interface RefreshResult {
  /** 'busy': another calculation of the same audience was running. 'gone': it is no dynamic audience any more. */
  outcome: 'refreshed' | 'failed' | 'busy' | 'gone';
  added: number;
  removed: number;
}

/** Calculates one audience now; a request while it runs joins it. */
export function refreshAudienceWorkflow(input: RefreshAudienceInput): WorkflowStart {
  return {
    type: REFRESH_AUDIENCE_WORKFLOW,
    workflowId: `audience/${input.audienceId}`,
    taskQueue: CONTROL_TASK_QUEUE,
    input,
    workspaceId: input.workspaceId,
    area: 'audiences',
    entityId: input.audienceId,
    summary: 'Calculates the members of a dynamic audience',
  };
}

/** What one round over all due audiences did. */
export interface RefreshDueResult {
  refreshed: number;
  failed: number;
}
