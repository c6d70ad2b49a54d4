import type { PageTheme } from '../../domain/consent';
import { one, type Queryable, sql } from '../../platform/postgres';

/** A workspace's theme with its version; version 0 = none was chosen. */
export interface StoredTheme extends PageTheme {
  version: number;
}

/** Null when the workspace has chosen none. */
export async function findPageTheme(db: Queryable, workspaceId: string): Promise<StoredTheme | null> {
  const row = await one<{
    accent_color: string;
    corners: PageTheme['corners'];
    footer: string;
    privacy_url: string | null;
    imprint_url: string | null;
    version: number;
  }>(db, {
    name: 'page-theme',
    ...sql`SELECT accent_color, corners, footer, privacy_url, imprint_url, version FROM page_themes
        WHERE workspace_id = ${workspaceId}`,
  });
  return (
    row && {
      accentColor: row.accent_color,
      corners: row.corners,
      footer: row.footer,
      privacyUrl: row.privacy_url,
      imprintUrl: row.imprint_url,
      version: row.version,
    }
  );
}

/** Stores a theme and raises its version. */
export async function savePageTheme(tx: Queryable, workspaceId: string, theme: PageTheme): Promise<StoredTheme> {
  const row = await one<{ version: number }>(
    tx,
    sql`INSERT INTO page_themes AS t (workspace_id, accent_color, corners, footer, privacy_url, imprint_url)
        VALUES (${workspaceId}, ${theme.accentColor}, ${theme.corners}, ${theme.footer}, ${theme.privacyUrl}, ${theme.imprintUrl})
        ON CONFLICT (workspace_id) DO UPDATE SET accent_color = excluded.accent_color, corners = excluded.corners,
          footer = excluded.footer, privacy_url = excluded.privacy_url, imprint_url = excluded.imprint_url,
          version = t.version + 1, updated_at = sally_now()
        RETURNING version`,
  );
  if (!row) throw new Error('a theme could not be stored');
  return { ...theme, version: row.version };
}
