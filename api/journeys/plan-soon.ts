import { planSequencesWorkflow } from '../../domain/journeys';
import { ensureWorkflow, workflowUrl } from '../../platform/temporal';
import type { WorkspaceContext } from '../http/route';

/** Plans the workspace once the change is committed, instead of at the next quarter of an hour. */
export function planSoon(context: WorkspaceContext) {
  const { deps, workspaceId } = context;
  const start = planSequencesWorkflow(workspaceId);
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
