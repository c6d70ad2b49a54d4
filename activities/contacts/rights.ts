import { Context } from '@temporalio/activity';
import type { ErasureStep, ExportSlice, RetentionReport, RightsJobInput } from '../../domain/contacts/contract';
import type { ActivityDependencies } from '../dependencies';
import { runErasure } from './erase';
import { runExportSlice } from './export';
import { runRetention } from './retention';

/** Longest slice of an export: the workflow's current details are no older. */
const SLICE_MS = 10_000;
/** Well below the heartbeat time-outs of the workflows. */
const HEARTBEAT_MS = 2_000;

/** Runs an activity's work with heartbeats, which carry nothing. */
async function withHeartbeats<T>(work: () => Promise<T>): Promise<T> {
  const context = Context.current();
  const beat = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(beat);
  }
}

/** To be called where an activity whose work was cancelled may stop. */
function stopWhenCancelled(): void {
  const { cancellationSignal } = Context.current();
  if (cancellationSignal.aborted) throw cancellationSignal.reason;
}

/** Activities about data rights. */
export function createRightsActivities(deps: ActivityDependencies) {
  return {
    /** Erases what may be erased already; see `runErasure`. */
    eraseContactStep: (input: RightsJobInput): Promise<ErasureStep> => withHeartbeats(() => runErasure(deps, input)),

    /** Writes an export's file for up to ten seconds; see `runExportSlice`. */
    exportSlice: (input: RightsJobInput): Promise<ExportSlice> =>
      withHeartbeats(() => runExportSlice(deps, input, { budgetMs: SLICE_MS, pulse: stopWhenCancelled })),

    /** Removes what has been kept for its time; see `runRetention`. */
    enforceRetentionPeriods: (): Promise<RetentionReport> =>
      withHeartbeats(() => runRetention(deps, stopWhenCancelled)),
  };
}

export type RightsActivities = ReturnType<typeof createRightsActivities>;
