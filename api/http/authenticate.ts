import type { Request } from 'express';
import { findSessionPerson } from '../../db/workspace';
import type { Role } from '../../domain/workspace/permissions';
import { sha256 } from '../../platform/crypto';
import { one, sql } from '../../platform/postgres';
import type { ApiDependencies } from '../dependencies';
import { notFound, Problem } from './problem';
import type { Actor } from './route';
import { verifySession } from './session-token';

/** Every API key starts so; secret scanners can find it. */
export const API_KEY_PREFIX = 'sally_';

function bearer(request: Request): string {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ');
  if (scheme?.toLowerCase() !== 'bearer' || !token) {
    throw new Problem(
      'unauthenticated',
      'Send "Authorization: Bearer …" with an API key or a session token (POST /auth/sessions).',
      {
        headers: { 'WWW-Authenticate': 'Bearer' },
      },
    );
  }
  return token;
}

function refused(): Problem {
  return new Problem('unauthenticated', 'The API key or session token is not valid, has expired or was revoked.', {
    headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' },
  });
}

/**
 * Who asks, and as what in `workspaceId`. A member of no such workspace, or a key of another one, gets the same 404
 * as for a workspace that does not exist.
 */
export async function authenticateForWorkspace(
  deps: ApiDependencies,
  request: Request,
  workspaceId: string,
): Promise<Actor> {
  const token = bearer(request);
  if (token.startsWith(API_KEY_PREFIX)) {
    const key = await one<{
      workspace_id: string;
      id: string;
      user_id: string;
      scopes: string[];
      role: Role;
      touch: boolean;
    }>(deps.db, sql`SELECT * FROM sally_find_api_key(${sha256(token)})`);
    if (!key) throw refused();
    if (key.workspace_id !== workspaceId) throw notFound('workspace');
    if (key.touch) await deps.db.query(sql`SELECT sally_touch_api_key(${key.id})`);
    return { userId: key.user_id, role: key.role, apiKeyId: key.id, scopes: key.scopes };
  }
  const session = verifySession(deps.keyring, token);
  if (!session) throw refused();
  const membership = await one<{ role: Role }>(
    deps.db,
    sql`SELECT role FROM sally_find_membership(${session.userId}, ${session.epoch}, ${workspaceId})`,
  );
  if (!membership) throw notFound('workspace');
  return { userId: session.userId, role: membership.role, apiKeyId: null, scopes: null };
}

/** The signed-in person of a route outside any workspace; keys do not count. */
export async function authenticateSession(
  deps: ApiDependencies,
  request: Request,
): Promise<{ userId: string; epoch: number }> {
  const session = verifySession(deps.keyring, bearer(request));
  if (!session || !(await findSessionPerson(deps.db, session.userId, session.epoch))) throw refused();
  return session;
}
