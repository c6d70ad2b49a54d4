import type { Client } from '@temporalio/client';

const ATTRIBUTES = ['SallyWorkspace', 'SallyArea', 'SallyEntity', 'SallyStatus'];
const RETENTION_SECONDS = 7 * 24 * 3600;
/** temporal.api.enums.v1.IndexedValueType */
const KEYWORD = 2;
/** gRPC status codes. */
const NOT_FOUND = 5;
const ALREADY_EXISTS = 6;

function grpcCode(error: unknown): number | null {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'number'
    ? error.code
    : null;
}

/** Makes the namespace (7 days of retention) and its search attributes when they are missing. */
export async function ensureNamespace(client: Client, namespace: string): Promise<void> {
  const { workflowService, operatorService } = client.connection;
  try {
    await workflowService.describeNamespace({ namespace });
  } catch (error) {
    if (grpcCode(error) !== NOT_FOUND) throw error;
    await workflowService
      .registerNamespace({ namespace, workflowExecutionRetentionPeriod: { seconds: RETENTION_SECONDS as never } })
      .catch((raced: unknown) => {
        if (grpcCode(raced) !== ALREADY_EXISTS) throw raced;
      });
  }
  const known = await operatorService.listSearchAttributes({ namespace });
  const missing = ATTRIBUTES.filter((name) => !(name in (known.customAttributes ?? {})));
  if (missing.length === 0) return;
  await operatorService
    .addSearchAttributes({ namespace, searchAttributes: Object.fromEntries(missing.map((name) => [name, KEYWORD])) })
    .catch((raced: unknown) => {
      if (grpcCode(raced) !== ALREADY_EXISTS) throw raced;
    });
}
