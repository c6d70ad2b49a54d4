/** The provider id of what belongs to the installation: the fallback sender of the environment (the nil UUID). */
export const INSTALLATION_PROVIDER_ID = '00000000-0000-0000-0000-000000000000';

/** Spec 003, "EmailProvider". */
export const PROVIDER_TYPES = ['SMTP', 'SES', 'SENDGRID', 'MAILGUN', 'POSTMARK'] as const;
export type ProviderType = (typeof PROVIDER_TYPES)[number];

/**
 * - `auto`: STARTTLS wherever it is offered, and then verified. `required`: STARTTLS or nothing.
 * - `implicit`: TLS from the first byte (RFC 8314). `off`: never.
 */
export const TLS_MODES = ['auto', 'required', 'implicit', 'off'] as const;

/** What settings of every type have. */
interface CommonSettings {
  /** Most connections per delivery process. */
  connections: number;
  /** W of this provider: most messages per process whose outcome may be unknown after a kill; null = DELIVERY_WINDOW. */
  window: number | null;
}

/** What a provider of type SMTP needs and may be shown. */
export interface SmtpSettings extends CommonSettings {
  host: string;
  port: number;
  tls: (typeof TLS_MODES)[number];
  /** False accepts any certificate: only for servers one owns. */
  verify_certificate: boolean;
  /** Most messages under way at once on a connection whose server offers CHUNKING; 1 = one after the other. */
  pipeline: number;
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

export interface SesSettings extends CommonSettings {
  region: string;
  /** Base URL instead of the region's own; null = the region's. */
  endpoint: string | null;
  /** Publishes events and chooses the dedicated IP pool; null = the identity's default. */
  configuration_set: string | null;
}

export interface SesCredentials {
  access_key_id: string;
  secret_access_key: string;
}

/** What providers that are spoken to by their own HTTP API have in common. */
interface HttpApiSettings extends CommonSettings {
  /** Base URL, for example that of the provider's European region. */
  endpoint: string;
  /** Everything is checked and answered by the provider, and nothing is delivered. */
  sandbox_mode: boolean;
  /** Opens and clicks counted by the provider, besides Sally's own tracking. */
  tracking_enabled: boolean;
}

export interface SendgridSettings extends HttpApiSettings {
  /** Name of the IP pool; null = the account's default. */
  ip_pool: string | null;
}

export interface MailgunSettings extends HttpApiSettings {
  /** The sending domain, part of every path. */
  domain: string;
  /** Id of the IP pool; null = the domain's. */
  ip_pool: string | null;
}

export interface PostmarkSettings extends HttpApiSettings {
  /** Id of the message stream; bulk mail needs one of type broadcast. */
  message_stream: string;
}

export interface ApiKeyCredentials {
  api_key: string;
  /** What the provider signs its webhooks with; null = none is known. */
  webhook_signing_key: string | null;
}

export interface PostmarkCredentials {
  server_token: string;
}

/** Settings and credentials of each type. */
export interface ProviderParts {
  SMTP: { settings: SmtpSettings; credentials: SmtpCredentials };
  SES: { settings: SesSettings; credentials: SesCredentials };
  SENDGRID: { settings: SendgridSettings; credentials: ApiKeyCredentials };
  MAILGUN: { settings: MailgunSettings; credentials: ApiKeyCredentials };
  POSTMARK: { settings: PostmarkSettings; credentials: PostmarkCredentials };
}

export type ProviderSettings = ProviderParts[ProviderType]['settings'];
export type ProviderCredentials = ProviderParts[ProviderType]['credentials'];

/** A type with the settings and credentials that belong to it. */
export type ProviderSetup = { [T in ProviderType]: { providerType: T } & ProviderParts[T] }[ProviderType];

/** Limits of a sender; null = unlimited. */
export interface SenderLimits {
  perSecond: number | null;
  /** Per workspace-local day. */
  perDay: number | null;
  /** In any rolling 24 hours. */
  per24Hours: number | null;
}

/** A provider of the workspace, with its credentials opened. Lives in memory only. */
export type ProviderSender = ProviderSetup & {
  kind: 'provider';
  workspaceId: string;
  providerId: string;
  name: string;
  /** Changes when anything about the provider does: connections made for another version are out of date. */
  version: number;
  limits: SenderLimits;
  priority: number;
  isDefault: boolean;
};

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
