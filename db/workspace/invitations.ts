import type { Role } from '../../domain/workspace';
import { changed, many, one, type Queryable, sql } from '../../platform/postgres';

export type InvitationStatus = 'OPEN' | 'ACCEPTED' | 'REVOKED' | 'EXPIRED';

export interface Invitation {
  id: string;
  email: string;
  role: Role;
  status: InvitationStatus;
  invitedBy: string;
  expiresAt: Date;
  createdAt: Date;
}

interface InvitationRow {
  id: string;
  email: string;
  role: Role;
  status: InvitationStatus;
  invited_by: string;
  expires_at: Date;
  created_at: Date;
}

const COLUMNS = sql`id, email, role, invited_by, expires_at, created_at,
  CASE WHEN accepted_at IS NOT NULL THEN 'ACCEPTED' WHEN revoked_at IS NOT NULL THEN 'REVOKED'
       WHEN expires_at <= sally_now() THEN 'EXPIRED' ELSE 'OPEN' END AS status`;

function fromRow(row: InvitationRow): Invitation {
  return {
    id: row.id,
    email: row.email,
    role: row.role,
    status: row.status,
    invitedBy: row.invited_by,
    expiresAt: row.expires_at,
    createdAt: row.created_at,
  };
}

/** Makes an invitation that lasts `days` days; older open ones for the same address end with it. */
export async function insertInvitation(
  tx: Queryable,
  invitation: { workspaceId: string; email: string; role: Role; tokenHash: Buffer; invitedBy: string; days: number },
): Promise<Invitation> {
  const { workspaceId, email, role, tokenHash, invitedBy, days } = invitation;
  await tx.query(sql`
    UPDATE invitations SET revoked_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND email = ${email} AND accepted_at IS NULL AND revoked_at IS NULL`);
  const row = await one<InvitationRow>(
    tx,
    sql`INSERT INTO invitations (workspace_id, email, role, token_hash, invited_by, expires_at)
        VALUES (${workspaceId}, ${email}, ${role}, ${tokenHash}, ${invitedBy}, sally_now() + make_interval(days => ${days}))
        RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('no invitation was made');
  return fromRow(row);
}

/** Newest first, older than `before`. */
export async function listInvitations(
  db: Queryable,
  workspaceId: string,
  page: { before: string | null; limit: number },
): Promise<Invitation[]> {
  const rows = await many<InvitationRow>(
    db,
    sql`SELECT ${COLUMNS} FROM invitations
        WHERE workspace_id = ${workspaceId} AND (${page.before}::uuid IS NULL OR id < ${page.before})
        ORDER BY id DESC LIMIT ${page.limit}`,
  );
  return rows.map(fromRow);
}

export async function findInvitation(db: Queryable, workspaceId: string, id: string): Promise<Invitation | null> {
  const row = await one<InvitationRow>(
    db,
    sql`SELECT ${COLUMNS} FROM invitations WHERE workspace_id = ${workspaceId} AND id = ${id}`,
  );
  return row && fromRow(row);
}

/** Revokes an invitation that was neither accepted nor revoked; false when there was none such. */
export async function revokeInvitation(tx: Queryable, workspaceId: string, id: string): Promise<boolean> {
  const revoked = await changed(
    tx,
    sql`UPDATE invitations SET revoked_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${id} AND accepted_at IS NULL AND revoked_at IS NULL`,
  );
  return revoked === 1;
}

export interface InvitationByToken {
  workspaceId: string;
  workspaceName: string;
  id: string;
  email: string;
  role: Role;
}

/** The open invitation of a token's hash, before the workspace is known; or null. */
export async function findInvitationByToken(db: Queryable, tokenHash: Buffer): Promise<InvitationByToken | null> {
  const row = await one<{ workspace_id: string; id: string; email: string; role: Role; workspace_name: string }>(
    db,
    sql`SELECT workspace_id, id, email, role, workspace_name FROM sally_find_invitation(${tokenHash})`,
  );
  return (
    row && {
      workspaceId: row.workspace_id,
      workspaceName: row.workspace_name,
      id: row.id,
      email: row.email,
      role: row.role,
    }
  );
}

/** The open invitation of a mailed link, in its workspace's transaction; or null. */
export async function findOpenInvitation(
  tx: Queryable,
  workspaceId: string,
  id: string,
): Promise<InvitationByToken | null> {
  const row = await one<{ email: string; role: Role; workspace_name: string }>(
    tx,
    sql`SELECT i.email, i.role, w.name AS workspace_name FROM invitations i JOIN workspaces w ON w.id = i.workspace_id
        WHERE i.workspace_id = ${workspaceId} AND i.id = ${id} AND i.accepted_at IS NULL AND i.revoked_at IS NULL
          AND i.expires_at > sally_now()`,
  );
  return row && { workspaceId, workspaceName: row.workspace_name, id, email: row.email, role: row.role };
}

/** Takes an open invitation; false when somebody was faster or it has ended. */
export async function takeInvitation(tx: Queryable, workspaceId: string, id: string): Promise<boolean> {
  const taken = await changed(
    tx,
    sql`UPDATE invitations SET accepted_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${id} AND accepted_at IS NULL AND revoked_at IS NULL
          AND expires_at > sally_now()`,
  );
  return taken === 1;
}
