import { audienceDefinitions, refreshAudience, resolveConditions, uncalculatedAudiences } from '../../db/audiences';
import type { RunRow } from '../../db/campaigns';
import type { AudienceDefinition } from '../../db/content';
import type { ActivityDependencies } from '../dependencies';

/** Whether a run's audience may be materialised now. */
export type AudienceState =
  | 'ready'
  /** A calculation of one of its dynamic audiences is under way elsewhere. */
  | 'calculating'
  /** A dynamic audience means something else than what was approved. */
  | 'AUDIENCE_CHANGED'
  /** Conditions can't be asked any more, or a dynamic audience has no members of its definition. */
  | 'AUDIENCE_UNAVAILABLE';

/**
 * Looks at a run's audience before it begins. Dynamic audiences that have not been calculated for their definition are,
 * now; all others are taken with the members of their last success, so that no refresh ever holds a campaign up.
 */
export async function audienceState(
  { db }: ActivityDependencies,
  run: RunRow,
  audience: AudienceDefinition,
): Promise<AudienceState> {
  const { workspace_id: workspaceId } = run;
  const approved = audience.definitions ?? {};
  const ids = [...audience.include, ...audience.exclude, ...Object.keys(approved)];
  const current = await audienceDefinitions(db, workspaceId, ids);
  if (Object.keys({ ...approved, ...current }).some((id) => approved[id] !== current[id])) return 'AUDIENCE_CHANGED';
  for (const audienceId of await uncalculatedAudiences(db, workspaceId, ids)) {
    const { outcome } = await refreshAudience(db, { workspaceId, audienceId });
    if (outcome === 'busy') return 'calculating';
    if (outcome !== 'refreshed') return 'AUDIENCE_UNAVAILABLE';
  }
  if (!audience.conditions) return 'ready';
  return (await resolveConditions(db, workspaceId, audience.conditions)).ok ? 'ready' : 'AUDIENCE_UNAVAILABLE';
}
