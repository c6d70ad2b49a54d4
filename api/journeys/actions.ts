import { moveSequence, type SequenceRow, stopEnrolments } from '../../db/journeys';
import { activationProblem } from '../../domain/journeys';
import { Problem } from '../http/problem';
import { type AnyRoute, defineRoute, type WorkspaceContext } from '../http/route';
import { problemDocument, workflowReference } from '../http/schemas';
import { planSoon } from './plan-soon';
import { sequenceDocument, showSequence } from './schemas';
import { voidMessages } from './sequences';
import { ONE, params, requireLockedSequence, requireSequence, requireSequenceState, TAG } from './shared';

type Transition = Parameters<typeof moveSequence>[3];

/** Moves the sequence with its stream, and audits it. */
async function move(
  context: WorkspaceContext,
  row: SequenceRow,
  action: string,
  transition: Transition,
): Promise<void> {
  if (!(await moveSequence(context.tx, context.workspaceId, row.id, transition))) {
    throw new Error('a locked sequence could not be moved');
  }
  await context.audit({
    action: `sequence.${action}`,
    entityType: 'sequence',
    entityId: row.id,
    old: { status: row.status },
    new: { status: transition.to },
  });
}

const activate = defineRoute({
  operationId: 'activateSequence',
  method: 'post',
  path: `${ONE}/activate`,
  tag: TAG,
  summary: 'Begins or resumes a sequence',
  description:
    'Needs at least one step and one mailbox, and approved messages of all steps. What is due is planned at once.',
  access: 'workspace',
  permission: 'campaigns:operate',
  idempotent: true,
  params,
  responses: {
    202: {
      description: 'Active; today’s mail is being planned',
      schema: sequenceDocument.extend({ workflow: workflowReference }),
    },
    409: { description: 'It is active, or not ready', schema: problemDocument },
  },
  async handle(context, input) {
    const row = await requireLockedSequence(context, input.params.sequence_id, null);
    requireSequenceState('activate', row);
    const problem = activationProblem({ steps: row.steps, mailboxes: row.mailbox_ids.length });
    if (problem) throw new Problem('conflict', problem, { members: { state: row.status } });
    await move(context, row, 'activate', { from: ['DRAFT', 'PAUSED'], to: 'ACTIVE', stream: 'ACTIVE' });
    const workflow = planSoon(context);
    const shown = showSequence(await requireSequence(context, row.id));
    return { status: 202, body: { ...shown, workflow } };
  },
});

const pause = defineRoute({
  operationId: 'pauseSequence',
  method: 'post',
  path: `${ONE}/pause`,
  tag: TAG,
  summary: 'Stops a sequence until it is activated again',
  description:
    'No mail of it is begun later than a second after this answer. What is planned keeps its slot and its unit; what ' +
    'misses its slot gets another one afterwards.',
  access: 'workspace',
  permission: 'campaigns:operate',
  idempotent: true,
  params,
  responses: {
    200: { description: 'Paused', schema: sequenceDocument },
    409: { description: 'It is not active', schema: problemDocument },
  },
  async handle(context, input) {
    const row = await requireLockedSequence(context, input.params.sequence_id, null);
    requireSequenceState('pause', row);
    await move(context, row, 'pause', { from: ['ACTIVE'], to: 'PAUSED', stream: 'PAUSED' });
    return { status: 200, body: showSequence(await requireSequence(context, row.id)) };
  },
});

const remove = defineRoute({
  operationId: 'deleteSequence',
  method: 'delete',
  path: ONE,
  tag: TAG,
  summary: 'Deletes a sequence and ends its enrolments',
  description: 'Planned mail is cancelled. What was sent stays in the ledger.',
  access: 'workspace',
  permission: 'campaigns:write',
  params,
  responses: {
    204: { description: 'Deleted' },
    409: { description: 'It is active', schema: problemDocument },
    412: { description: 'It was changed in the meantime', schema: problemDocument },
  },
  async handle(context, { params: { sequence_id }, ifMatch }) {
    const row = await requireLockedSequence(context, sequence_id, ifMatch);
    requireSequenceState('delete', row);
    await stopEnrolments(context.tx, context.workspaceId, { sequenceId: sequence_id }, 'SEQUENCE_DELETED');
    await voidMessages(context, row, 'The sequence was deleted.');
    await move(context, row, 'delete', { from: ['DRAFT', 'PAUSED'], to: 'ARCHIVED', stream: 'CANCELLED' });
    return { status: 204 };
  },
});

export const sequenceActionRoutes: AnyRoute[] = [activate, pause, remove];
