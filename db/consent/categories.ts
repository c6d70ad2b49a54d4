import { many, one, type Queryable, sql } from '../../platform/postgres';

export interface CategoryRow {
  id: string;
  key: string;
  name: string;
  created_at: Date;
}

/** Preference categories by id, one more than `limit`. */
export function listCategories(
  db: Queryable,
  workspaceId: string,
  page: { after: string | null; limit: number },
): Promise<CategoryRow[]> {
  return many(
    db,
    sql`SELECT id, key, name, created_at FROM preference_categories
        WHERE workspace_id = ${workspaceId} AND (${page.after}::uuid IS NULL OR id > ${page.after}::uuid)
        ORDER BY id LIMIT ${page.limit + 1}`,
  );
}

/** A key in use violates the unique constraint. */
export async function insertCategory(
  tx: Queryable,
  workspaceId: string,
  category: { key: string; name: string },
): Promise<CategoryRow> {
  const row = await one<CategoryRow>(
    tx,
    sql`INSERT INTO preference_categories (workspace_id, key, name)
        VALUES (${workspaceId}, ${category.key}, ${category.name}) RETURNING id, key, name, created_at`,
  );
  if (!row) throw new Error('a category could not be made');
  return row;
}

/** Sets whether a contact takes messages of a category; false when nothing changed. */
export async function setCategoryPreference(
  tx: Queryable,
  preference: {
    workspaceId: string;
    contactId: string;
    categoryId: string;
    subscribed: boolean;
    source: 'LINK' | 'PREFERENCE_CENTER' | 'API' | 'COMPLAINT' | 'BOUNCE';
  },
): Promise<boolean> {
  const row = await one(
    tx,
    sql`INSERT INTO category_preferences AS p (workspace_id, contact_id, category_id, subscribed, source)
        VALUES (${preference.workspaceId}, ${preference.contactId}, ${preference.categoryId}, ${preference.subscribed},
          ${preference.source})
        ON CONFLICT (workspace_id, contact_id, category_id)
        DO UPDATE SET subscribed = excluded.subscribed, source = excluded.source, updated_at = sally_now()
        WHERE p.subscribed <> excluded.subscribed
        RETURNING 1`,
  );
  return row !== null;
}
