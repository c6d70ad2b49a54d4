import {
  compareProviders,
  INSTALLATION_PROVIDER_ID,
  type IpCredentials,
  type ProviderCredentials,
  type ProviderSender,
  type ProviderType,
  readSetup,
  type Sender,
} from '../../domain/senders';
import type { Keyring } from '../../platform/crypto';
import { many, type Queryable, sql } from '../../platform/postgres';
import { raiseCredentialsAlert, resolveCredentialsAlert } from './alerts';

/** Credentials cannot be opened: their key is no longer in SALLY_SECRETS, or the row was altered. */
export class CredentialsError extends Error {
  constructor(readonly providerId: string) {
    super(`The credentials of provider ${providerId} cannot be opened with the keys in SALLY_SECRETS`);
    this.name = 'CredentialsError';
  }
}

/** Seals credentials for `providers.credentials` or `dedicated_ips.credentials` (AES-256-GCM with key id). */
export function sealCredentials(keyring: Keyring, credentials: ProviderCredentials | IpCredentials): Buffer {
  return keyring.seal('credentials', Buffer.from(JSON.stringify(credentials)));
}

/** Opens what {@link sealCredentials} sealed, without looking at what they are; null when no key of the ring does. */
export function openCredentials(keyring: Keyring, sealed: Buffer): object | null {
  const opened = keyring.open('credentials', sealed);
  if (!opened) return null;
  const parsed: unknown = JSON.parse(opened.toString('utf8'));
  return typeof parsed === 'object' ? parsed : null;
}

interface SenderRow {
  id: string;
  name: string;
  provider_type: ProviderType;
  credentials: Buffer;
  settings: unknown;
  max_sends_per_second: number | null;
  max_sends_per_day: number | null;
  max_sends_per_24_hours: number | null;
  priority: number;
  is_default: boolean;
  version: number;
}

/**
 * The senders a workspace may use, best first, with opened credentials; the installation's fallback alone when the
 * workspace has no active provider and `hasInstallationSender` says there is one. A provider whose credentials cannot
 * be opened is left out, with an alert that is resolved when they can be again; the others go on. Empty: nothing can
 * be sent. Whether a breaker is open, or capacity is left, is not looked at.
 */
export async function loadSenders(
  db: Queryable,
  workspaceId: string,
  keyring: Keyring,
  hasInstallationSender: boolean,
): Promise<Sender[]> {
  const rows = await many<SenderRow & { reported: boolean }>(
    db,
    sql`SELECT id, name, provider_type, credentials, settings, max_sends_per_second, max_sends_per_day,
          max_sends_per_24_hours, priority, is_default, version,
          EXISTS (SELECT 1 FROM alerts a WHERE a.workspace_id = p.workspace_id AND a.kind = 'provider-credentials'
            AND a.cause = p.id::text AND a.resolved_at IS NULL) AS reported
        FROM providers p WHERE workspace_id = ${workspaceId} AND is_active`,
  );
  if (rows.length === 0) {
    return hasInstallationSender ? [{ kind: 'installation', workspaceId, providerId: INSTALLATION_PROVIDER_ID }] : [];
  }
  const senders: ProviderSender[] = [];
  for (const row of rows) {
    const sender = senderOf(workspaceId, keyring, row);
    if (sender) senders.push(sender);
    if (sender && row.reported) await resolveCredentialsAlert(db, workspaceId, row.id);
    if (!sender && !row.reported) await raiseCredentialsAlert(db, workspaceId, row.id);
  }
  return senders.sort(compareProviders);
}

/** One provider, active or not, for a check; null when it does not exist. Throws CredentialsError. */
export async function loadProvider(
  db: Queryable,
  workspaceId: string,
  providerId: string,
  keyring: Keyring,
): Promise<ProviderSender | null> {
  const [row] = await many<SenderRow>(
    db,
    sql`SELECT id, name, provider_type, credentials, settings, max_sends_per_second, max_sends_per_day,
          max_sends_per_24_hours, priority, is_default, version
        FROM providers WHERE workspace_id = ${workspaceId} AND id = ${providerId}`,
  );
  if (!row) return null;
  const sender = senderOf(workspaceId, keyring, row);
  if (!sender) throw new CredentialsError(providerId);
  return sender;
}

/** Null: the credentials cannot be opened, or are none. */
function senderOf(workspaceId: string, keyring: Keyring, row: SenderRow): ProviderSender | null {
  const credentials = openCredentials(keyring, row.credentials);
  const setup = credentials && readSetup(row.provider_type, row.settings, credentials);
  if (!setup) return null;
  return {
    ...setup,
    kind: 'provider',
    workspaceId,
    providerId: row.id,
    name: row.name,
    version: row.version,
    limits: {
      perSecond: row.max_sends_per_second,
      perDay: row.max_sends_per_day,
      per24Hours: row.max_sends_per_24_hours,
    },
    priority: row.priority,
    isDefault: row.is_default,
  };
}
