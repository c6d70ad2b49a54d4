import type { ContactForContext } from '../../domain/content';
import { one, type Queryable, sql } from '../../platform/postgres';

/** What templates may use of a contact, or null when there is none (any more). */
export async function findContactForContext(
  db: Queryable,
  workspaceId: string,
  contactId: string,
): Promise<ContactForContext | null> {
  const row = await one<{
    email: string;
    first_name: string;
    last_name: string;
    locale: string | null;
    time_zone: string | null;
    tags: string[];
    fields: Record<string, unknown>;
  }>(
    db,
    sql`SELECT email, first_name, last_name, locale, time_zone, tags, fields FROM contacts
        WHERE workspace_id = ${workspaceId} AND id = ${contactId} AND erased_at IS NULL`,
  );
  if (!row) return null;
  return {
    email: row.email,
    firstName: row.first_name,
    lastName: row.last_name,
    locale: row.locale,
    timeZone: row.time_zone,
    tags: row.tags,
    fields: row.fields,
  };
}
