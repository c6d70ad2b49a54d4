import { type Queryable, sql } from '../../platform/postgres';

/** Tells the operators that a provider's credentials cannot be opened; one alert per provider while it lasts. */
export async function raiseCredentialsAlert(db: Queryable, workspaceId: string, providerId: string): Promise<void> {
  await db.query(sql`
    SELECT sally_raise_alert(${workspaceId}, 'provider-credentials', ${providerId}, 'critical',
      'The credentials of a provider cannot be opened with the keys in SALLY_SECRETS: nothing is sent with it.',
      ${JSON.stringify({ provider_id: providerId })})`);
}

export async function resolveCredentialsAlert(db: Queryable, workspaceId: string, providerId: string): Promise<void> {
  await resolveAlert(db, workspaceId, 'provider-credentials', providerId);
}

/** Of the provider's own breaker, and of those that its senders have. */
export async function resolveBreakerAlert(db: Queryable, workspaceId: string, providerId: string): Promise<void> {
  await resolveAlert(db, workspaceId, 'breaker-open', providerId);
}

async function resolveAlert(db: Queryable, workspaceId: string, kind: string, cause: string): Promise<void> {
  await db.query(sql`
    UPDATE alerts SET resolved_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND kind = ${kind} AND resolved_at IS NULL
      AND (cause = ${cause}::text OR cause LIKE ${cause}::text || '/%')`);
}
