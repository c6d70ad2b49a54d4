import { Connection } from '@temporalio/client';
import * as workflows from '../../workflows';

type Service = Connection['workflowService'];
type HistoryEvent = NonNullable<
  NonNullable<Awaited<ReturnType<Service['getWorkflowExecutionHistory']>>['history']>['events']
>[number];

const MOST_RUNS = 5_000;

/**
 * What an operator could not read in the Temporal UI: of every run of Sally's workflows that the suites have left on
 * the server, the starts, activities and timers without a static summary (design, section 3 "Rules"). Each kind once.
 */
export async function unreadableRuns(temporalAddress: string): Promise<{ looked: number; unreadable: string[] }> {
  const connection = await Connection.connect({ address: temporalAddress });
  try {
    const service = connection.workflowService;
    const unreadable = new Set<string>();
    let looked = 0;
    for (const namespace of await namespacesOf(service)) {
      for (const { type, workflowId, runId } of await runsOf(service, namespace)) {
        if (looked >= MOST_RUNS) break;
        looked += 1;
        for (const event of await eventsOf(service, namespace, workflowId, runId)) {
          const what = needsSummary(event);
          if (what !== null && !event.userMetadata?.summary?.data?.length) unreadable.add(`${type}: ${what}`);
        }
      }
    }
    return { looked, unreadable: [...unreadable].sort() };
  } finally {
    await connection.close();
  }
}

function needsSummary(event: HistoryEvent): string | null {
  // A run that continues another carries its summary from there.
  if (event.workflowExecutionStartedEventAttributes) {
    return event.workflowExecutionStartedEventAttributes.continuedExecutionRunId ? null : 'the workflow itself';
  }
  if (event.activityTaskScheduledEventAttributes) {
    return `activity ${event.activityTaskScheduledEventAttributes.activityType?.name}`;
  }
  return event.timerStartedEventAttributes ? 'a timer' : null;
}

async function namespacesOf(service: Service): Promise<string[]> {
  const names: string[] = [];
  let nextPageToken: Uint8Array | undefined;
  do {
    const page = await service.listNamespaces({ pageSize: 100, nextPageToken });
    for (const { namespaceInfo } of page.namespaces ?? []) if (namespaceInfo?.name) names.push(namespaceInfo.name);
    nextPageToken = page.nextPageToken ?? undefined;
  } while (nextPageToken?.length);
  return names.filter((name) => name !== 'temporal-system');
}

async function runsOf(
  service: Service,
  namespace: string,
): Promise<{ type: string; workflowId: string; runId: string }[]> {
  const ours = new Set(Object.keys(workflows));
  const page = await service.listWorkflowExecutions({ namespace, pageSize: 1_000 });
  return (page.executions ?? []).flatMap(({ type, execution }) =>
    type?.name && ours.has(type.name) && execution?.workflowId && execution.runId
      ? [{ type: type.name, workflowId: execution.workflowId, runId: execution.runId }]
      : [],
  );
}

async function eventsOf(service: Service, namespace: string, workflowId: string, runId: string) {
  const { history } = await service.getWorkflowExecutionHistory({ namespace, execution: { workflowId, runId } });
  return history?.events ?? [];
}
