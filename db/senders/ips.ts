import type { Egress } from '../../domain/senders';
import { changed, many, one, type Queryable, type Statement, sql } from '../../platform/postgres';

export type IpStatus = 'PAUSED' | 'WARMING' | 'ACTIVE';

/** A dedicated IP as an operator sees it. */
export interface IpRow {
  id: string;
  provider_id: string;
  ip_address: string;
  hostname: string | null;
  egress: Egress;
  /** Whether it has a log-in of its own, which stays sealed. */
  has_credentials: boolean;
  status: IpStatus;
  daily_limit: number | null;
  health_score: number | null;
  version: number;
  created_at: Date;
  updated_at: Date;
}

const COLUMNS = sql`id, provider_id, host(ip_address) AS ip_address, hostname, egress,
  credentials IS NOT NULL AS has_credentials, status, daily_limit,
  health_score::float8 AS health_score, version, created_at, updated_at`;

/** The dedicated IP with this id, or null. */
export function findIp(db: Queryable, workspaceId: string, id: string): Promise<IpRow | null> {
  return one<IpRow>(db, sql`SELECT ${COLUMNS} FROM dedicated_ips WHERE workspace_id = ${workspaceId} AND id = ${id}`);
}

/** Holds a dedicated IP's row until the transaction ends. */
export async function lockIp(tx: Queryable, workspaceId: string, id: string): Promise<void> {
  await tx.query(sql`SELECT 1 FROM dedicated_ips WHERE workspace_id = ${workspaceId} AND id = ${id} FOR UPDATE`);
}

/** Up to `limit` dedicated IPs with ids after `after`, oldest first. */
export function listIps(db: Queryable, workspaceId: string, after: string | null, limit: number): Promise<IpRow[]> {
  const beyond: Statement = after === null ? sql`` : sql` AND id > ${after}`;
  return many<IpRow>(
    db,
    sql`SELECT ${COLUMNS} FROM dedicated_ips WHERE workspace_id = ${workspaceId}${beyond} ORDER BY id LIMIT ${limit}`,
  );
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

/** Removes a dedicated IP. One in a pool violates `sending_pool_members_ip`. */
export async function deleteIp(tx: Queryable, workspaceId: string, id: string): Promise<boolean> {
  return (await changed(tx, sql`DELETE FROM dedicated_ips WHERE workspace_id = ${workspaceId} AND id = ${id}`)) === 1;
}
