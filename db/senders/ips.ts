import type { Egress, WarmingState } from '../../domain/senders';
import { changed, many, one, type Queryable, type Statement, sql } from '../../platform/postgres';
import { usedToday } from './used-today';

export type IpStatus = 'PAUSED' | 'WARMING' | 'ACTIVE';

/** A dedicated IP as an operator sees it. */
export interface IpRow extends WarmingState {
  id: string;
  provider_id: string;
  ip_address: string;
  hostname: string | null;
  egress: Egress;
  /** Whether it has a log-in of its own, which stays sealed. */
  has_credentials: boolean;
  status: IpStatus;
  daily_limit: number | null;
  /** Units taken on the workspace's current local day. */
  daily_sent: number;
  /** When that day ends. */
  daily_reset_at: Date;
  blacklist_status: { list: string; listed: boolean; checked_at: string }[];
  health_score: number | null;
  version: number;
  created_at: Date;
  updated_at: Date;
}

const SELECT_IP = sql`
  SELECT a.id, a.provider_id, host(a.ip_address) AS ip_address, a.hostname, a.egress,
    a.credentials IS NOT NULL AS has_credentials, a.status, a.daily_limit, u.daily_sent, u.daily_reset_at,
    a.warming_status, a.warming_schedule_id, a.warming_started_at, a.warming_day, a.blacklist_status,
    a.health_score::float8 AS health_score, a.version, a.created_at, a.updated_at
  FROM dedicated_ips a
  CROSS JOIN LATERAL (${usedToday('ip-day', sql`a.workspace_id`, sql`a.id`)}) AS u`;

/** The dedicated IP with this id, or null. */
export function findIp(db: Queryable, workspaceId: string, id: string): Promise<IpRow | null> {
  return one<IpRow>(db, sql`${SELECT_IP} WHERE a.workspace_id = ${workspaceId} AND a.id = ${id}`);
}

/** Holds a dedicated IP's row until the transaction ends. */
export async function lockIp(tx: Queryable, workspaceId: string, id: string): Promise<void> {
  await tx.query(sql`SELECT 1 FROM dedicated_ips WHERE workspace_id = ${workspaceId} AND id = ${id} FOR UPDATE`);
}

/** Up to `limit` dedicated IPs with ids after `after`, oldest first. */
export function listIps(db: Queryable, workspaceId: string, after: string | null, limit: number): Promise<IpRow[]> {
  const beyond: Statement = after === null ? sql`` : sql` AND a.id > ${after}`;
  return many<IpRow>(db, sql`${SELECT_IP} WHERE a.workspace_id = ${workspaceId}${beyond} ORDER BY a.id LIMIT ${limit}`);
}

/** What can be written of a dedicated IP. */
export interface IpValues {
  hostname: string | null;
  egress: Egress;
  /** Sealed; null removes, undefined keeps. */
  credentials?: Buffer | null;
  status: IpStatus;
  dailyLimit: number | null;
}

/** Inserts a dedicated IP of a provider. One that exists violates `dedicated_ips_address`. */
export async function insertIp(
  tx: Queryable,
  workspaceId: string,
  ip: { providerId: string; ipAddress: string; createdBy: string } & IpValues,
): Promise<string> {
  const row = await one<{ id: string }>(
    tx,
    sql`INSERT INTO dedicated_ips (workspace_id, provider_id, ip_address, hostname, egress, credentials, status, daily_limit,
          created_by)
        VALUES (${workspaceId}, ${ip.providerId}, ${ip.ipAddress}, ${ip.hostname}, ${JSON.stringify(ip.egress)},
          ${ip.credentials ?? null}, ${ip.status}, ${ip.dailyLimit}, ${ip.createdBy})
        RETURNING id`,
  );
  if (!row) throw new Error('a dedicated IP could not be made');
  return row.id;
}

/** Writes a locked dedicated IP and raises its version. */
export async function updateIp(tx: Queryable, workspaceId: string, id: string, values: IpValues): Promise<void> {
  const credentials: Statement = values.credentials === undefined ? sql`` : sql`credentials = ${values.credentials}, `;
  await tx.query(sql`
    UPDATE dedicated_ips SET ${credentials}hostname = ${values.hostname}, egress = ${JSON.stringify(values.egress)},
      status = ${values.status}, daily_limit = ${values.dailyLimit}, version = version + 1, updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${id}`);
}

/** Removes a dedicated IP with its breaker. One in a pool violates `sending_pool_members_ip`. */
export async function deleteIp(tx: Queryable, workspaceId: string, id: string): Promise<boolean> {
  await tx.query(sql`DELETE FROM breakers WHERE workspace_id = ${workspaceId} AND ip_id = ${id}`);
  return (await changed(tx, sql`DELETE FROM dedicated_ips WHERE workspace_id = ${workspaceId} AND id = ${id}`)) === 1;
}
