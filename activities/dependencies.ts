import type { Configuration } from '../platform/config';
import type { AddressHasher, Keyring } from '../platform/crypto';
import type { Logger } from '../platform/log';
import type { Database } from '../platform/postgres';
import type { Client } from '../platform/temporal';

/** Everything the activities use; put together in worker.ts. */
export interface ActivityDependencies {
  config: Configuration;
  log: Logger;
  /** As sally_worker: sees every workspace, so each statement names its workspace. */
  db: Database;
  temporal: Client;
  keyring: Keyring;
  addressHasher: AddressHasher;
}
