/** The provider id of what belongs to the installation: the fallback sender of the environment (the nil UUID). */
export const INSTALLATION_PROVIDER_ID = '00000000-0000-0000-0000-000000000000';

/**
 * - `auto`: STARTTLS wherever it is offered, and then verified. `required`: STARTTLS or nothing.
 * - `implicit`: TLS from the first byte (RFC 8314). `off`: never.
 */
export const TLS_MODES = ['auto', 'required', 'implicit', 'off'] as const;

/** What a provider of type SMTP needs and may be shown. */
export interface SmtpSettings {
  host: string;
  port: number;
  tls: (typeof TLS_MODES)[number];
  /** False accepts any certificate: only for servers one owns. */
  verify_certificate: boolean;
  /** Most connections per delivery process. */
  connections: number;
  /** W of this provider: most messages per process whose outcome may be unknown after a kill; null = DELIVERY_WINDOW. */
  window: number | null;
  /** Sally signs when the relay does not; the private key is among the credentials. */
  dkim: { domain: string; selector: string } | null;
}

/** What is stored sealed and never shown. */
export interface SmtpCredentials {
  username: string | null;
  password: string | null;
  /** PEM, PKCS#8 or PKCS#1; RSA or Ed25519. */
  dkim_private_key: string | null;
}

/** Limits of a sender; null = unlimited. */
export interface SenderLimits {
  perSecond: number | null;
  /** Per workspace-local day. */
  perDay: number | null;
}

/** A provider of the workspace, with its credentials opened. Lives in memory only. */
export interface ProviderSender {
  kind: 'provider';
  workspaceId: string;
  providerId: string;
  name: string;
  /** Changes when anything about the provider does: connections made for another version are out of date. */
  version: number;
  settings: SmtpSettings;
  credentials: SmtpCredentials;
  limits: SenderLimits;
  priority: number;
  isDefault: boolean;
}

/** The installation's fallback, used by workspaces without an active provider; its address comes from the environment. */
export interface InstallationSender {
  kind: 'installation';
  workspaceId: string;
  providerId: typeof INSTALLATION_PROVIDER_ID;
}

export type Sender = ProviderSender | InstallationSender;

/** The order in which a workspace's providers are tried: its default, then by priority (1 first), then by age. */
export function compareProviders(
  left: Pick<ProviderSender, 'isDefault' | 'priority' | 'providerId'>,
  right: Pick<ProviderSender, 'isDefault' | 'priority' | 'providerId'>,
): number {
  if (left.isDefault !== right.isDefault) return left.isDefault ? -1 : 1;
  if (left.priority !== right.priority) return left.priority - right.priority;
  return left.providerId < right.providerId ? -1 : left.providerId > right.providerId ? 1 : 0;
}
