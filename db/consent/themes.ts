import { DEFAULT_LOOK, logoPath, type PageLogo, type PageLook, type PageTheme } from '../../domain/consent';
import { one, type Queryable, sql } from '../../platform/postgres';

/** A workspace's theme with its version; version 0 = none was chosen, and it has the looks that all begin with. */
export interface StoredTheme extends PageTheme {
  version: number;
}

/** Null when the workspace has chosen neither a theme nor a logo. */
export async function findPageTheme(db: Queryable, workspaceId: string): Promise<StoredTheme | null> {
  const row = await one<{
    accent_color: string | null;
    corners: PageTheme['corners'] | null;
    footer: string | null;
    privacy_url: string | null;
    imprint_url: string | null;
    version: number | null;
    sha256: string | null;
    alt: string;
    width: number;
    height: number;
    slug: string;
  }>(db, {
    name: 'page-theme',
    ...sql`SELECT t.accent_color, t.corners, t.footer, t.privacy_url, t.imprint_url, t.version,
          l.sha256, l.alt, l.width, l.height, w.slug
        FROM workspaces w LEFT JOIN page_themes t ON t.workspace_id = w.id LEFT JOIN page_logos l ON l.workspace_id = w.id
        WHERE w.id = ${workspaceId}`,
  });
  if (!row || (row.version === null && row.sha256 === null)) return null;
  const { sha256, alt, width, height, slug } = row;
  return {
    accentColor: row.accent_color ?? DEFAULT_LOOK.accentColor,
    corners: row.corners ?? DEFAULT_LOOK.corners,
    footer: row.footer ?? DEFAULT_LOOK.footer,
    privacyUrl: row.privacy_url,
    imprintUrl: row.imprint_url,
    version: row.version ?? 0,
    logo: sha256 === null ? null : { path: logoPath(slug, sha256), sha256, alt, width, height },
  };
}

/** Stores a theme and raises its version; the logo stays. */
export async function savePageTheme(tx: Queryable, workspaceId: string, theme: PageLook): Promise<number> {
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
  return row.version;
}

/** Puts a logo in the place of the one that the workspace had. */
export async function savePageLogo(
  tx: Queryable,
  workspaceId: string,
  logo: Omit<PageLogo, 'path'> & { png: Buffer },
): Promise<void> {
  const { sha256, alt, width, height, png } = logo;
  await tx.query(sql`
    INSERT INTO page_logos (workspace_id, sha256, alt, width, height, png)
    VALUES (${workspaceId}, ${sha256}, ${alt}, ${width}, ${height}, ${png})
    ON CONFLICT (workspace_id) DO UPDATE SET sha256 = excluded.sha256, alt = excluded.alt, width = excluded.width,
      height = excluded.height, png = excluded.png, updated_at = sally_now()`);
}

export async function removePageLogo(tx: Queryable, workspaceId: string): Promise<void> {
  await tx.query(sql`DELETE FROM page_logos WHERE workspace_id = ${workspaceId}`);
}

/** The picture itself; null when the workspace's logo is another one by now. */
export async function findLogoPicture(db: Queryable, workspaceId: string, sha256: string): Promise<Buffer | null> {
  const row = await one<{ png: Buffer }>(
    db,
    sql`SELECT png FROM page_logos WHERE workspace_id = ${workspaceId} AND sha256 = ${sha256}`,
  );
  return row?.png ?? null;
}
