import {
  CancellationScope,
  continueAsNew,
  defineQuery,
  defineSignal,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { ContactActivities } from '../activities/contacts';
import {
  IMPORT_CHANGED_SIGNAL,
  IMPORT_PROGRESS_QUERY,
  type ImportContactsInput,
  type ImportProgress,
  type ImportSlice,
} from '../domain/contacts/contract';

/** A hint: the activity finds a cancelled row by itself at its next batch. */
export const importChangedSignal = defineSignal(IMPORT_CHANGED_SIGNAL);
export const importProgressQuery = defineQuery<ImportProgress | null>(IMPORT_PROGRESS_QUERY);

const { importContactsSlice } = proxyActivities<ContactActivities>({
  summary: 'Imports rows for up to ten seconds',
  // A slice lasts ten seconds and the check of a gigabyte a minute; the heartbeat notices a dead worker long before.
  startToCloseTimeout: '30 minutes',
  heartbeatTimeout: '10 seconds',
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '30 seconds' },
});

const { cancelImportJob } = proxyActivities<ContactActivities>({
  summary: 'Marks the import as cancelled',
  startToCloseTimeout: '30 seconds',
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '30 seconds' },
});

/** Imports a CSV file, slice by slice, until its row says that it has ended. */
export async function importContacts(input: ImportContactsInput): Promise<ImportSlice> {
  let latest: ImportProgress | null = null;
  setHandler(importChangedSignal, () => {});
  setHandler(importProgressQuery, () => latest);
  setCurrentDetails('Checking the file');
  try {
    for (;;) {
      const slice = await importContactsSlice(input);
      latest = slice.progress;
      setCurrentDetails(describe(slice));
      if (slice.state !== 'CONTINUE') return slice;
      if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof importContacts>(input);
    }
  } catch (error) {
    if (isCancellation(error)) await CancellationScope.nonCancellable(() => cancelImportJob(input));
    throw error;
  }
}

function describe({ state, progress, code }: ImportSlice): string {
  const { rowsDone, rowsTotal, created, updated, unchanged, rejected } = progress;
  const share = rowsTotal === null || rowsTotal === 0 ? '' : ` (${Math.floor((100 * rowsDone) / rowsTotal)} %)`;
  return [
    `**${state === 'CONTINUE' ? 'RUNNING' : state}**${code === null ? '' : ` · ${code}`}`,
    `${rowsDone} of ${rowsTotal ?? 'an unknown number of'} rows${share}`,
    `created ${created}, updated ${updated}, unchanged ${unchanged}, rejected ${rejected}`,
  ].join('\n\n');
}
