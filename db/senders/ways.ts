import { type DomainState, ipCredentials, type RoutingStrategy, type WayOut, type WaysOut } from '../../domain/senders';
import type { Keyring } from '../../platform/crypto';
import { many, one, type Queryable, sql } from '../../platform/postgres';
import { raiseCredentialsAlert, resolveCredentialsAlert } from './alerts';
import { openCredentials } from './load';

/** Pools, IPs and domains of a workspace; one look, empty for workspaces that have none. */
export async function loadWaysOut(db: Queryable, workspaceId: string): Promise<WaysOut> {
  const some = await one<{ pools: boolean; domains: boolean }>(
    db,
    sql`SELECT EXISTS (SELECT 1 FROM sending_pools WHERE workspace_id = ${workspaceId} AND deleted_at IS NULL) AS pools,
          EXISTS (SELECT 1 FROM sending_domains WHERE workspace_id = ${workspaceId}) AS domains`,
  );
  const ways: WaysOut = { pools: new Map(), defaultPoolId: null, domains: new Map() };
  if (some?.pools) await addPools(db, workspaceId, ways);
  if (some?.domains) await addDomains(db, workspaceId, ways);
  return ways;
}

/**
 * Opens the log-ins that dedicated IPs have of their own. One that cannot be opened takes nothing, with an alert that is
 * resolved when it can be again; the provider's other ways go on.
 */
export async function openIpCredentials(
  db: Queryable,
  workspaceId: string,
  keyring: Keyring,
  ways: WaysOut,
): Promise<void> {
  const members = [...ways.pools.values()].flatMap((pool) => pool.members).filter(({ ip }) => ip?.sealed != null);
  if (members.length === 0) return;
  const reported = await reportedIps(db, workspaceId);
  for (const { ip, providerId } of members) {
    if (!ip?.sealed) continue;
    const cause = `${providerId}/${ip.id}`;
    const opened = ipCredentials.safeParse(openCredentials(keyring, Buffer.from(ip.sealed, 'base64')));
    if (opened.success) {
      ip.credentials = opened.data;
      if (reported.delete(cause)) await resolveCredentialsAlert(db, workspaceId, cause);
      continue;
    }
    ip.isPaused = true;
    if (!reported.has(cause)) await raiseCredentialsAlert(db, workspaceId, cause);
    reported.add(cause);
  }
}

async function reportedIps(db: Queryable, workspaceId: string): Promise<Set<string>> {
  const rows = await many<{ cause: string }>(
    db,
    sql`SELECT cause FROM alerts WHERE workspace_id = ${workspaceId} AND kind = 'provider-credentials'
        AND resolved_at IS NULL AND cause LIKE '%/%'`,
  );
  return new Set(rows.map(({ cause }) => cause));
}

async function addPools(db: Queryable, workspaceId: string, ways: WaysOut): Promise<void> {
  const rows = await many<{ id: string; strategy: RoutingStrategy; is_default: boolean; members: WayOut[] }>(
    db,
    sql`SELECT p.id, p.strategy, p.is_default, coalesce(
          (SELECT jsonb_agg(jsonb_build_object('id', m.id, 'providerId', m.provider_id, 'weight', m.weight,
              'priority', m.priority, 'mxGroups', m.mx_groups,
              'identity', CASE WHEN i.id IS NOT NULL THEN jsonb_build_object('email', i.email, 'isActive', i.is_active) END,
              'ip', CASE WHEN a.id IS NOT NULL THEN jsonb_build_object('id', a.id, 'version', a.version, 'egress', a.egress,
                'sealed', encode(a.credentials, 'base64'),
                'isPaused', a.status = 'PAUSED', 'dailyLimit', a.daily_limit, 'health', a.health_score) END) ORDER BY m.id)
            FROM sending_pool_members m
            LEFT JOIN sending_identities i ON i.workspace_id = m.workspace_id AND i.id = m.identity_id
            LEFT JOIN dedicated_ips a ON a.workspace_id = m.workspace_id AND a.id = m.ip_id
            WHERE m.workspace_id = p.workspace_id AND m.pool_id = p.id), '[]') AS members
        FROM sending_pools p WHERE p.workspace_id = ${workspaceId} AND p.deleted_at IS NULL`,
  );
  for (const { id, strategy, is_default, members } of rows) {
    ways.pools.set(id, { strategy, members });
    if (is_default) ways.defaultPoolId = id;
  }
}

async function addDomains(db: Queryable, workspaceId: string, ways: WaysOut): Promise<void> {
  const rows = await many<DomainState & { host: string }>(
    db,
    sql`SELECT d.id, d.host, d.status = 'PAUSED' AS "isPaused", d.daily_limit AS "dailyLimit",
          d.health_score::float8 AS health,
          coalesce((SELECT jsonb_object_agg(s.mx_group, s.score) FROM isp_metrics s
            WHERE s.workspace_id = d.workspace_id AND s.domain_id = d.id), '{}') AS "byGroup",
          coalesce((SELECT jsonb_agg(jsonb_build_object('providerId', p.provider_id, 'dkim', p.dkim, 'spf', p.spf))
            FROM sending_domain_providers p WHERE p.workspace_id = d.workspace_id AND p.domain_id = d.id), '[]') AS providers
        FROM sending_domains d WHERE d.workspace_id = ${workspaceId}`,
  );
  for (const row of rows) ways.domains.set(row.host, row);
}
