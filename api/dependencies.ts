import type { ContentSandbox } from '../domain/content';
import type { Configuration } from '../platform/config';
import type { AddressHasher, Keyring } from '../platform/crypto';
import type { Logger } from '../platform/log';
import type { Database } from '../platform/postgres';
import type { Client } from '../platform/temporal';
import type { Tracking } from './tracking';

/** Everything the API's handlers use; put together in server.ts. */
export interface ApiDependencies {
  config: Configuration;
  log: Logger;
  /** As sally_api. */
  db: Database;
  temporal: Client;
  keyring: Keyring;
  addressHasher: AddressHasher;
  /** Lints, compiles and previews what users wrote, in threads with limits. */
  contentSandbox: ContentSandbox;
  /** Answers pixels and click links ahead of the routes. */
  tracking: Tracking;
}
