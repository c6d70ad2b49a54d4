import { refreshAudienceWorkflow } from '../../domain/audiences';
import type { WorkspaceContext } from '../http/route';
import { startAfterCommit } from '../http/start-workflow';

/**
 * Calculates a dynamic audience once the change is committed; the reference to answer with. Where Temporal is away, the
 * Schedule calculates it within five minutes.
 */
export function followRefresh(context: WorkspaceContext, audienceId: string) {
  return startAfterCommit(context, refreshAudienceWorkflow({ workspaceId: context.workspaceId, audienceId }));
}
