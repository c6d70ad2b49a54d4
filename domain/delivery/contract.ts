import type { WorkflowStart } from '../../platform/temporal';
import { CONTROL_TASK_QUEUE } from '../shared/task-queues';

/** Names and inputs of the delivery area's workflows, shared by workflows, activities and api. */
export const SENDING_LANE_WORKFLOW = 'sendingLane';
export const WATCHDOG_WORKFLOW = 'watchdog';

/** "There is work": sent only by who turned lanes.awake on, never once per message. */
export const LANE_WAKE_SIGNAL = 'wake';

export interface SendingLaneInput {
  workspaceId: string;
  laneId: string;
}

export function laneWorkflowId(laneId: string): string {
  return `lane/${laneId}`;
}

/** Starts or wakes the workflow of a lane. */
export function laneWorkflow(input: SendingLaneInput): WorkflowStart {
  return {
    type: SENDING_LANE_WORKFLOW,
    workflowId: laneWorkflowId(input.laneId),
    taskQueue: CONTROL_TASK_QUEUE,
    input,
    workspaceId: input.workspaceId,
    area: 'delivery',
    entityId: input.laneId,
    summary: 'Sends what is due on one lane',
    signal: { name: LANE_WAKE_SIGNAL },
  };
}
