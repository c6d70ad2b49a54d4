import type { RoutingStrategy } from '../../domain/senders';
import { many, one, type Queryable, type Statement, sql } from '../../platform/postgres';
import { campaignIsOpen } from './identities';

/** One way out of a pool. */
export interface PoolMember {
  id: string;
  provider_id: string;
  /** null = the From address of the message. */
  identity_id: string | null;
  dedicated_ip_id: string | null;
  weight: number;
  priority: number;
  mx_groups: string[];
}

/** A sending pool with its members. */
export interface PoolRow {
  id: string;
  name: string;
  description: string;
  strategy: RoutingStrategy;
  is_default: boolean;
  members: PoolMember[];
  version: number;
  created_at: Date;
  updated_at: Date;
}

const SELECT_POOL = sql`
  SELECT p.id, p.name, p.description, p.strategy, p.is_default, p.version, p.created_at, p.updated_at,
    coalesce((SELECT jsonb_agg(jsonb_build_object('id', m.id, 'provider_id', m.provider_id, 'identity_id', m.identity_id,
        'dedicated_ip_id', m.ip_id, 'weight', m.weight, 'priority', m.priority, 'mx_groups', m.mx_groups) ORDER BY m.id)
      FROM sending_pool_members m WHERE m.workspace_id = p.workspace_id AND m.pool_id = p.id), '[]') AS members
  FROM sending_pools p`;

/** The pool with this id, or null. */
export function findPool(db: Queryable, workspaceId: string, id: string): Promise<PoolRow | null> {
  return one<PoolRow>(
    db,
    sql`${SELECT_POOL} WHERE p.workspace_id = ${workspaceId} AND p.id = ${id} AND p.deleted_at IS NULL`,
  );
}

/** The workspace's default pool, or null. */
export function findDefaultPool(db: Queryable, workspaceId: string): Promise<PoolRow | null> {
  return one<PoolRow>(db, sql`${SELECT_POOL} WHERE p.workspace_id = ${workspaceId} AND p.is_default`);
}

/** Holds a pool's row until the transaction ends. */
export async function lockPool(tx: Queryable, workspaceId: string, id: string): Promise<void> {
  await tx.query(sql`SELECT 1 FROM sending_pools WHERE workspace_id = ${workspaceId} AND id = ${id} FOR UPDATE`);
}

/** Up to `limit` pools with ids after `after`, oldest first. */
export function listPools(db: Queryable, workspaceId: string, after: string | null, limit: number): Promise<PoolRow[]> {
  const beyond: Statement = after === null ? sql`` : sql` AND p.id > ${after}`;
  return many<PoolRow>(
    db,
    sql`${SELECT_POOL} WHERE p.workspace_id = ${workspaceId} AND p.deleted_at IS NULL${beyond} ORDER BY p.id LIMIT ${limit}`,
  );
}

export type PoolValues = Pick<PoolRow, 'name' | 'description' | 'strategy' | 'is_default'>;

/** Inserts a pool without members. A name in use violates `sending_pools_name`. */
export async function insertPool(
  tx: Queryable,
  workspaceId: string,
  values: PoolValues,
  createdBy: string,
): Promise<string> {
  const row = await one<{ id: string }>(
    tx,
    sql`INSERT INTO sending_pools (workspace_id, name, description, strategy, is_default, created_by)
        VALUES (${workspaceId}, ${values.name}, ${values.description}, ${values.strategy}, ${values.is_default}, ${createdBy})
        RETURNING id`,
  );
  if (!row) throw new Error('a sending pool could not be made');
  return row.id;
}

/** Writes a locked pool and raises its version. */
export async function updatePool(tx: Queryable, workspaceId: string, id: string, values: PoolValues): Promise<void> {
  await tx.query(sql`
    UPDATE sending_pools SET name = ${values.name}, description = ${values.description}, strategy = ${values.strategy},
      is_default = ${values.is_default}, version = version + 1, updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${id}`);
}

/** Makes these the members of a pool; one that stays keeps its id, and with it its share of the messages. */
export async function replaceMembers(
  tx: Queryable,
  workspaceId: string,
  poolId: string,
  members: readonly Omit<PoolMember, 'id'>[],
): Promise<void> {
  await tx.query(sql`
    DELETE FROM sending_pool_members m WHERE m.workspace_id = ${workspaceId} AND m.pool_id = ${poolId}
      AND NOT EXISTS (SELECT 1 FROM jsonb_to_recordset(${JSON.stringify(members)}::jsonb)
        AS w (provider_id uuid, identity_id uuid, dedicated_ip_id uuid)
        WHERE w.provider_id = m.provider_id AND w.identity_id IS NOT DISTINCT FROM m.identity_id
          AND w.dedicated_ip_id IS NOT DISTINCT FROM m.ip_id)`);
  await tx.query(sql`
    INSERT INTO sending_pool_members (workspace_id, pool_id, provider_id, identity_id, ip_id, weight, priority, mx_groups)
    SELECT ${workspaceId}, ${poolId}, w.provider_id, w.identity_id, w.dedicated_ip_id, w.weight, w.priority, w.mx_groups
    FROM jsonb_to_recordset(${JSON.stringify(members)}::jsonb)
      AS w (provider_id uuid, identity_id uuid, dedicated_ip_id uuid, weight integer, priority integer, mx_groups text[])
    ON CONFLICT (workspace_id, pool_id, provider_id, identity_id, ip_id)
    DO UPDATE SET weight = excluded.weight, priority = excluded.priority, mx_groups = excluded.mx_groups`);
}

/** Takes the default mark from whichever pool has it; its id, or null. */
export async function clearDefaultPool(tx: Queryable, workspaceId: string): Promise<string | null> {
  const row = await one<{ id: string }>(
    tx,
    sql`UPDATE sending_pools SET is_default = false, version = version + 1, updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND is_default RETURNING id`,
  );
  return row?.id ?? null;
}

/** Campaigns that name a pool, or are being sent through it, and are not over. */
export async function campaignsOfPool(db: Queryable, workspaceId: string, id: string): Promise<number> {
  const row = await one<{ campaigns: number }>(
    db,
    sql`SELECT count(*) AS campaigns FROM campaigns c
        LEFT JOIN messages m ON m.workspace_id = c.workspace_id AND m.id = c.message_id
        WHERE c.workspace_id = ${workspaceId} AND c.deleted_at IS NULL
          AND (c.sending_pool_id = ${id} OR m.routing ->> 'pool_id' = ${id}::text) AND ${campaignIsOpen}`,
  );
  return row?.campaigns ?? 0;
}

/** Takes a pool out of every list, with its members. */
export async function deletePool(tx: Queryable, workspaceId: string, id: string): Promise<void> {
  await tx.query(sql`DELETE FROM sending_pool_members WHERE workspace_id = ${workspaceId} AND pool_id = ${id}`);
  await tx.query(sql`
    UPDATE sending_pools SET deleted_at = sally_now(), is_default = false, version = version + 1, updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${id}`);
}
