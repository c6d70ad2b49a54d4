import { type Queryable, sql } from '../../platform/postgres';

export interface AuditRecord {
  workspaceId: string;
  actor: { type: 'user' | 'api_key' | 'public' | 'system'; userId?: string | null; apiKeyId?: string | null };
  /** "campaign.pause": entity and verb. */
  action: string;
  entityType: string;
  entityId: string | null;
  old?: unknown;
  new?: unknown;
  requestId?: string | null;
}

function json(value: unknown): string | null {
  return value === undefined || value === null ? null : JSON.stringify(value);
}

/** Appends an audit row; always on the transaction of the change it records. */
export async function writeAudit(tx: Queryable, record: AuditRecord): Promise<void> {
  await tx.query(sql`
    INSERT INTO audit_log (workspace_id, actor_type, actor_id, api_key_id, action, entity_type, entity_id, old_values, new_values, request_id)
    VALUES (${record.workspaceId}, ${record.actor.type}, ${record.actor.userId ?? null}, ${record.actor.apiKeyId ?? null},
      ${record.action}, ${record.entityType}, ${record.entityId}, ${json(record.old)}, ${json(record.new)}, ${record.requestId ?? null})`);
}
