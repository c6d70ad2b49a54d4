import { many, one, type Queryable, type Statement, sql } from '../../platform/postgres';

/** A sending domain as an operator sees it. */
export interface DomainRow {
  id: string;
  domain: string;
  subdomain: string;
  /** The right part of From addresses. */
  host: string;
  status: 'PENDING' | 'VERIFYING' | 'VERIFIED' | 'FAILED' | 'PAUSED' | 'WARMING' | 'ACTIVE';
  daily_limit: number | null;
  default_from_name: string;
  default_reply_to: string | null;
  health_score: number | null;
  providers: { provider_id: string; dkim: boolean; spf: boolean }[];
  version: number;
  created_at: Date;
  updated_at: Date;
}

const SELECT_DOMAIN = sql`
  SELECT d.id, d.domain, d.subdomain, d.host, d.status, d.daily_limit, d.default_from_name, d.default_reply_to,
    d.health_score::float8 AS health_score, d.version, d.created_at, d.updated_at,
    coalesce((SELECT jsonb_agg(jsonb_build_object('provider_id', p.provider_id, 'dkim', p.dkim, 'spf', p.spf) ORDER BY p.provider_id)
      FROM sending_domain_providers p WHERE p.workspace_id = d.workspace_id AND p.domain_id = d.id), '[]') AS providers
  FROM sending_domains d`;

/** The domain with this id, or null. */
export function findDomain(db: Queryable, workspaceId: string, id: string): Promise<DomainRow | null> {
  return one<DomainRow>(db, sql`${SELECT_DOMAIN} WHERE d.workspace_id = ${workspaceId} AND d.id = ${id}`);
}

/** The sending domain that addresses at `host` belong to, or null. */
export function findDomainOfHost(db: Queryable, workspaceId: string, host: string): Promise<DomainRow | null> {
  return one<DomainRow>(db, sql`${SELECT_DOMAIN} WHERE d.workspace_id = ${workspaceId} AND d.host = ${host}`);
}

/** Up to `limit` domains with ids after `after`, oldest first. */
export function listDomains(
  db: Queryable,
  workspaceId: string,
  after: string | null,
  limit: number,
): Promise<DomainRow[]> {
  const beyond: Statement = after === null ? sql`` : sql` AND d.id > ${after}`;
  return many<DomainRow>(
    db,
    sql`${SELECT_DOMAIN} WHERE d.workspace_id = ${workspaceId}${beyond} ORDER BY d.id LIMIT ${limit}`,
  );
}

/** Inserts a domain with the providers that may send for it. One that exists violates `sending_domains_host`. */
export async function insertDomain(
  tx: Queryable,
  workspaceId: string,
  values: Pick<
    DomainRow,
    'domain' | 'subdomain' | 'daily_limit' | 'default_from_name' | 'default_reply_to' | 'providers'
  >,
  createdBy: string,
): Promise<string> {
  const row = await one<{ id: string }>(
    tx,
    sql`INSERT INTO sending_domains (workspace_id, domain, subdomain, daily_limit, default_from_name, default_reply_to, created_by)
        VALUES (${workspaceId}, ${values.domain}, ${values.subdomain}, ${values.daily_limit}, ${values.default_from_name},
          ${values.default_reply_to}, ${createdBy})
        RETURNING id`,
  );
  if (!row) throw new Error('a sending domain could not be made');
  await tx.query(sql`
    INSERT INTO sending_domain_providers (workspace_id, domain_id, provider_id, dkim, spf)
    SELECT ${workspaceId}, ${row.id}, p.* FROM unnest(${values.providers.map((entry) => entry.provider_id)}::uuid[],
      ${values.providers.map((entry) => entry.dkim)}::boolean[], ${values.providers.map((entry) => entry.spf)}::boolean[]) AS p`);
  return row.id;
}

/** Those of `ids` that are no providers of the workspace. */
export async function missingProviders(db: Queryable, workspaceId: string, ids: string[]): Promise<string[]> {
  if (ids.length === 0) return [];
  const rows = await many<{ id: string }>(
    db,
    sql`SELECT wanted.id FROM unnest(${ids}::uuid[]) AS wanted (id)
        WHERE NOT EXISTS (SELECT 1 FROM providers p WHERE p.workspace_id = ${workspaceId} AND p.id = wanted.id)`,
  );
  return rows.map((row) => row.id);
}
