import type { WorkflowStart } from '../../platform/temporal';
import { CONTROL_TASK_QUEUE } from '../shared/task-queues';

/** Names and inputs of the workflows about data rights, shared by workflows, activities and api. */
const ERASE_CONTACT_WORKFLOW = 'eraseContact';
const EXPORT_CONTACT_WORKFLOW = 'exportContact';
const EXPORT_CONTACTS_WORKFLOW = 'exportContacts';

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

/** How a slice of an export ended. CONTINUE: there is more; the others are the job's final status. */
export interface ExportSlice {
  state: 'CONTINUE' | 'DONE' | 'FAILED' | 'CANCELLED';
  rows: number;
  bytes: number;
}

/** Workflow and Schedule of the retention duty. */
export const ENFORCE_RETENTION_WORKFLOW = 'enforceRetention';

export interface RetentionReport {
  workspaces: number;
  /** Workspaces that are tried again at the next tick. */
  failed: number;
  /** Rows removed or emptied. */
  removed: number;
}

/** Kinds of `jobs` that have a workflow here. */
const RIGHTS_JOB_KINDS = ['eraseContact', 'exportContact', 'exportContacts'] as const;
export type RightsJobKind = (typeof RIGHTS_JOB_KINDS)[number];

export function isRightsJobKind(kind: string): kind is RightsJobKind {
  return RIGHTS_JOB_KINDS.some((known) => known === kind);
}

/** Starts the workflow of a job of that kind, or finds it running. */
export function rightsJobWorkflow(kind: RightsJobKind, input: RightsJobInput): WorkflowStart {
  switch (kind) {
    case 'eraseContact':
      return job(ERASE_CONTACT_WORKFLOW, input, 'Erases what is known of a person');
    case 'exportContact':
      return job(EXPORT_CONTACT_WORKFLOW, input, 'Exports what is known of a person');
    case 'exportContacts':
      return job(EXPORT_CONTACTS_WORKFLOW, input, 'Exports contacts to a file');
  }
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
