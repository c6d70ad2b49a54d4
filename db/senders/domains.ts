import type { DnsRecords, WarmingState } from '../../domain/senders';
import { many, one, type Queryable, type Statement, sql } from '../../platform/postgres';
import { usedToday } from './used-today';

/** A sending domain as an operator sees it. */
export interface DomainRow extends WarmingState {
  id: string;
  domain: string;
  subdomain: string;
  /** The right part of From addresses. */
  host: string;
  status: 'PENDING' | 'VERIFYING' | 'VERIFIED' | 'FAILED' | 'PAUSED' | 'WARMING' | 'ACTIVE';
  dns_records: DnsRecords;
  daily_limit: number | null;
  /** Units taken on the workspace's current local day. */
  daily_sent: number;
  /** When that day ends. */
  daily_reset_at: Date;
  default_from_name: string;
  default_reply_to: string | null;
  /** Its identities stand in where the workspace has no default identity. */
  is_default: boolean;
  health_score: number | null;
  providers: { provider_id: string; dkim: boolean; spf: boolean }[];
  version: number;
  created_at: Date;
  updated_at: Date;
}

const SELECT_DOMAIN = sql`
  SELECT d.id, d.domain, d.subdomain, d.host, d.status, d.dns_records, d.daily_limit, u.daily_sent, u.daily_reset_at,
    d.default_from_name, d.default_reply_to, d.is_default, d.warming_status, d.warming_schedule_id, d.warming_started_at,
    d.warming_day, d.health_score::float8 AS health_score, d.version, d.created_at, d.updated_at,
    coalesce((SELECT jsonb_agg(jsonb_build_object('provider_id', p.provider_id, 'dkim', p.dkim, 'spf', p.spf) ORDER BY p.provider_id)
      FROM sending_domain_providers p WHERE p.workspace_id = d.workspace_id AND p.domain_id = d.id), '[]') AS providers
  FROM sending_domains d
  CROSS JOIN LATERAL (${usedToday('domain-day', sql`d.workspace_id`, sql`d.id`)}) AS u`;

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

/** What can be written of a domain. */
export type DomainValues = Pick<
  DomainRow,
  'status' | 'dns_records' | 'daily_limit' | 'default_from_name' | 'default_reply_to' | 'is_default' | 'providers'
>;

/** Inserts a domain with the providers that may send for it. One that exists violates `sending_domains_host`. */
export async function insertDomain(
  tx: Queryable,
  workspaceId: string,
  values: Pick<DomainRow, 'domain' | 'subdomain'> & DomainValues,
  createdBy: string,
): Promise<string> {
  const row = await one<{ id: string }>(
    tx,
    sql`INSERT INTO sending_domains (workspace_id, domain, subdomain, status, dns_records, daily_limit, default_from_name,
          default_reply_to, is_default, created_by)
        VALUES (${workspaceId}, ${values.domain}, ${values.subdomain}, ${values.status}, ${JSON.stringify(values.dns_records)},
          ${values.daily_limit}, ${values.default_from_name}, ${values.default_reply_to}, ${values.is_default}, ${createdBy})
        RETURNING id`,
  );
  if (!row) throw new Error('a sending domain could not be made');
  await insertProviders(tx, workspaceId, row.id, values.providers);
  return row.id;
}

async function insertProviders(
  tx: Queryable,
  workspaceId: string,
  domainId: string,
  providers: DomainRow['providers'],
): Promise<void> {
  await tx.query(sql`
    INSERT INTO sending_domain_providers (workspace_id, domain_id, provider_id, dkim, spf)
    SELECT ${workspaceId}, ${domainId}, p.* FROM unnest(${providers.map((entry) => entry.provider_id)}::uuid[],
      ${providers.map((entry) => entry.dkim)}::boolean[], ${providers.map((entry) => entry.spf)}::boolean[]) AS p`);
}

/** Holds a domain's row until the transaction ends. */
export async function lockDomain(tx: Queryable, workspaceId: string, id: string): Promise<void> {
  await tx.query(sql`SELECT 1 FROM sending_domains WHERE workspace_id = ${workspaceId} AND id = ${id} FOR UPDATE`);
}

/** Writes a locked domain with the providers that may send for it, and raises its version. */
export async function updateDomain(
  tx: Queryable,
  workspaceId: string,
  id: string,
  values: DomainValues,
): Promise<void> {
  await tx.query(sql`
    UPDATE sending_domains SET status = ${values.status}, dns_records = ${JSON.stringify(values.dns_records)},
      daily_limit = ${values.daily_limit}, default_from_name = ${values.default_from_name},
      default_reply_to = ${values.default_reply_to}, is_default = ${values.is_default}, version = version + 1,
      updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${id}`);
  await tx.query(sql`DELETE FROM sending_domain_providers WHERE workspace_id = ${workspaceId} AND domain_id = ${id}`);
  await insertProviders(tx, workspaceId, id, values.providers);
}

/** Takes the default mark from whichever domain has it; its id, or null. */
export async function clearDefaultDomain(tx: Queryable, workspaceId: string): Promise<string | null> {
  const row = await one<{ id: string }>(
    tx,
    sql`UPDATE sending_domains SET is_default = false, version = version + 1, updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND is_default RETURNING id`,
  );
  return row?.id ?? null;
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
