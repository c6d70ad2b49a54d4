import type { RefreshAudienceInput } from '../../domain/audiences';
import { many, type Queryable, sql } from '../../platform/postgres';

/**
 * Dynamic audiences that are to be calculated: never, or for another definition; dirty; dependent on time; failed the
 * last time; or not calculated for a day, whatever the events say. Those that others are made of come first.
 */
export async function dueAudiences(db: Queryable, limit: number): Promise<RefreshAudienceInput[]> {
  const rows = await many<{ workspace_id: string; id: string }>(
    db,
    sql`SELECT workspace_id, id FROM audiences
        WHERE type = 'DYNAMIC' AND archived_at IS NULL AND (
          calculated_sha256 IS DISTINCT FROM definition_sha256
          OR dirty_at IS NOT NULL
          OR ((is_time_dependent OR calculation_error IS NOT NULL) AND last_calculated_at < sally_now() - interval '4 minutes')
          OR last_calculated_at < sally_now() - interval '1 day')
        ORDER BY cardinality(uses_audiences), last_calculated_at NULLS FIRST, id LIMIT ${limit}`,
  );
  return rows.map((row) => ({ workspaceId: row.workspace_id, audienceId: row.id }));
}
