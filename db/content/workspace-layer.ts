import { one, type Queryable, sql } from '../../platform/postgres';

/** What messages take from their workspace. */
export interface WorkspaceForContent {
  id: string;
  name: string;
  from_name: string;
  from_email: string | null;
  message_domain: string;
  postal_address: string;
  template_context: Record<string, unknown>;
  approval_mode: 'FOUR_EYES' | 'SELF' | 'OFF';
  time_zone: string;
  test_recipients: string[];
  transactional_purpose_id: string | null;
  /** Names of the custom fields, which templates may use without declaring them. */
  field_names: string[];
}

export async function findWorkspaceForContent(db: Queryable, workspaceId: string): Promise<WorkspaceForContent> {
  const workspace = await one<WorkspaceForContent>(
    db,
    sql`SELECT w.id, w.name, w.from_name, w.from_email, w.message_domain, w.postal_address, w.template_context,
          w.approval_mode, w.time_zone, w.test_recipients,
          (SELECT p.id FROM purposes p WHERE p.workspace_id = w.id AND p.kind = 'transactional' AND p.archived_at IS NULL
           ORDER BY p.id LIMIT 1) AS transactional_purpose_id,
          ARRAY(SELECT f.name FROM contact_field_definitions f WHERE f.workspace_id = w.id AND f.archived_at IS NULL
           ORDER BY f.name) AS field_names
        FROM workspaces w WHERE w.id = ${workspaceId}`,
  );
  if (!workspace) throw new Error('the workspace does not exist');
  return workspace;
}

/** The lowest layer of every message's context. */
export function workspaceLayer(workspace: WorkspaceForContent): Record<string, unknown> {
  return {
    ...workspace.template_context,
    workspace_name: workspace.name,
    workspace_address: workspace.postal_address,
  };
}
