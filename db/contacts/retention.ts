import { RETENTION_DEFAULTS, type RetentionKind } from '../../domain/contacts/retention';
import { one, type Queryable, sql } from '../../platform/postgres';

/** Days that a kind of data is kept in a workspace; null = for ever. */
export async function retentionDays(db: Queryable, workspaceId: string, kind: RetentionKind): Promise<number | null> {
  const row = await one<{ days: number | null }>(
    db,
    sql`SELECT days FROM retention_periods WHERE workspace_id = ${workspaceId} AND kind = ${kind}`,
  );
  return row ? row.days : RETENTION_DEFAULTS[kind];
}
