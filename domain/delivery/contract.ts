import type { WorkflowStart } from '../../platform/temporal';
import { CONTROL_TASK_QUEUE } from '../shared/task-queues';

/** Names and inputs of the delivery area's workflows, shared by workflows, activities and api. */
export const SENDING_LANE_WORKFLOW = 'sendingLane';
export const WATCHDOG_WORKFLOW = 'watchdog';
export const MAINTAIN_PARTITIONS_WORKFLOW = 'maintainPartitions';

/** "There is work": sent only by who turned lanes.awake on, never once per message. */
export const LANE_WAKE_SIGNAL = 'wake';

export interface SendingLaneInput {
  workspaceId: string;
  laneId: string;
  /** Opt-in and transactional mail: drained in slots that bulk mail cannot take. */
  urgent?: boolean;
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
    urgency: input.urgent ? 1 : 2,
    signal: { name: LANE_WAKE_SIGNAL },
  };
}

/** Which share of a lane's rows one drain takes when several processes drain it: rows whose id hashes to `part`. */
export interface DrainShare {
  part: number;
  of: number;
}

export interface DrainLaneInput {
  laneId: string;
  share?: DrainShare;
  /** The drain may wait for the next due row itself: its time-out allows for it. */
  mayLinger?: boolean;
}

export type DrainLaneResult =
  /** No row of the lane waits. */
  | { kind: 'empty' }
  /** Due rows are left; `parts`: so many that every delivery process should take a share. */
  | { kind: 'more'; parts: boolean }
  /** Rows wait; worth another look after `ms`, or when woken. `lingers`: a drain that may wait for them itself is better. */
  | { kind: 'sleep'; ms: number; lingers?: boolean };

/** Ids of live delivery processes, each polling a task queue of its own. */
export interface LiveProcesses {
  processIds: string[];
}

/** What one round of the watchdog found and mended; counts only. */
export interface WatchdogReport {
  lostRows: number;
  lanes: number;
  workflows: number;
  expired: number;
  cancelled: number;
  settledByPolicy: number;
  /** Whether a provider is to be asked about messages whose outcome is unknown: 0 or 1. */
  toLookUp?: number;
}

/** What a round of asking providers came to. */
export interface LookupReport {
  asked: number;
  found: number;
}
