import { many, type Queryable, sql } from '../../platform/postgres';

export interface AuditEntry {
  id: string;
  at: Date;
  actorType: 'user' | 'api_key' | 'public' | 'system';
  actorId: string | null;
  apiKeyId: string | null;
  action: string;
  entityType: string;
  entityId: string | null;
  oldValues: unknown;
  newValues: unknown;
  requestId: string | null;
}

interface AuditRow {
  id: string;
  at: Date;
  actor_type: AuditEntry['actorType'];
  actor_id: string | null;
  api_key_id: string | null;
  action: string;
  entity_type: string;
  entity_id: string | null;
  old_values: unknown;
  new_values: unknown;
  request_id: string | null;
}

export interface AuditFilter {
  entityType: string | null;
  entityId: string | null;
  /** A user or an API key. */
  actor: string | null;
  action: string | null;
  from: string | null;
  /** Exclusive. */
  to: string | null;
}

/** Newest first, older than `before`. */
export async function listAudit(
  db: Queryable,
  workspaceId: string,
  filter: AuditFilter,
  page: { before: string | null; limit: number },
): Promise<AuditEntry[]> {
  const rows = await many<AuditRow>(
    db,
    sql`SELECT id, at, actor_type, actor_id, api_key_id, action, entity_type, entity_id, old_values, new_values, request_id
        FROM audit_log
        WHERE workspace_id = ${workspaceId}
          AND (${filter.entityType}::text IS NULL OR entity_type = ${filter.entityType})
          AND (${filter.entityId}::uuid IS NULL OR entity_id = ${filter.entityId})
          AND (${filter.actor}::uuid IS NULL OR actor_id = ${filter.actor} OR api_key_id = ${filter.actor})
          AND (${filter.action}::text IS NULL OR action = ${filter.action})
          AND (${filter.from}::timestamptz IS NULL OR at >= ${filter.from})
          AND (${filter.to}::timestamptz IS NULL OR at < ${filter.to})
          AND (${page.before}::uuid IS NULL OR id < ${page.before})
        ORDER BY id DESC LIMIT ${page.limit}`,
  );
  return rows.map((row) => ({
    id: row.id,
    at: row.at,
    actorType: row.actor_type,
    actorId: row.actor_id,
    apiKeyId: row.api_key_id,
    action: row.action,
    entityType: row.entity_type,
    entityId: row.entity_id,
    oldValues: row.old_values,
    newValues: row.new_values,
    requestId: row.request_id,
  }));
}
