import { Context } from '@temporalio/activity';
import type { ErasureStep, RightsJobInput } from '../../domain/contacts/contract';
import type { ActivityDependencies } from '../dependencies';
import { runErasure } from './erase';

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

/** Activities about data rights. */
export function createRightsActivities(deps: ActivityDependencies) {
  return {
    /** Erases what may be erased already; see `runErasure`. */
    eraseContactStep: (input: RightsJobInput): Promise<ErasureStep> => withHeartbeats(() => runErasure(deps, input)),
  };
}

export type RightsActivities = ReturnType<typeof createRightsActivities>;
