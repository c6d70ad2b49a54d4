import { one, type Queryable, sql } from '../../platform/postgres';

/** Where the links of a frozen message lead; it never changes. */
export interface MessageLinks {
  workspaceId: string;
  /** By link number. */
  urls: readonly string[];
}

/** The link table of a message of any workspace, or null when there is no such message. */
export async function findMessageLinks(db: Queryable, messageId: string): Promise<MessageLinks | null> {
  const row = await one<{ workspace_id: string; urls: string[] }>(
    db,
    sql`SELECT workspace_id, urls FROM sally_find_message_links(${messageId})`,
  );
  return row && { workspaceId: row.workspace_id, urls: row.urls };
}
