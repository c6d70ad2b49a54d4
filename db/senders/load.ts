import {
  compareProviders,
  INSTALLATION_PROVIDER_ID,
  type ProviderSender,
  type Sender,
  type SmtpCredentials,
  smtpCredentials,
  smtpSettings,
} from '../../domain/senders';
import type { Keyring } from '../../platform/crypto';
import { many, type Queryable, sql } from '../../platform/postgres';

/** Credentials cannot be opened: their key is no longer in SALLY_SECRETS, or the row was altered. */
export class CredentialsError extends Error {
  constructor(readonly providerId: string) {
    super(`The credentials of provider ${providerId} cannot be opened with the keys in SALLY_SECRETS`);
    this.name = 'CredentialsError';
  }
}

/** Seals credentials for `providers.credentials` (AES-256-GCM with key id). */
export function sealCredentials(keyring: Keyring, credentials: SmtpCredentials): Buffer {
  return keyring.seal('credentials', Buffer.from(JSON.stringify(credentials)));
}

/** Opens `providers.credentials`. Throws CredentialsError. */
export function openCredentials(keyring: Keyring, providerId: string, sealed: Buffer): SmtpCredentials {
  const opened = keyring.open('credentials', sealed);
  if (!opened) throw new CredentialsError(providerId);
  return smtpCredentials.parse(JSON.parse(opened.toString('utf8')));
}

interface SenderRow {
  id: string;
  name: string;
  credentials: Buffer;
  settings: unknown;
  max_sends_per_second: number | null;
  max_sends_per_day: number | null;
  priority: number;
  is_default: boolean;
  version: number;
}

/**
 * The senders a workspace may use, best first, with opened credentials; the installation's fallback alone when the
 * workspace has no active provider and `hasInstallationSender` says there is one. Empty: nothing can be sent.
 * Whether a breaker is open, or capacity is left, is not looked at. Throws CredentialsError.
 */
export async function loadSenders(
  db: Queryable,
  workspaceId: string,
  keyring: Keyring,
  hasInstallationSender: boolean,
): Promise<Sender[]> {
  const rows = await many<SenderRow>(
    db,
    sql`SELECT id, name, credentials, settings, max_sends_per_second, max_sends_per_day, priority, is_default, version
        FROM providers WHERE workspace_id = ${workspaceId} AND is_active`,
  );
  if (rows.length > 0) {
    return rows.map((row) => senderOf(workspaceId, keyring, row)).sort(compareProviders);
  }
  return hasInstallationSender ? [{ kind: 'installation', workspaceId, providerId: INSTALLATION_PROVIDER_ID }] : [];
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
    sql`SELECT id, name, credentials, settings, max_sends_per_second, max_sends_per_day, priority, is_default, version
        FROM providers WHERE workspace_id = ${workspaceId} AND id = ${providerId}`,
  );
  return row ? senderOf(workspaceId, keyring, row) : null;
}

function senderOf(workspaceId: string, keyring: Keyring, row: SenderRow): ProviderSender {
  return {
    kind: 'provider',
    workspaceId,
    providerId: row.id,
    name: row.name,
    version: row.version,
    settings: smtpSettings.parse(row.settings),
    credentials: openCredentials(keyring, row.id, row.credentials),
    limits: { perSecond: row.max_sends_per_second, perDay: row.max_sends_per_day },
    priority: row.priority,
    isDefault: row.is_default,
  };
}
