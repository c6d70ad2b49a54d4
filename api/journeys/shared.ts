import { findSequence, lockSequence, type SequenceRow } from '../../db/journeys';
import { type SequenceAction, sequenceStatesAllowing } from '../../domain/journeys';
import { notFound, Problem, wrongState } from '../http/problem';
import type { WorkspaceContext } from '../http/route';
import { id, z } from '../http/schemas';

export const PATH = '/workspaces/{ws}/sequences';
export const ONE = `${PATH}/{sequence_id}`;
export const TAG = 'Sequences';
export const params = z.strictObject({ sequence_id: id });

export async function requireSequence(context: WorkspaceContext, sequenceId: string): Promise<SequenceRow> {
  const row = await findSequence(context.tx, context.workspaceId, sequenceId);
  if (!row) throw notFound('sequence');
  return row;
}

/** The sequence, held until the transaction ends, at the version that the client means. */
export async function requireLockedSequence(
  context: WorkspaceContext,
  sequenceId: string,
  ifMatch: number | null,
): Promise<SequenceRow> {
  if (!(await lockSequence(context.tx, context.workspaceId, sequenceId))) throw notFound('sequence');
  const row = await requireSequence(context, sequenceId);
  if (ifMatch !== null && ifMatch !== row.version) {
    throw new Problem('version-mismatch', `The sequence is at version ${row.version}. Read it again, then change it.`);
  }
  return row;
}

const WHAT_TO_DO: Record<SequenceAction, string> = {
  activate: 'It is active already.',
  pause: 'Only an active sequence can be paused.',
  edit: 'Pause it before you change its steps, mailboxes, purpose, category or tracking.',
  delete: 'Pause it first.',
  enrol: 'Activate it before you enrol anybody.',
};

/** Throws 409, saying what to do, unless the action is possible in the sequence's state. */
export function requireSequenceState(action: SequenceAction, row: SequenceRow): void {
  if (!sequenceStatesAllowing(action).includes(row.status))
    throw wrongState('sequence', row.status, WHAT_TO_DO[action]);
}
