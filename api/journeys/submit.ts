import { type FrozenContent, findTemplate, findWorkspaceForContent } from '../../db/content';
import { mailboxesByIds, type SequenceRow, type StepRow, setStepMessage } from '../../db/journeys';
import { approveBySubmitting, authorsOf, freezeTexts, isInForce, submitMessage, writtenIn } from '../content';
import { invalidField, Problem } from '../http/problem';
import { type AnyRoute, defineRoute, type WorkspaceContext } from '../http/route';
import { problemDocument } from '../http/schemas';
import { sequenceDocument, showSequence } from './schemas';
import { ONE, params, requireLockedSequence, requireSequence, requireSequenceState, TAG } from './shared';

/** What a step would send at this moment, and who wrote it; throws 422 for what is missing or wrong. */
async function freezeStep(
  context: WorkspaceContext,
  sequence: SequenceRow,
  step: StepRow,
): Promise<{ content: FrozenContent; authors: string[] }> {
  const { tx, workspaceId } = context;
  const place = `steps/${step.step_number - 1}/template_id`;
  const template = await findTemplate(tx, workspaceId, step.template_id);
  if (!template) throw invalidField(place, 'The step’s template was deleted. Choose another one.');
  const mailboxes = await mailboxesByIds(tx, workspaceId, sequence.mailbox_ids);
  const [first] = mailboxes;
  if (!first) throw invalidField('mailbox_ids', 'The sequence has no mailboxes. Add at least one.');
  const workspace = await findWorkspaceForContent(tx, workspaceId);
  const texts = await freezeTexts(context, workspace, {
    written: writtenIn(template),
    template,
    context: step.template_context,
    tracking: sequence.tracking,
  });
  return {
    content: {
      origin: 'STEP',
      campaignId: null,
      ...texts,
      fromName: first.display_name,
      fromEmail: first.email,
      permittedSenders: mailboxes.map((mailbox) => mailbox.email).sort(),
      replyTo: first.reply_to,
      categoryId: sequence.category_id,
      purposeId: sequence.purpose_id,
      audience: null,
    },
    authors: authorsOf(sequence.authors, template),
  };
}

async function submitStep(
  context: WorkspaceContext,
  sequence: SequenceRow,
  step: StepRow,
  frozen: Awaited<ReturnType<typeof freezeStep>>,
  approveAtOnce: boolean,
): Promise<boolean> {
  if (await isInForce(context, step.message_id, frozen.content)) return false;
  const made = await submitMessage(context, step.message_id, frozen);
  await setStepMessage(context.tx, context.workspaceId, sequence.id, step.step_number, made.id);
  if (approveAtOnce) await approveBySubmitting(context, made.id);
  return true;
}

const submit = defineRoute({
  operationId: 'submitSequence',
  method: 'post',
  path: `${ONE}/submit`,
  tag: TAG,
  summary: 'Freezes the messages of all steps and submits them for approval',
  description:
    'One message for each step, with the sequence’s mailboxes as permitted senders; each is approved by itself ' +
    '(`approveMessage`). A message that is submitted or approved already and has not changed stays. With approval ' +
    'mode OFF they are approved at once.',
  access: 'workspace',
  permission: 'campaigns:write',
  idempotent: true,
  params,
  responses: {
    200: { description: 'Submitted', schema: sequenceDocument },
    409: { description: 'It is active', schema: problemDocument },
    422: { description: 'Something is missing', schema: problemDocument },
  },
  async handle(context, input) {
    const seen = await requireSequence(context, input.params.sequence_id);
    requireSequenceState('edit', seen);
    if (seen.steps.length === 0) throw invalidField('steps', 'The sequence has no steps. Add at least one.');
    // Before the lock: compiling may take its time.
    const frozen = [];
    for (const step of seen.steps) frozen.push({ step, ...(await freezeStep(context, seen, step)) });
    const row = await requireLockedSequence(context, seen.id, null);
    if (row.version !== seen.version) {
      throw new Problem('version-mismatch', 'The sequence was changed in the meantime. Read it again, then repeat.');
    }
    const { approval_mode } = await findWorkspaceForContent(context.tx, context.workspaceId);
    const submitted: number[] = [];
    for (const { step, ...content } of frozen) {
      if (await submitStep(context, row, step, content, approval_mode === 'OFF')) submitted.push(step.step_number);
    }
    const shown = showSequence(await requireSequence(context, row.id));
    await context.audit({
      action: 'sequence.submit',
      entityType: 'sequence',
      entityId: row.id,
      new: { steps: submitted, mode: approval_mode, message_ids: shown.steps.map((step) => step.message_id) },
    });
    return { status: 200, body: shown };
  },
});

export const sequenceSubmitRoutes: AnyRoute[] = [submit];
