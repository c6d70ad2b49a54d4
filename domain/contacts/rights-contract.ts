import type { WorkflowStart } from '../../platform/temporal';
import { CONTROL_TASK_QUEUE } from '../shared/task-queues';

/** Names and inputs of the workflows about data rights, shared by workflows, activities and api. */
export const ERASE_CONTACT_WORKFLOW = 'eraseContact';

/** A row of `jobs`; whose data it is about stands there. */
export interface RightsJobInput {
  workspaceId: string;
  jobId: string;
}

/** What an erasure waits for: nothing that it erases may be written again behind its back. */
export type ErasureWait =
  /** Transactions that began before the contact was closed. */
  | 'OLDER_TRANSACTIONS'
  /** Messages that are on the wire. */
  | 'MESSAGES_BEING_SENT'
  /** An import that reads a file with the address in it, or an export that writes one. */
  | 'FILES_IN_USE';

export type ErasureStep = { state: 'DONE' } | { state: 'WAIT'; waitsFor: ErasureWait; seconds: number };

/** Kinds of `jobs` that have a workflow here. */
const RIGHTS_JOB_KINDS = ['eraseContact'] as const;
export type RightsJobKind = (typeof RIGHTS_JOB_KINDS)[number];

export function isRightsJobKind(kind: string): kind is RightsJobKind {
  return RIGHTS_JOB_KINDS.some((known) => known === kind);
}

/** Starts the workflow of a job of that kind, or finds it running. */
export function rightsJobWorkflow(kind: RightsJobKind, input: RightsJobInput): WorkflowStart {
  switch (kind) {
    case 'eraseContact':
      return eraseContactWorkflow(input);
  }
}

/** Starts an erasure, or finds it running. */
export function eraseContactWorkflow(input: RightsJobInput): WorkflowStart {
  return job(ERASE_CONTACT_WORKFLOW, input, 'Erases what is known of a person');
}

function job(type: string, input: RightsJobInput, summary: string): WorkflowStart {
  return {
    type,
    workflowId: `job/${input.jobId}`,
    taskQueue: CONTROL_TASK_QUEUE,
    input,
    workspaceId: input.workspaceId,
    area: 'contacts',
    entityId: input.jobId,
    summary,
  };
}
