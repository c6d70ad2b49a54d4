import { ensureWorkflow, type WorkflowStart, workflowUrl } from '../../platform/temporal';
import type { WorkspaceContext } from './route';

/** Starts or signals a workflow once the change is committed; what answers show of it, with its run when there is one. */
export function startAfterCommit(context: WorkspaceContext, start: WorkflowStart) {
  const { deps } = context;
  const reference: { workflow_id: string; run_id: string | null; ui_url: string } = {
    workflow_id: start.workflowId,
    run_id: null,
    ui_url: workflowUrl(deps.config.TEMPORAL_UI_URL, deps.config.TEMPORAL_NAMESPACE, start.workflowId),
  };
  context.afterCommit(async () => {
    reference.run_id = (await ensureWorkflow(deps.temporal, start)).runId;
  });
  return reference;
}
