import type { WorkflowStart } from '../../platform/temporal';
import { CONTROL_TASK_QUEUE } from '../shared/task-queues';

/** Names and inputs of the campaigns area's workflow, shared by workflows, activities and api. */
export const CAMPAIGN_RUN_WORKFLOW = 'campaignRun';

/** "The run's row changed, or its last message was settled": the workflow re-reads it. A hint; losing one is harmless. */
export const CAMPAIGN_RUN_CHANGED_SIGNAL = 'changed';

/** Where the run stands, with its counts. */
export const CAMPAIGN_RUN_PROGRESS_QUERY = 'progress';

export interface CampaignRunInput {
  workspaceId: string;
  runId: string;
}

export function campaignRunWorkflowId(runId: string): string {
  return `campaign-run/${runId}`;
}

/** Starts the workflow of a run, or tells the running one to look at its row again. */
export function campaignRunWorkflow(input: CampaignRunInput): WorkflowStart {
  return {
    type: CAMPAIGN_RUN_WORKFLOW,
    workflowId: campaignRunWorkflowId(input.runId),
    taskQueue: CONTROL_TASK_QUEUE,
    input,
    workspaceId: input.workspaceId,
    area: 'campaigns',
    entityId: input.runId,
    summary: 'Waits for its time, materialises one message per recipient, follows them to the end',
    signal: { name: CAMPAIGN_RUN_CHANGED_SIGNAL },
  };
}

/** What a run's workflow does next; decided by the run's row in Postgres, never by the workflow. */
export type CampaignRunStep =
  /** Not yet due; look again after `waitMs`, at most. */
  | { step: 'wait-for-time'; status: string; waitMs: number }
  /** Paused; only an operator's change goes on. */
  | { step: 'wait-for-resume'; status: string; reason: string | null }
  | { step: 'materialise'; status: string }
  /** Everything has a row; messages leave through their lane. */
  | { step: 'follow'; status: string }
  /** Cancelled; rows that still wait are to be cancelled too. */
  | { step: 'sweep'; status: string }
  | { step: 'done'; status: string };

/** Counts of a run for its current details; no personal data. */
export interface CampaignRunCounts {
  materialised: number;
  queued: number;
  sending: number;
  sent: number;
  failed: number;
  unconfirmed: number;
  cancelled: number;
}
