import { Client, Connection, type WorkflowClient } from '@temporalio/client';
import { defineSearchAttributeKey } from '@temporalio/common';

/** Search attributes of every Sally workflow (design, section 3); ids only, never personal data. */
export const SallyWorkspace = defineSearchAttributeKey('SallyWorkspace', 'KEYWORD');
export const SallyArea = defineSearchAttributeKey('SallyArea', 'KEYWORD');
export const SallyEntity = defineSearchAttributeKey('SallyEntity', 'KEYWORD');
export const SallyStatus = defineSearchAttributeKey('SallyStatus', 'KEYWORD');

export interface TemporalOptions {
  address: string;
  namespace: string;
}

/**
 * A client that connects at its first call: the API starts and answers while Temporal is down. Calls fail after
 * three seconds instead of holding a request.
 */
export function createTemporalClient(options: TemporalOptions): { client: Client; close: () => Promise<void> } {
  const connection = Connection.lazy({ address: options.address, connectTimeout: 3_000 });
  return { client: new Client({ connection, namespace: options.namespace }), close: () => connection.close() };
}

export type { Client, WorkflowClient };
