import type { Role } from '../../domain/workspace';
import { changed, many, one, type Queryable, sql } from '../../platform/postgres';

export interface Login {
  userId: string;
  passwordHash: string;
  sessionEpoch: number;
}

/** What a sign-in is checked against; null when nobody (active) has this address. */
export async function findLogin(db: Queryable, email: string): Promise<Login | null> {
  const row = await one<{ id: string; password_hash: string; session_epoch: number }>(
    db,
    sql`SELECT id, password_hash, session_epoch FROM sally_find_login(${email})`,
  );
  return row && { userId: row.id, passwordHash: row.password_hash, sessionEpoch: row.session_epoch };
}

/** The person of a session, or null when it has ended. */
export function findSessionPerson(
  db: Queryable,
  userId: string,
  epoch: number,
): Promise<{ email: string; name: string } | null> {
  return one(db, sql`SELECT email, name FROM sally_find_session(${userId}, ${epoch})`);
}

/** Makes a person; null when the address is somebody's already. */
export async function createUser(
  db: Queryable,
  person: { email: string; name: string; passwordHash: string },
): Promise<string | null> {
  const row = await one<{ id: string | null }>(
    db,
    sql`SELECT sally_create_user(${person.email}, ${person.name}, ${person.passwordHash}) AS id`,
  );
  return row?.id ?? null;
}

/** Sets a password, ends all sessions, audits it in every workspace of the person. Returns the new session epoch. */
export async function setPassword(db: Queryable, userId: string, passwordHash: string): Promise<number> {
  const row = await one<{ epoch: number }>(db, sql`SELECT sally_set_password(${userId}, ${passwordHash}) AS epoch`);
  if (!row) throw new Error('no such user');
  return row.epoch;
}

export interface Member {
  userId: string;
  email: string;
  name: string;
  role: Role;
  createdAt: Date;
}

interface MemberRow {
  user_id: string;
  email: string;
  name: string;
  role: Role;
  created_at: Date;
}

const MEMBER = sql`SELECT m.user_id, u.email, u.name, m.role, m.created_at FROM memberships m JOIN users u ON u.id = m.user_id`;

function fromRow(row: MemberRow): Member {
  return { userId: row.user_id, email: row.email, name: row.name, role: row.role, createdAt: row.created_at };
}

/** Members by user id, after `after`. */
export async function listMembers(
  db: Queryable,
  workspaceId: string,
  page: { after: string | null; limit: number },
): Promise<Member[]> {
  const rows = await many<MemberRow>(
    db,
    sql`${MEMBER} WHERE m.workspace_id = ${workspaceId} AND (${page.after}::uuid IS NULL OR m.user_id > ${page.after})
        ORDER BY m.user_id LIMIT ${page.limit}`,
  );
  return rows.map(fromRow);
}

export async function findMember(db: Queryable, workspaceId: string, userId: string): Promise<Member | null> {
  const row = await one<MemberRow>(db, sql`${MEMBER} WHERE m.workspace_id = ${workspaceId} AND m.user_id = ${userId}`);
  return row && fromRow(row);
}

/** Whether somebody with this address is a member. */
export async function isMemberAddress(db: Queryable, workspaceId: string, email: string): Promise<boolean> {
  const row = await one(db, sql`${MEMBER} WHERE m.workspace_id = ${workspaceId} AND u.email = ${email}`);
  return row !== null;
}

/** Makes a membership; false when the person is a member already. */
export async function insertMember(
  tx: Queryable,
  member: { workspaceId: string; userId: string; role: Role },
): Promise<boolean> {
  const inserted = await changed(
    tx,
    sql`INSERT INTO memberships (workspace_id, user_id, role) VALUES (${member.workspaceId}, ${member.userId}, ${member.role})
        ON CONFLICT DO NOTHING`,
  );
  return inserted === 1;
}

/** Locks the owners' memberships, so that two owners cannot remove each other at once. Returns their user ids. */
export async function lockOwners(tx: Queryable, workspaceId: string): Promise<string[]> {
  const rows = await many<{ user_id: string }>(
    tx,
    sql`SELECT user_id FROM memberships WHERE workspace_id = ${workspaceId} AND role = 'owner'
        ORDER BY user_id FOR UPDATE`,
  );
  return rows.map((row) => row.user_id);
}

export async function changeRole(tx: Queryable, workspaceId: string, userId: string, role: Role): Promise<void> {
  await tx.query(
    sql`UPDATE memberships SET role = ${role} WHERE workspace_id = ${workspaceId} AND user_id = ${userId}`,
  );
}

/** Ends a membership; the member's keys go with it. Returns how many keys. */
export async function removeMember(tx: Queryable, workspaceId: string, userId: string): Promise<number> {
  const keys = await changed(tx, sql`DELETE FROM api_keys WHERE workspace_id = ${workspaceId} AND user_id = ${userId}`);
  await tx.query(sql`DELETE FROM memberships WHERE workspace_id = ${workspaceId} AND user_id = ${userId}`);
  return keys;
}
