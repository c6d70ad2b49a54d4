import { many, type Queryable, sql } from '../../platform/postgres';
import type { BulkEditRequest } from './contact-jobs';

type Selection = BulkEditRequest['selection'];

function condition(workspaceId: string, selection: Selection) {
  return sql`c.workspace_id = ${workspaceId} AND c.erased_at IS NULL
    AND (${selection.contactIds}::uuid[] IS NULL OR c.id = ANY(${selection.contactIds}::uuid[]))
    AND (${selection.status}::text IS NULL OR c.status = ${selection.status})
    AND (${selection.tag}::text IS NULL OR c.tags @> ARRAY[${selection.tag}::text])
    AND (${selection.audienceId}::uuid IS NULL OR EXISTS (SELECT 1 FROM audience_members m
      WHERE m.workspace_id = c.workspace_id AND m.contact_id = c.id AND m.audience_id = ${selection.audienceId}::uuid))`;
}

export async function countSelected(db: Queryable, workspaceId: string, selection: Selection): Promise<number> {
  const [row] = await many<{ count: number }>(
    db,
    sql`SELECT count(*) AS count FROM contacts c WHERE ${condition(workspaceId, selection)}`,
  );
  return row?.count ?? 0;
}

/** Ids of the next contacts of a selection, in their order. */
export async function nextSelected(
  db: Queryable,
  workspaceId: string,
  selection: Selection,
  after: string | null,
  limit: number,
): Promise<string[]> {
  const rows = await many<{ id: string }>(
    db,
    sql`SELECT c.id FROM contacts c WHERE ${condition(workspaceId, selection)}
          AND c.id > coalesce(${after}::uuid, '00000000-0000-0000-0000-000000000000')
        ORDER BY c.id LIMIT ${limit}`,
  );
  return rows.map(({ id }) => id);
}
