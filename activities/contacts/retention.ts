import { noteRetention, removeExpired, retentionPeriods, workspacesDueForRetention } from '../../db/contacts/retention';
import { writeAudit } from '../../db/workspace';
import type { RetentionReport } from '../../domain/contacts/contract';
import { RETENTION_KINDS } from '../../domain/contacts/retention';
import type { ActivityDependencies } from '../dependencies';

/**
 * Removes what has been kept for its time, in every workspace where that was not done for its local date yet. Repeating
 * it is harmless; a workspace that fails does not stop the others and is tried again at the next tick.
 */
export async function runRetention(
  deps: Pick<ActivityDependencies, 'db' | 'log'>,
  pulse: () => void,
): Promise<RetentionReport> {
  const report: RetentionReport = { workspaces: 0, failed: 0, removed: 0 };
  for (const workspaceId of await workspacesDueForRetention(deps.db)) {
    try {
      report.removed += await cleanWorkspace(deps, workspaceId, pulse);
      report.workspaces += 1;
    } catch (error) {
      pulse();
      deps.log.error({ err: error, workspaceId }, 'retention could not be enforced in a workspace');
      report.failed += 1;
    }
  }
  return report;
}

async function cleanWorkspace(
  { db }: Pick<ActivityDependencies, 'db'>,
  workspaceId: string,
  pulse: () => void,
): Promise<number> {
  const removed: Record<string, number> = {};
  const periods = await retentionPeriods(db, workspaceId);
  for (const kind of RETENTION_KINDS) {
    const days = periods[kind];
    if (days === null) continue;
    for (let more = true; more; ) {
      pulse();
      const batch = await db.transaction((tx) => removeExpired(tx, workspaceId, kind, days));
      if (batch.removed > 0) removed[kind] = (removed[kind] ?? 0) + batch.removed;
      more = batch.more;
    }
  }
  const total = Object.values(removed).reduce((sum, rows) => sum + rows, 0);
  await db.transaction(async (tx) => {
    await noteRetention(tx, workspaceId, removed);
    if (total === 0) return;
    await writeAudit(tx, {
      workspaceId,
      actor: { type: 'system' },
      action: 'retention.enforce',
      entityType: 'workspace',
      entityId: workspaceId,
      new: removed,
    });
  });
  return total;
}
