import type { ProviderSettings, ProviderType } from '../../domain/senders';
import { changed, many, one, type Queryable, type Statement, sql } from '../../platform/postgres';
import { resolveBreakerAlert, resolveCredentialsAlert } from './alerts';
import { usedToday } from './used-today';

/** A provider as an operator sees it; the credentials stay sealed. */
export interface ProviderRow {
  id: string;
  name: string;
  provider_type: ProviderType;
  credentials: Buffer;
  settings: ProviderSettings;
  max_sends_per_second: number | null;
  max_sends_per_day: number | null;
  max_sends_per_24_hours: number | null;
  /** Units taken on the workspace's current local day. */
  current_daily_sends: number;
  /** When that day ends. */
  daily_sends_reset_at: Date;
  priority: number;
  is_default: boolean;
  is_active: boolean;
  last_check_at: Date | null;
  last_check_status: 'OK' | 'FAILED' | null;
  last_error: string | null;
  breaker_state: 'CLOSED' | 'OPEN' | 'HALF_OPEN';
  breaker_reason: string | null;
  breaker_opened_at: Date | null;
  breaker_probe_at: Date | null;
  version: number;
  created_at: Date;
  updated_at: Date;
}

/** Identity and IP of the breaker that a provider has as a whole; those of parts are in the list of breakers. */
const WHOLE_PROVIDER = '00000000-0000-0000-0000-000000000000';

const SELECT_PROVIDER = sql`
  SELECT p.id, p.name, p.provider_type, p.credentials, p.settings, p.max_sends_per_second, p.max_sends_per_day, p.max_sends_per_24_hours,
    u.daily_sent AS current_daily_sends, u.daily_reset_at AS daily_sends_reset_at,
    p.priority, p.is_default, p.is_active, p.last_check_at, p.last_check_status, p.last_error,
    coalesce(b.state, 'CLOSED') AS breaker_state, b.reason AS breaker_reason, b.opened_at AS breaker_opened_at,
    b.probe_at AS breaker_probe_at, p.version, p.created_at, p.updated_at
  FROM providers p
  CROSS JOIN LATERAL (${usedToday('provider-day', sql`p.workspace_id`, sql`p.id`)}) AS u
  LEFT JOIN breakers b ON b.workspace_id = p.workspace_id AND b.provider_id = p.id AND b.identity_id = ${WHOLE_PROVIDER}
    AND b.ip_id = ${WHOLE_PROVIDER}`;

/** One provider of the workspace, or null. */
export function findProvider(db: Queryable, workspaceId: string, id: string): Promise<ProviderRow | null> {
  return one<ProviderRow>(db, sql`${SELECT_PROVIDER} WHERE p.workspace_id = ${workspaceId} AND p.id = ${id}`);
}

/** Up to `limit` providers with ids after `after`, oldest first. */
export function listProviders(
  db: Queryable,
  workspaceId: string,
  after: string | null,
  limit: number,
): Promise<ProviderRow[]> {
  const beyond: Statement = after === null ? sql`` : sql` AND p.id > ${after}`;
  return many<ProviderRow>(
    db,
    sql`${SELECT_PROVIDER} WHERE p.workspace_id = ${workspaceId}${beyond} ORDER BY p.id LIMIT ${limit}`,
  );
}

/** Holds a provider's row until the transaction ends, so that what was read stays true. False: there is none. */
export async function lockProvider(tx: Queryable, workspaceId: string, id: string): Promise<boolean> {
  const row = await one(tx, sql`SELECT 1 FROM providers WHERE workspace_id = ${workspaceId} AND id = ${id} FOR UPDATE`);
  return row !== null;
}

/** What can be written of a provider. */
export interface ProviderValues {
  name: string;
  credentials: Buffer;
  settings: ProviderSettings;
  maxSendsPerSecond: number | null;
  maxSendsPerDay: number | null;
  maxSendsPer24Hours: number | null;
  priority: number;
  isDefault: boolean;
  isActive: boolean;
}

/** Inserts a provider and returns its id. A name in use violates `providers_workspace_id_name_key`. */
export async function insertProvider(
  tx: Queryable,
  workspaceId: string,
  providerType: ProviderType,
  values: ProviderValues,
  createdBy: string,
): Promise<string> {
  const row = await one<{ id: string }>(
    tx,
    sql`INSERT INTO providers (workspace_id, name, provider_type, credentials, settings, max_sends_per_second,
          max_sends_per_day, max_sends_per_24_hours, priority, is_default, is_active, created_by)
        VALUES (${workspaceId}, ${values.name}, ${providerType}, ${values.credentials}, ${JSON.stringify(values.settings)},
          ${values.maxSendsPerSecond}, ${values.maxSendsPerDay}, ${values.maxSendsPer24Hours}, ${values.priority}, ${values.isDefault},
          ${values.isActive}, ${createdBy})
        RETURNING id`,
  );
  if (!row) throw new Error('a provider could not be made');
  return row.id;
}

/** Writes all values of a locked provider and raises its version. */
export async function updateProvider(
  tx: Queryable,
  workspaceId: string,
  id: string,
  values: ProviderValues,
): Promise<void> {
  await tx.query(sql`
    UPDATE providers SET name = ${values.name}, credentials = ${values.credentials},
      settings = ${JSON.stringify(values.settings)}, max_sends_per_second = ${values.maxSendsPerSecond},
      max_sends_per_day = ${values.maxSendsPerDay}, max_sends_per_24_hours = ${values.maxSendsPer24Hours}, priority = ${values.priority}, is_default = ${values.isDefault},
      is_active = ${values.isActive}, version = version + 1, updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${id}`);
  // Whether those of an active provider can be opened is looked at by whoever sends.
  if (!values.isActive) await resolveCredentialsAlert(tx, workspaceId, id);
}

/** Takes the default mark from whichever provider has it; its id, or null. */
export async function clearDefaultProvider(tx: Queryable, workspaceId: string): Promise<string | null> {
  const row = await one<{ id: string }>(
    tx,
    sql`UPDATE providers SET is_default = false, version = version + 1, updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND is_default RETURNING id`,
  );
  return row?.id ?? null;
}

/**
 * Removes a provider with its breaker and its pace. Routes and used capacity stay: ledger rows refer to them, and
 * the proof counts them.
 */
export async function deleteProvider(tx: Queryable, workspaceId: string, id: string): Promise<void> {
  await tx.query(sql`DELETE FROM breakers WHERE workspace_id = ${workspaceId} AND provider_id = ${id}`);
  await tx.query(sql`DELETE FROM rate_slots WHERE workspace_id = ${workspaceId} AND resource_id = ${id}`);
  await resolveBreakerAlert(tx, workspaceId, id);
  await resolveCredentialsAlert(tx, workspaceId, id);
  await tx.query(sql`DELETE FROM providers WHERE workspace_id = ${workspaceId} AND id = ${id}`);
}

/** Closes a breaker that is not closed and resolves its alert; false when it was. */
export async function resetBreaker(tx: Queryable, workspaceId: string, providerId: string): Promise<boolean> {
  const closed = await changed(
    tx,
    sql`UPDATE breakers SET state = 'CLOSED', reason = NULL, failures = 0, opened_at = NULL, probe_at = NULL,
          updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND provider_id = ${providerId} AND state <> 'CLOSED'`,
  );
  if (closed === 0) return false;
  await resolveBreakerAlert(tx, workspaceId, providerId);
  return true;
}

/** A changed provider need not wait for its breakers' next probe; of a changed dedicated IP, only that IP's. */
export async function hurryProbe(
  tx: Queryable,
  workspaceId: string,
  providerId: string,
  ipId: string | null = null,
): Promise<void> {
  const part: Statement = ipId === null ? sql`` : sql` AND ip_id = ${ipId}`;
  await tx.query(sql`
    UPDATE breakers SET probe_at = sally_now(), updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND provider_id = ${providerId} AND state = 'OPEN' AND probe_at > sally_now()${part}`);
}
