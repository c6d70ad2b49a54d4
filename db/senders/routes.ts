import { one, type Queryable, sql } from '../../platform/postgres';

/** What a delivery takes: provider × sending identity × dedicated IP or none. */
export interface Route {
  routeId: string;
  identityId: string;
}

/**
 * The route of a provider (the nil UUID: the installation's fallback), a From address and perhaps a dedicated IP; both
 * it and the identity are made by the first message that needs them. Safe in many processes at once.
 */
export async function ensureRoute(
  db: Queryable,
  workspaceId: string,
  providerId: string,
  fromEmail: string,
  ipId: string | null = null,
): Promise<Route> {
  const known = await one<{ route_id: string; identity_id: string }>(
    db,
    sql`SELECT r.id AS route_id, i.id AS identity_id
        FROM sending_identities i
        JOIN routes r ON r.workspace_id = i.workspace_id AND r.identity_id = i.id AND r.provider_id = ${providerId}
          AND r.ip_id IS NOT DISTINCT FROM ${ipId}
        WHERE i.workspace_id = ${workspaceId} AND i.email = ${fromEmail}`,
  );
  if (known) return { routeId: known.route_id, identityId: known.identity_id };
  // DO UPDATE instead of DO NOTHING: the row of a concurrent insert is returned, too.
  const identity = await one<{ id: string }>(
    db,
    sql`INSERT INTO sending_identities (workspace_id, email) VALUES (${workspaceId}, ${fromEmail})
        ON CONFLICT (workspace_id, email) DO UPDATE SET email = excluded.email RETURNING id`,
  );
  if (!identity) throw new Error('a sending identity could not be made');
  const route = await one<{ id: string }>(
    db,
    sql`INSERT INTO routes (workspace_id, provider_id, identity_id, ip_id)
        VALUES (${workspaceId}, ${providerId}, ${identity.id}, ${ipId})
        ON CONFLICT (workspace_id, provider_id, identity_id, ip_id) DO UPDATE SET provider_id = excluded.provider_id RETURNING id`,
  );
  if (!route) throw new Error('a route could not be made');
  return { routeId: route.id, identityId: identity.id };
}
