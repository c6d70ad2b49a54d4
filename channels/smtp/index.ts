import type { Connector } from '../connector';
import type { SmtpOptions } from './options';
import { SmtpPool } from './pool';

export type { Credentials } from './authentication';
export {
  parseSmtpUrl,
  type SmtpOptions,
  type SmtpTimeouts,
  type SmtpUrl,
  smtpOptions,
  smtpOptionsFromEnvironment,
  type TlsMode,
} from './options';

/** The connector for an SMTP relay. Opens no connection before the first message. */
export function createSmtpConnector(options: SmtpOptions): Connector {
  return new SmtpPool(options);
}
