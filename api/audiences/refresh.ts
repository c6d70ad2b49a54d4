import { refreshAudienceWorkflow } from '../../domain/audiences';
import { ensureWorkflow, workflowUrl } from '../../platform/temporal';
import type { WorkspaceContext } from '../http/route';

/** Calculates a dynamic audience once the change is committed; the reference to answer with. */
export function followRefresh(context: WorkspaceContext, audienceId: string) {
  const { deps, workspaceId } = context;
  const start = refreshAudienceWorkflow({ workspaceId, audienceId });
  const reference: { workflow_id: string; run_id: string | null; ui_url: string } = {
    workflow_id: start.workflowId,
    run_id: null,
    ui_url: workflowUrl(deps.config.TEMPORAL_UI_URL, deps.config.TEMPORAL_NAMESPACE, start.workflowId),
  };
  // Where Temporal is away, the Schedule calculates it within five minutes.
  context.afterCommit(async () => {
    reference.run_id = (await ensureWorkflow(deps.temporal, start)).runId;
  });
  return reference;
}
