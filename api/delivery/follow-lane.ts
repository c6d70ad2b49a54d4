import { laneWorkflow } from '../../domain/delivery';
import { ensureWorkflow, workflowUrl } from '../../platform/temporal';
import type { WorkspaceContext } from '../http/route';

/** Where a lane's workflow is seen; started or woken after the commit, if this transaction turned the lane on. */
export function followLane(context: WorkspaceContext, lane: { laneId: string; wake: boolean; urgent?: boolean }) {
  const { deps, workspaceId } = context;
  const start = laneWorkflow({ workspaceId, laneId: lane.laneId, ...(lane.urgent && { urgent: true }) });
  const reference: { workflow_id: string; run_id: string | null; ui_url: string } = {
    workflow_id: start.workflowId,
    run_id: null,
    ui_url: workflowUrl(deps.config.TEMPORAL_UI_URL, deps.config.TEMPORAL_NAMESPACE, start.workflowId),
  };
  if (lane.wake) {
    context.afterCommit(async () => {
      reference.run_id = (await ensureWorkflow(deps.temporal, start)).runId;
    });
  }
  return reference;
}
