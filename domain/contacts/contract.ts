import type { WorkflowStart } from '../../platform/temporal';
import { CONTROL_TASK_QUEUE } from '../shared/task-queues';

/** Names and inputs of the contacts area's workflows, shared by workflows, activities and api. */
export const IMPORT_CONTACTS_WORKFLOW = 'importContacts';

/** "The job's row has changed" (cancelled): the workflow re-reads it. */
export const IMPORT_CHANGED_SIGNAL = 'changed';
/** Answers the last ImportProgress the workflow knows, or null. */
export const IMPORT_PROGRESS_QUERY = 'progress';

export interface ImportContactsInput {
  workspaceId: string;
  jobId: string;
}

/** Counts of rows; bytes of the file. `rowsTotal` is null until the file was checked. */
export interface ImportProgress {
  bytesTotal: number;
  bytesDone: number;
  rowsTotal: number | null;
  rowsDone: number;
  created: number;
  updated: number;
  unchanged: number;
  rejected: number;
  /** Invalid cells left out where `on_invalid_field` is "skip-field". */
  skippedCells: number;
  /** Contacts that were granted the stated consent; those who had refused, or are asked already, are left as they are. */
  consentsGranted: number;
  membersAdded: number;
}

export const NO_PROGRESS: ImportProgress = {
  bytesTotal: 0,
  bytesDone: 0,
  rowsTotal: null,
  rowsDone: 0,
  created: 0,
  updated: 0,
  unchanged: 0,
  rejected: 0,
  skippedCells: 0,
  consentsGranted: 0,
  membersAdded: 0,
};

/** How a slice of an import ended. CONTINUE: there is more; the others are the job's final status. */
export type ImportState = 'CONTINUE' | 'DONE' | 'FAILED' | 'CANCELLED';

export interface ImportSlice {
  state: ImportState;
  progress: ImportProgress;
  /** Of a failed import: a stable code, never text of the file. */
  code: string | null;
}

export function importWorkflowId(jobId: string): string {
  return `job/${jobId}`;
}

/** Starts the workflow of an import, or finds it running. */
export function importWorkflow(input: ImportContactsInput): WorkflowStart {
  return {
    type: IMPORT_CONTACTS_WORKFLOW,
    workflowId: importWorkflowId(input.jobId),
    taskQueue: CONTROL_TASK_QUEUE,
    input,
    workspaceId: input.workspaceId,
    area: 'contacts',
    entityId: input.jobId,
    summary: 'Imports contacts from a CSV file',
    urgency: 4,
  };
}

export const BUILD_INDEX_WORKFLOW = 'buildIndex';
export const BULK_EDIT_WORKFLOW = 'bulkEdit';

/** "The job's row has changed" (cancelled): a hint, the next slice reads the row. */
export const CONTACT_JOB_CHANGED_SIGNAL = 'changed';

/** A job that goes over contacts in the order of their ids; what it does to them is in its row. */
export const CONTACT_JOB_KINDS = [BUILD_INDEX_WORKFLOW, BULK_EDIT_WORKFLOW] as const;
export type ContactJobKind = (typeof CONTACT_JOB_KINDS)[number];

export interface ContactJobInput {
  workspaceId: string;
  jobId: string;
}

/** Counts of contacts; `total` is null until they were counted. */
export interface ContactJobProgress {
  total: number | null;
  done: number;
  changed: number;
  /** Contacts that could not take the change, for example since they have 100 tags already. */
  skipped: number;
}

export const NO_CONTACT_JOB_PROGRESS: ContactJobProgress = { total: null, done: 0, changed: 0, skipped: 0 };

export interface ContactJobSlice {
  state: 'CONTINUE' | 'DONE' | 'FAILED' | 'CANCELLED';
  progress: ContactJobProgress;
}

export function isContactJobKind(kind: string): kind is ContactJobKind {
  return CONTACT_JOB_KINDS.some((known) => known === kind);
}

/** Starts the workflow of a job over contacts, or finds it running. */
export function contactJobWorkflow(kind: ContactJobKind, input: ContactJobInput): WorkflowStart {
  return {
    type: kind,
    workflowId: `job/${input.jobId}`,
    taskQueue: CONTROL_TASK_QUEUE,
    input,
    workspaceId: input.workspaceId,
    area: 'contacts',
    entityId: input.jobId,
    summary:
      kind === 'buildIndex'
        ? 'Builds or removes the index of a custom field'
        : 'Adds and removes tags of many contacts',
  };
}

export * from './rights-contract';
