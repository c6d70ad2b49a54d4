import { isIP } from 'node:net';
import type { Connector, SendOutcome } from '../../channels/connector';
import { createSmtpConnector, type SmtpOptions, smtpOptions, smtpOptionsFromEnvironment } from '../../channels/smtp';
import type { ProviderSender, Sender } from '../../domain/senders';
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

/**
 * The connector of a sender; opens nothing before it is used. A provider whose host is a forbidden address gets one
 * that refuses everything (`unavailable`), so that its recipients are unharmed and its breaker is told.
 */
export function createSenderConnector(
  sender: Sender,
  config: Configuration,
  adjust: (options: SmtpOptions) => SmtpOptions = (options) => options,
): Connector {
  switch (sender.kind) {
    case 'installation': {
      const options = installationSmtp(config);
      return options === null
        ? new RefusingConnector('no fallback sender is configured')
        : createSmtpConnector(adjust(options));
    }
    case 'provider': {
      if (!config.ALLOW_PRIVATE_SMTP && isIP(sender.settings.host) !== 0 && !isPublicAddress(sender.settings.host)) {
        return new RefusingConnector(new ForbiddenTargetError().message);
      }
      return createSmtpConnector(adjust(providerOptions(sender, config)));
    }
  }
}

function providerOptions(sender: ProviderSender, config: Configuration): SmtpOptions {
  const { settings, credentials } = sender;
  return smtpOptions({
    host: settings.host,
    port: settings.port,
    tls: settings.tls,
    verifyCertificate: settings.verify_certificate,
    maxConnections: settings.connections,
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
