import type { Connector } from '../connector';
import type { SmtpOptions } from './options';
import { SmtpPool } from './pool';

export { type SmtpOptions, smtpOptions, smtpOptionsFromEnvironment } from './options';

/** The connector for an SMTP relay. Opens no connection before the first message. */
export function createSmtpConnector(options: SmtpOptions): Connector {
  return new SmtpPool(options);
}
