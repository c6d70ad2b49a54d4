import { Client, Connection, type WorkflowClientInterceptor, WorkflowNotFoundError } from '@temporalio/client';
import { defineSearchAttributeKey } from '@temporalio/common';
import { traceClientInterceptor } from './temporal-tracing';

/** Search attributes of every Sally workflow (design, section 3); ids only, never personal data. */
export const SallyWorkspace = defineSearchAttributeKey('SallyWorkspace', 'KEYWORD');
export const SallyArea = defineSearchAttributeKey('SallyArea', 'KEYWORD');
export const SallyEntity = defineSearchAttributeKey('SallyEntity', 'KEYWORD');
export const SallyStatus = defineSearchAttributeKey('SallyStatus', 'KEYWORD');

export interface TemporalOptions {
  address: string;
  namespace: string;
  /** False (benches only): the server is told no priorities, so that it deals slots in the order of asking. */
  fair?: boolean;
}

const withoutPriority: WorkflowClientInterceptor = {
  startWithDetails: (input, next) => next({ ...input, options: { ...input.options, priority: undefined } }),
  signalWithStart: (input, next) => next({ ...input, options: { ...input.options, priority: undefined } }),
};

/**
 * A client that connects at its first call: the API starts and answers while Temporal is down. Calls are not repeated
 * here (the SDK's default goes on for 20 s, and throws from a timer when the connection is closed meanwhile): what an
 * API call loses the watchdog finds, and an activity is retried as a whole.
 */
export function createTemporalClient(options: TemporalOptions): { client: Client; close: () => Promise<void> } {
  const connection = Connection.lazy({ address: options.address, connectTimeout: 3_000, interceptors: [] });
  return {
    client: new Client({
      connection,
      namespace: options.namespace,
      interceptors: {
        workflow: options.fair === false ? [traceClientInterceptor, withoutPriority] : [traceClientInterceptor],
      },
    }),
    close: () => connection.close(),
  };
}

/** Longest wait for an answer of Temporal while a request or activity waits for it. */
const CALL_TIMEOUT_MS = 3_000;

export type { Client };

/** How a workflow is started: ids only, no personal data. */
export interface WorkflowStart {
  /** Workflow type, from the area's contract. */
  type: string;
  workflowId: string;
  taskQueue: string;
  input: object;
  workspaceId: string;
  area: string;
  entityId: string;
  /** One readable line for the Temporal UI. */
  summary: string;
  /**
   * 1 is served first, 5 last; 3 where nothing is said. Its activities inherit it, and among equals the server deals
   * slots to workspaces in turn, so that one with much to do does not hold up one with little.
   */
  urgency?: 1 | 2 | 3 | 4 | 5;
  /** Sent with the start; a running workflow gets it instead of a second start. */
  signal?: { name: string; args?: unknown[] };
}

/** Starts a workflow or, when it runs already, leaves it (or signals it): repeating is harmless. */
export async function ensureWorkflow(
  client: Client,
  start: WorkflowStart,
): Promise<{ workflowId: string; runId: string }> {
  const options = {
    workflowId: start.workflowId,
    taskQueue: start.taskQueue,
    args: [start.input],
    workflowIdConflictPolicy: 'USE_EXISTING' as const,
    workflowIdReusePolicy: 'ALLOW_DUPLICATE' as const,
    typedSearchAttributes: [
      { key: SallyWorkspace, value: start.workspaceId },
      { key: SallyArea, value: start.area },
      { key: SallyEntity, value: start.entityId },
    ],
    staticSummary: start.summary,
    priority: { priorityKey: start.urgency ?? 3, fairnessKey: start.workspaceId },
  };
  const { signal } = start;
  const runId = await client.withDeadline(Date.now() + CALL_TIMEOUT_MS, async () => {
    if (!signal) return (await client.workflow.start(start.type, options)).firstExecutionRunId;
    const signalled = { ...options, signal: signal.name, signalArgs: signal.args ?? [] };
    return (await client.workflow.signalWithStart(start.type, signalled)).signaledRunId;
  });
  return { workflowId: start.workflowId, runId };
}

/** Signals a workflow that should re-read its row. Not running is no error: its row is the truth. */
export async function hintWorkflow(client: Client, workflowId: string, signal: string): Promise<void> {
  try {
    await client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () => client.workflow.getHandle(workflowId).signal(signal));
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}

/** Link to a workflow in the Temporal UI. */
export function workflowUrl(uiUrl: string, namespace: string, workflowId: string): string {
  return `${uiUrl.replace(/\/$/, '')}/namespaces/${encodeURIComponent(namespace)}/workflows/${encodeURIComponent(workflowId)}`;
}
