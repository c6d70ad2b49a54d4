import { planSequencesWorkflow } from '../../domain/journeys';
import type { WorkspaceContext } from '../http/route';
import { startAfterCommit } from '../http/start-workflow';

/** Plans the workspace once the change is committed, instead of at the next quarter of an hour. */
export function planSoon(context: WorkspaceContext) {
  return startAfterCommit(context, planSequencesWorkflow(context.workspaceId));
}
