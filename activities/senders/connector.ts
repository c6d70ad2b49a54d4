import { isIP } from 'node:net';
import type { Connector, SendOutcome } from '../../channels/connector';
import { type HttpOptions, httpOptions } from '../../channels/http';
import { createMailgunConnector } from '../../channels/mailgun';
import { createPostmarkConnector } from '../../channels/postmark';
import { createSendgridConnector } from '../../channels/sendgrid';
import { createSesConnector } from '../../channels/ses';
import { createSmtpConnector, type SmtpOptions, smtpOptions, smtpOptionsFromEnvironment } from '../../channels/smtp';
import { type ProviderParts, type ProviderSetup, readSetup, type Sender, targetOf } from '../../domain/senders';
import { type Configuration, ConfigurationError } from '../../platform/config';
import { ForbiddenTargetError, guardedLookup, isPublicAddress } from '../../platform/outbound-guard';

/** The installation's fallback sender, or null when neither SMTP_URL nor SMTP_HOST is set. Throws ConfigurationError. */
export function installationSmtp(config: Configuration): SmtpOptions | null {
  const { SMTP_URL, SMTP_HOST, SMTP_PORT, SMTP_USERNAME, SMTP_PASSWORD } = config;
  const read = smtpOptionsFromEnvironment({
    SMTP_URL,
    SMTP_HOST,
    SMTP_PORT: String(SMTP_PORT),
    SMTP_USERNAME,
    SMTP_PASSWORD,
  });
  if (read === null) return null;
  if (!read.ok) throw new ConfigurationError(read.message);
  // "connections" in the URL wins: it says something about this one server.
  const chosen = SMTP_URL !== undefined && /[?&]connections=/.test(SMTP_URL);
  return chosen ? read.options : { ...read.options, maxConnections: config.SMTP_CONNECTIONS };
}

/** What a check changes: somebody waits for it, so it is shorter than the patience that real mail deserves. */
export interface ConnectorPatience {
  smtp: SmtpOptions['timeouts'];
  http: HttpOptions['timeouts'];
}

/** How a connector is to be used. */
export interface ConnectorUse {
  /** For a check: its time-outs, on one connection. */
  patience?: ConnectorPatience;
}

/**
 * The connector of a sender; opens nothing before it is used. A provider whose host is a forbidden address gets one
 * that refuses everything (`unavailable`), so that its recipients are unharmed and its breaker is told.
 */
export function createSenderConnector(
  sender: Sender,
  config: Configuration,
  { patience }: ConnectorUse = {},
): Connector {
  const smtp = (options: SmtpOptions) =>
    createSmtpConnector(patience ? { ...options, maxConnections: 1, timeouts: patience.smtp } : options);
  switch (sender.kind) {
    case 'installation': {
      const options = installationSmtp(config);
      return options === null ? new RefusingConnector('no fallback sender is configured') : smtp(options);
    }
    case 'provider': {
      // A dedicated IP has settings in the place of the provider's own: whether they fit is known only now.
      const setup = readSetup(sender.providerType, sender.settings, sender.credentials);
      if (!setup) return new RefusingConnector('the settings of the dedicated IP do not fit the provider');
      const target = targetOf(setup);
      if (!config.ALLOW_PRIVATE_SMTP && target !== null) {
        if (isIP(target.host) !== 0 && !isPublicAddress(target.host)) {
          return new RefusingConnector(new ForbiddenTargetError().message);
        }
        if (!target.encrypted) return new RefusingConnector('the endpoint is not encrypted (https)');
      }
      return sender.providerType === 'SMTP'
        ? smtp(relayOptions(sender, config))
        : apiConnector(sender, config, patience);
    }
  }
}

/** The connector of a provider that is spoken to by its own API. */
function apiConnector(
  setup: Exclude<ProviderSetup, { providerType: 'SMTP' }>,
  config: Configuration,
  patience: ConnectorPatience | undefined,
): Connector {
  const http = httpOptions({
    maxConnections: setup.settings.connections,
    lookup: config.ALLOW_PRIVATE_SMTP ? null : guardedLookup(),
    ...(patience && { timeouts: patience.http }),
  });
  switch (setup.providerType) {
    case 'SES': {
      const { region, endpoint, configuration_set } = setup.settings;
      const { access_key_id, secret_access_key } = setup.credentials;
      return createSesConnector({
        region,
        endpoint,
        accessKeyId: access_key_id,
        secretAccessKey: secret_access_key,
        configurationSet: configuration_set,
        http,
      });
    }
    case 'SENDGRID': {
      const { endpoint, sandbox_mode, tracking_enabled, ip_pool } = setup.settings;
      const apiKey = setup.credentials.api_key;
      return createSendgridConnector({
        endpoint,
        apiKey,
        sandbox: sandbox_mode,
        tracking: tracking_enabled,
        ipPool: ip_pool,
        http,
      });
    }
    case 'MAILGUN': {
      const { endpoint, domain, sandbox_mode, tracking_enabled, ip_pool } = setup.settings;
      const apiKey = setup.credentials.api_key;
      return createMailgunConnector({
        endpoint,
        domain,
        apiKey,
        sandbox: sandbox_mode,
        tracking: tracking_enabled,
        ipPool: ip_pool,
        http,
      });
    }
    case 'POSTMARK': {
      const { endpoint, sandbox_mode, tracking_enabled, message_stream } = setup.settings;
      return createPostmarkConnector({
        endpoint,
        serverToken: setup.credentials.server_token,
        sandbox: sandbox_mode,
        tracking: tracking_enabled,
        messageStream: message_stream,
        http,
      });
    }
  }
}

function relayOptions({ settings, credentials }: ProviderParts['SMTP'], config: Configuration): SmtpOptions {
  return smtpOptions({
    host: settings.host,
    port: settings.port,
    tls: settings.tls,
    verifyCertificate: settings.verify_certificate,
    maxConnections: settings.connections,
    maxPipelined: settings.pipeline,
    lookup: config.ALLOW_PRIVATE_SMTP ? null : guardedLookup(),
    credentials:
      credentials.username === null || credentials.password === null
        ? null
        : { kind: 'password', username: credentials.username, password: credentials.password, mechanism: null },
  });
}

/** Stands for a server that must not be talked to. */
class RefusingConnector implements Connector {
  constructor(private readonly reply: string) {}

  send(): Promise<SendOutcome> {
    return Promise.resolve({ kind: 'unavailable', cause: 'connect', reply: this.reply, retryAfterMs: null });
  }

  freePlaces(): number {
    return 1;
  }

  offers(): null {
    return null;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  verify() {
    return Promise.resolve({ ok: false as const, cause: 'connect' as const, reply: this.reply });
  }
}
