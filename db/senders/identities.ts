import { many, one, type Queryable, type Statement, sql } from '../../platform/postgres';

/** A From address with its name, made by an operator. */
export interface IdentityRow {
  id: string;
  domain_id: string;
  email: string;
  display_name: string;
  reply_to: string | null;
  /** Of its domain: used where it has no name or Reply-To of its own. */
  default_from_name: string;
  default_reply_to: string | null;
  is_default: boolean;
  is_active: boolean;
  version: number;
  created_at: Date;
  updated_at: Date;
}

const SELECT_IDENTITY = sql`
  SELECT i.id, i.domain_id, i.email, i.display_name, i.reply_to, d.default_from_name, d.default_reply_to, i.is_default,
    i.is_active, i.version, i.created_at, i.updated_at
  FROM sending_identities i
  JOIN sending_domains d ON d.workspace_id = i.workspace_id AND d.id = i.domain_id`;

/** The identity with this id, or null. */
export function findIdentity(db: Queryable, workspaceId: string, id: string): Promise<IdentityRow | null> {
  return one<IdentityRow>(
    db,
    sql`${SELECT_IDENTITY} WHERE i.workspace_id = ${workspaceId} AND i.id = ${id} AND i.declared`,
  );
}

/** The workspace's default identity; where it has none, the oldest one of its default domain. Null: neither. */
export function findDefaultIdentity(db: Queryable, workspaceId: string): Promise<IdentityRow | null> {
  return one<IdentityRow>(
    db,
    sql`${SELECT_IDENTITY} WHERE i.workspace_id = ${workspaceId} AND i.declared AND i.is_active
          AND (i.is_default OR d.is_default) ORDER BY i.is_default DESC, i.id LIMIT 1`,
  );
}

/** Up to `limit` identities with ids after `after`, oldest first. */
export function listIdentities(
  db: Queryable,
  workspaceId: string,
  after: string | null,
  limit: number,
): Promise<IdentityRow[]> {
  const beyond: Statement = after === null ? sql`` : sql` AND i.id > ${after}`;
  return many<IdentityRow>(
    db,
    sql`${SELECT_IDENTITY} WHERE i.workspace_id = ${workspaceId} AND i.declared${beyond} ORDER BY i.id LIMIT ${limit}`,
  );
}

/** What can be written of an identity. */
export interface IdentityValues {
  displayName: string;
  replyTo: string | null;
  isDefault: boolean;
  isActive: boolean;
}

/** Makes an identity, also of an address that mail was sent from before. Null: it exists already. */
export async function insertIdentity(
  tx: Queryable,
  workspaceId: string,
  identity: { email: string; domainId: string; createdBy: string } & IdentityValues,
): Promise<string | null> {
  const row = await one<{ id: string }>(
    tx,
    sql`INSERT INTO sending_identities AS i (workspace_id, email, domain_id, display_name, reply_to, is_default, is_active,
          declared, created_by)
        VALUES (${workspaceId}, ${identity.email}, ${identity.domainId}, ${identity.displayName}, ${identity.replyTo},
          ${identity.isDefault}, ${identity.isActive}, true, ${identity.createdBy})
        ON CONFLICT (workspace_id, email) DO UPDATE SET domain_id = excluded.domain_id, display_name = excluded.display_name,
          reply_to = excluded.reply_to, is_default = excluded.is_default, is_active = excluded.is_active, declared = true,
          created_by = excluded.created_by, version = i.version + 1, updated_at = sally_now()
        WHERE NOT i.declared
        RETURNING id`,
  );
  return row?.id ?? null;
}

/** Writes an identity that was locked, and raises its version. */
export async function updateIdentity(
  tx: Queryable,
  workspaceId: string,
  id: string,
  values: IdentityValues,
): Promise<void> {
  await tx.query(sql`
    UPDATE sending_identities SET display_name = ${values.displayName}, reply_to = ${values.replyTo},
      is_default = ${values.isDefault}, is_active = ${values.isActive}, version = version + 1, updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${id}`);
}

/** Holds an identity's row until the transaction ends. */
export async function lockIdentity(tx: Queryable, workspaceId: string, id: string): Promise<void> {
  await tx.query(sql`SELECT 1 FROM sending_identities WHERE workspace_id = ${workspaceId} AND id = ${id} FOR UPDATE`);
}

/** Takes the default mark from whichever identity has it; its id, or null. */
export async function clearDefaultIdentity(tx: Queryable, workspaceId: string): Promise<string | null> {
  const row = await one<{ id: string }>(
    tx,
    sql`UPDATE sending_identities SET is_default = false, version = version + 1, updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND is_default RETURNING id`,
  );
  return row?.id ?? null;
}

/** Takes an identity out of every list; the row stays, since routes and ledger rows refer to it. */
export async function withdrawIdentity(tx: Queryable, workspaceId: string, id: string): Promise<void> {
  await tx.query(sql`
    UPDATE sending_identities SET declared = false, is_default = false, version = version + 1, updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${id}`);
}

/** What still needs an identity: pools, and campaigns that are not over. */
export async function usesOfIdentity(
  db: Queryable,
  workspaceId: string,
  id: string,
): Promise<{ pools: number; campaigns: number }> {
  const row = await one<{ pools: number; campaigns: number }>(
    db,
    sql`SELECT (SELECT count(DISTINCT pool_id) FROM sending_pool_members WHERE workspace_id = ${workspaceId} AND identity_id = ${id}) AS pools,
          (SELECT count(*) FROM campaigns c WHERE c.workspace_id = ${workspaceId} AND c.sending_identity_id = ${id}
             AND c.deleted_at IS NULL AND ${campaignIsOpen}) AS campaigns`,
  );
  return row ?? { pools: 0, campaigns: 0 };
}

/** Condition on campaign `c`: it has not been sent yet, or is being sent. */
export const campaignIsOpen = sql`(NOT EXISTS (SELECT 1 FROM campaign_runs r WHERE r.workspace_id = c.workspace_id AND r.campaign_id = c.id)
  OR EXISTS (SELECT 1 FROM campaign_runs r WHERE r.workspace_id = c.workspace_id AND r.campaign_id = c.id
    AND r.status IN ('SCHEDULED', 'SENDING', 'PAUSED')))`;
