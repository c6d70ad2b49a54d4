import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time';

/**
 * Skipped time on a real Temporal server. Server 1.32 can let a single workflow's clock run ahead whenever the
 * workflow only waits; the TypeScript SDK has the protocol's fields but no option for it, so this file is the only
 * place that knows them. The server's flag `frontend.WorkflowTimeSkippingEnabled` is set in the test stack only.
 *
 * Bounds: children, continue-as-new, retries and start delays of a skipping workflow skip too; workflows started by
 * update-with-start, by a Schedule or by the product's own processes do not, until `fastForward` or `skipFreely` is
 * called on them. Postgres has a clock of its own: move `test_clock` together with the jump.
 */

/** A client whose started workflows (start and signal-with-start) skip all their waiting time. */
export async function timeSkippingClient(address: string, namespace: string): Promise<Client> {
  const connection = await Connection.connect({ address });
  const service = connection.workflowService;
  const start = service.startWorkflowExecution.bind(service);
  const signalWithStart = service.signalWithStartWorkflowExecution.bind(service);
  const timeSkippingConfig = { enabled: true };
  // Arrow functions of one argument: the promise form of the generated methods, which is all that the SDK calls.
  const patched = {
    startWorkflowExecution: (request: Parameters<typeof start>[0]) => start({ timeSkippingConfig, ...request }),
    signalWithStartWorkflowExecution: (request: Parameters<typeof signalWithStart>[0]) =>
      signalWithStart({ timeSkippingConfig, ...request }),
  };
  Object.assign(service, patched);
  return new Client({ connection, namespace });
}

/** From now on the running workflow skips its waiting time, as if it had been started by a skipping client. */
export async function skipFreely(client: Client, workflowId: string): Promise<void> {
  await updateTimeSkipping(client, workflowId, { enabled: true });
}

/**
 * Moves the clock of a workflow (started by an ordinary client) ahead by `milliseconds` and returns when it is there:
 * everything due until then has fired, and time runs normally again. Signal or query it next.
 */
export async function fastForward(client: Client, workflowId: string, milliseconds: number): Promise<void> {
  const id = await beginFastForward(client, workflowId, milliseconds);
  await client.workflowService.pollWorkflowExecutionTimeSkipping({
    namespace: client.options.namespace,
    workflowExecution: { workflowId },
    fastForwardId: id,
  });
}

/** The same without waiting for the end: for a workflow that has other things to wait for once it is there. */
export async function beginFastForward(client: Client, workflowId: string, milliseconds: number): Promise<string> {
  const id = randomUUID();
  await updateTimeSkipping(client, workflowId, {
    enabled: true,
    fastForwardConfig: { id, duration: msToTs(milliseconds) },
  });
  return id;
}

type UpdateOptions = Parameters<Client['workflowService']['updateWorkflowExecutionOptions']>[0];
type TimeSkippingConfig = NonNullable<UpdateOptions['workflowExecutionOptions']>['timeSkippingConfig'];

async function updateTimeSkipping(client: Client, workflowId: string, config: TimeSkippingConfig): Promise<void> {
  await client.workflowService.updateWorkflowExecutionOptions({
    namespace: client.options.namespace,
    workflowExecution: { workflowId },
    updateMask: { paths: ['time_skipping_config'] },
    workflowExecutionOptions: { timeSkippingConfig: config },
  });
}
