import { many, type Queryable, sql } from '../../platform/postgres';

/** Somebody who may get test mail. */
export interface TestRecipient {
  email: string;
  name: string | null;
}

/** Members of the workspace and the addresses it lists for tests; no one else gets unapproved content. */
export function listTestRecipients(db: Queryable, workspaceId: string): Promise<TestRecipient[]> {
  return many<TestRecipient>(
    db,
    sql`SELECT lower(u.email) AS email, u.name FROM memberships m JOIN users u ON u.id = m.user_id
        WHERE m.workspace_id = ${workspaceId} AND u.disabled_at IS NULL
        UNION ALL
        SELECT lower(listed.email), NULL FROM workspaces w, unnest(w.test_recipients) AS listed (email)
        WHERE w.id = ${workspaceId}`,
  );
}
