import { parseConditions } from '../../domain/audiences';
import { one, type Queryable, sql } from '../../platform/postgres';
import { compileTree } from './compile';
import { resolveConditions } from './resolve';

/** Whether stored conditions are true for one contact now; false where they cannot be asked any more. */
export async function isTrueFor(
  db: Queryable,
  workspaceId: string,
  conditions: unknown,
  contactId: string,
): Promise<boolean> {
  const parsed = parseConditions(conditions);
  if (!parsed.ok) return false;
  const resolution = await resolveConditions(db, workspaceId, parsed.tree);
  if (!resolution.ok) return false;
  const { joins, predicate } = compileTree(parsed.tree, resolution.lookups, 'each');
  const row = await one<{ id: string }>(
    db,
    sql`SELECT c.id FROM contacts c ${joins}
        WHERE c.workspace_id = ${workspaceId}::uuid AND c.id = ${contactId}::uuid AND c.erased_at IS NULL AND ${predicate}`,
  );
  return row !== null;
}
