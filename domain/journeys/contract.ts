import type { WorkflowStart } from '../../platform/temporal';
import { CONTROL_TASK_QUEUE } from '../shared/task-queues';

/** Names and inputs of the journeys area's workflows, shared by workflows, activities and api. */
export const PLAN_SEQUENCES_WORKFLOW = 'planSequences';

/** "Plan once more": sent with each start. */
export const PLAN_AGAIN_SIGNAL = 'again';

/** Name of the duty in `workspace_jobs`, and id of its Schedule. */
export const PLAN_SEQUENCES_JOB = 'plan-sequences';

export interface PlanSequencesInput {
  /** This workspace alone; absent: every workspace that has something to plan. */
  workspaceId?: string;
}

export interface PlanSequencesReport {
  workspaces: number;
  /** Mails that got a slot. */
  planned: number;
  /** Enrolments whose last mail was accepted, failed or cancelled since. */
  advanced: number;
  /** Plans that failed; the next run tries them again. */
  failed: number;
}

/** Plans one workspace now instead of at the next quarter of an hour. */
export function planSequencesWorkflow(workspaceId: string): WorkflowStart {
  return {
    type: PLAN_SEQUENCES_WORKFLOW,
    workflowId: `${PLAN_SEQUENCES_JOB}/${workspaceId}`,
    taskQueue: CONTROL_TASK_QUEUE,
    input: { workspaceId },
    workspaceId,
    area: 'journeys',
    entityId: workspaceId,
    summary: 'Plans today’s mail of the workspace’s sequences',
    signal: { name: PLAN_AGAIN_SIGNAL },
  };
}
