import { one, type Queryable, sql } from '../../platform/postgres';

/**
 * Tells the operators that credentials cannot be opened; one alert per cause while it lasts: a provider's id, or
 * `{provider}/{dedicated IP}` for those that an IP has of its own.
 */
export async function raiseCredentialsAlert(db: Queryable, workspaceId: string, cause: string): Promise<void> {
  const [provider_id, dedicated_ip_id] = cause.split('/');
  const whose = dedicated_ip_id === undefined ? 'a provider' : 'a dedicated IP';
  await db.query(sql`
    SELECT sally_raise_alert(${workspaceId}, 'provider-credentials', ${cause}, 'critical',
      ${`The credentials of ${whose} cannot be opened with the keys in SALLY_SECRETS: nothing is sent with it.`},
      ${JSON.stringify({ provider_id, dedicated_ip_id })})`);
}

/** The cause as in {@link raiseCredentialsAlert}; a provider's takes those of its IPs with it. */
export async function resolveCredentialsAlert(db: Queryable, workspaceId: string, cause: string): Promise<void> {
  await resolveAlert(db, workspaceId, 'provider-credentials', cause);
}

const UNALIGNED = 'sender-unaligned';

/**
 * Mail of a stream waits, since no active provider that it may take authenticates its From domain. One alert per cause,
 * by stream, From domain and, for mailboxes, provider.
 */
export async function raiseUnalignedAlert(
  db: Queryable,
  workspaceId: string,
  cause: string,
  details: { stream_id: string; from_domain: string },
): Promise<void> {
  await db.query(sql`
    SELECT sally_raise_alert(${workspaceId}, ${UNALIGNED}, ${cause}, 'critical',
      'Mail waits, since none of the active providers it may take is authenticated for its From domain.',
      ${JSON.stringify(details)})`);
}

export async function resolveUnalignedAlert(db: Queryable, workspaceId: string, cause: string): Promise<void> {
  await db.query(sql`
    UPDATE alerts SET resolved_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND kind = ${UNALIGNED} AND resolved_at IS NULL AND cause = ${cause}`);
}

/** The workspace's zone, and the causes of its open alerts about mail without an aligned provider. */
export async function zoneAndUnaligned(
  db: Queryable,
  workspaceId: string,
): Promise<{ zone: string; unaligned: string[] }> {
  const row = await one<{ zone: string; unaligned: string[] }>(
    db,
    sql`SELECT w.time_zone AS zone, ARRAY(SELECT a.cause FROM alerts a WHERE a.workspace_id = w.id
          AND a.kind = ${UNALIGNED} AND a.resolved_at IS NULL) AS unaligned
        FROM workspaces w WHERE w.id = ${workspaceId}`,
  );
  return row ?? { zone: 'UTC', unaligned: [] };
}

/** The cause is a provider, with all of its senders and IPs, or `{provider}/{dedicated IP}`. */
export async function resolveBreakerAlert(db: Queryable, workspaceId: string, cause: string): Promise<void> {
  await resolveAlert(db, workspaceId, 'breaker-open', cause);
}

async function resolveAlert(db: Queryable, workspaceId: string, kind: string, cause: string): Promise<void> {
  await db.query(sql`
    UPDATE alerts SET resolved_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND kind = ${kind} AND resolved_at IS NULL
      AND (cause = ${cause}::text OR cause LIKE ${cause}::text || '/%')`);
}
