import type { CategoryTranslations, Frequency, UnsubscribeSource } from '../../domain/consent';
import { many, one, type Queryable, sql } from '../../platform/postgres';

export interface CategoryRow {
  id: string;
  key: string;
  name: string;
  description: string;
  translations: CategoryTranslations;
  version: number;
  created_at: Date;
  updated_at: Date;
}

const COLUMNS = sql`id, key, name, description, translations, version, created_at, updated_at`;

/** Preference categories by id, one more than `limit`. */
export function listCategories(
  db: Queryable,
  workspaceId: string,
  page: { after: string | null; limit: number },
): Promise<CategoryRow[]> {
  return many(
    db,
    sql`SELECT ${COLUMNS} FROM preference_categories
        WHERE workspace_id = ${workspaceId} AND (${page.after}::uuid IS NULL OR id > ${page.after}::uuid)
        ORDER BY id LIMIT ${page.limit + 1}`,
  );
}

/** What people see of a category. */
export interface CategoryTextsInput {
  name: string;
  description: string;
  translations: CategoryTranslations;
}

/** A key in use violates the unique constraint. */
export async function insertCategory(
  tx: Queryable,
  workspaceId: string,
  category: CategoryTextsInput & { key: string },
): Promise<CategoryRow> {
  const row = await one<CategoryRow>(
    tx,
    sql`INSERT INTO preference_categories (workspace_id, key, name, description, translations)
        VALUES (${workspaceId}, ${category.key}, ${category.name}, ${category.description},
          ${JSON.stringify(category.translations)}) RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('a category could not be made');
  return row;
}

/** Locks a category for a change. */
export function lockCategory(tx: Queryable, workspaceId: string, categoryId: string): Promise<CategoryRow | null> {
  return one(
    tx,
    sql`SELECT ${COLUMNS} FROM preference_categories WHERE workspace_id = ${workspaceId} AND id = ${categoryId} FOR UPDATE`,
  );
}

/** Changes what people see of a category; what they chose stays. */
export async function updateCategory(
  tx: Queryable,
  workspaceId: string,
  categoryId: string,
  texts: CategoryTextsInput,
): Promise<CategoryRow> {
  const row = await one<CategoryRow>(
    tx,
    sql`UPDATE preference_categories SET name = ${texts.name}, description = ${texts.description},
          translations = ${JSON.stringify(texts.translations)}, version = version + 1, updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${categoryId} RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('the category is gone');
  return row;
}

/** Sets whether and how often a contact takes messages of a category; false when nothing changed. */
export async function setCategoryPreference(
  tx: Queryable,
  preference: {
    workspaceId: string;
    contactId: string;
    categoryId: string;
    subscribed: boolean;
    /** Undefined: as it was, IMMEDIATE at first. */
    frequency?: Frequency | undefined;
    source: UnsubscribeSource;
  },
): Promise<boolean> {
  const { workspaceId, contactId, categoryId, subscribed, frequency = null, source } = preference;
  const row = await one(
    tx,
    sql`INSERT INTO category_preferences AS p (workspace_id, contact_id, category_id, subscribed, frequency, source)
        VALUES (${workspaceId}, ${contactId}, ${categoryId}, ${subscribed}, coalesce(${frequency}, 'IMMEDIATE'), ${source})
        ON CONFLICT (workspace_id, contact_id, category_id)
        DO UPDATE SET subscribed = excluded.subscribed, frequency = coalesce(${frequency}, p.frequency),
          source = excluded.source, updated_at = sally_now()
        WHERE (p.subscribed, p.frequency) IS DISTINCT FROM (excluded.subscribed, coalesce(${frequency}, p.frequency))
        RETURNING 1`,
  );
  return row !== null;
}
