import { resolveKeys } from '../../db/campaigns';
import { decide, findTemplate } from '../../db/content';
import {
  audienceSize,
  insertSequence,
  listSequences,
  mailboxesByIds,
  releasePlanned,
  replaceSteps,
  type SequenceRow,
  type SequenceValues,
  setMailboxes,
  setStepMessage,
  updateSequence,
} from '../../db/journeys';
import { canonicalHash } from '../../domain/content';
import { invalidField } from '../http/problem';
import { type AnyRoute, defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeIdCursor, pageOf, pageQuery, problemDocument } from '../http/schemas';
import { planSoon } from './plan-soon';
import { newSequence, type SequenceInput, sequenceChange, sequenceDocument, showSequence } from './schemas';
import { ONE, PATH, params, requireLockedSequence, requireSequence, requireSequenceState, TAG } from './shared';

const DEFAULT_PURPOSE = 'newsletter';

/** The values after a change, everything that they refer to checked; 422 for what does not exist. */
async function valuesOf(
  context: WorkspaceContext,
  before: SequenceRow | null,
  input: SequenceInput,
): Promise<SequenceValues> {
  const { tx, workspaceId } = context;
  const purpose = input.purpose ?? (before === null ? DEFAULT_PURPOSE : null);
  const found = await resolveKeys(tx, workspaceId, { category: input.category ?? null, purpose });
  if (input.category && !found.categoryId) throw invalidField('category', 'No preference category has this key.');
  if (purpose !== null && found.purpose?.kind !== 'marketing') {
    throw invalidField('purpose', `There is no marketing purpose with the key ${purpose}.`);
  }
  const purposeId = found.purpose?.id ?? before?.purpose_id;
  if (!purposeId) throw invalidField('purpose', 'A sequence needs a purpose.');
  const window = input.send_window ?? before?.send_window;
  if (!window) throw invalidField('send_window', 'A sequence needs a window.');
  const goal = input.goal_audience_id;
  if (goal && (await audienceSize(tx, workspaceId, goal)) === null) {
    throw invalidField('goal_audience_id', 'No audience with this id exists.');
  }
  return {
    name: input.name ?? before?.name ?? '',
    description: input.description ?? before?.description ?? '',
    sendWindow: window,
    useContactTimeZone: input.use_contact_time_zone ?? before?.use_contact_time_zone ?? true,
    severalPerDay: input.several_per_day ?? before?.several_per_day ?? false,
    reenrolAfterDays:
      input.reenrol_after_days === undefined ? (before?.reenrol_after_days ?? null) : input.reenrol_after_days,
    purposeId,
    categoryId: input.category === undefined ? (before?.category_id ?? null) : found.categoryId,
    goalAudienceId: goal === undefined ? (before?.goal_audience_id ?? null) : goal,
    tracking: input.tracking ?? before?.tracking ?? true,
  };
}

/** Writes steps and mailboxes of the input, if it has any. */
async function writeParts(context: WorkspaceContext, sequenceId: string, input: SequenceInput): Promise<void> {
  const { tx, workspaceId } = context;
  if (input.mailbox_ids) {
    const known = new Set((await mailboxesByIds(tx, workspaceId, input.mailbox_ids)).map((mailbox) => mailbox.id));
    for (const [n, mailboxId] of input.mailbox_ids.entries()) {
      if (!known.has(mailboxId)) throw invalidField(`mailbox_ids/${n}`, 'No mailbox with this id exists.');
    }
    await setMailboxes(tx, workspaceId, sequenceId, input.mailbox_ids);
  }
  if (input.steps) {
    for (const [n, step] of input.steps.entries()) {
      if (!(await findTemplate(tx, workspaceId, step.template_id))) {
        throw invalidField(`steps/${n}/template_id`, 'No template with this id exists.');
      }
    }
    const steps = input.steps.map((step) => ({
      waitDays: step.wait_days,
      templateId: step.template_id,
      templateContext: step.template_context,
    }));
    await replaceSteps(tx, workspaceId, sequenceId, steps);
  }
}

/** What approvals pin of a sequence; a change of it takes them back. */
function pinnedOf(row: SequenceRow) {
  const steps = row.steps.map(({ template_id, template_context }) => ({ template_id, template_context }));
  const { purpose_id, category_id, tracking, mailbox_ids } = row;
  return canonicalHash({ steps, purpose_id, category_id, tracking, mailbox_ids });
}

/** Takes back what was submitted or approved of the steps. */
export async function voidMessages(context: WorkspaceContext, row: SequenceRow, comment: string): Promise<void> {
  const { tx, workspaceId, actor } = context;
  for (const step of row.steps) {
    if (!step.message_id) continue;
    const decision = {
      workspaceId,
      messageId: step.message_id,
      decision: 'VOIDED',
      comment,
      decidedBy: actor.userId,
    } as const;
    await decide(tx, decision);
    await setStepMessage(tx, workspaceId, row.id, step.step_number, null);
  }
}

const create = defineRoute({
  operationId: 'createSequence',
  method: 'post',
  path: PATH,
  tag: TAG,
  summary: 'Makes a sequence in DRAFT',
  access: 'workspace',
  permission: 'campaigns:write',
  idempotent: true,
  body: newSequence,
  responses: { 201: { description: 'The sequence', schema: sequenceDocument } },
  async handle(context, { body }) {
    const { tx, workspaceId, actor } = context;
    const sequenceId = await insertSequence(tx, workspaceId, await valuesOf(context, null, body), actor.userId);
    await writeParts(context, sequenceId, body);
    const shown = showSequence(await requireSequence(context, sequenceId));
    await context.audit({ action: 'sequence.create', entityType: 'sequence', entityId: sequenceId, new: shown });
    return { status: 201, body: shown, version: shown.version };
  },
});

const list = defineRoute({
  operationId: 'listSequences',
  method: 'get',
  path: PATH,
  tag: TAG,
  summary: 'Lists sequences, newest first',
  access: 'workspace',
  permission: 'campaigns:read',
  query: pageQuery,
  responses: { 200: { description: 'A page of sequences', schema: pageOf(sequenceDocument) } },
  async handle({ tx, workspaceId }, { query }) {
    const rows = await listSequences(tx, workspaceId, decodeIdCursor(query.cursor), query.limit + 1);
    return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], showSequence) };
  },
});

const get = defineRoute({
  operationId: 'getSequence',
  method: 'get',
  path: ONE,
  tag: TAG,
  summary: 'Shows a sequence with its steps and counts',
  access: 'workspace',
  permission: 'campaigns:read',
  params,
  responses: { 200: { description: 'The sequence', schema: sequenceDocument } },
  async handle(context, input) {
    const shown = showSequence(await requireSequence(context, input.params.sequence_id));
    return { status: 200, body: shown, version: shown.version };
  },
});

const update = defineRoute({
  operationId: 'updateSequence',
  method: 'patch',
  path: ONE,
  tag: TAG,
  summary: 'Changes a sequence',
  description:
    'Steps, mailboxes, purpose, category and tracking can be changed while it is not active, and take its approvals ' +
    'back; a change of waits alone does not. Another window gives planned mail other slots. Honours If-Match.',
  access: 'workspace',
  permission: 'campaigns:write',
  params,
  body: sequenceChange,
  responses: {
    200: { description: 'The sequence', schema: sequenceDocument },
    409: { description: 'It is active', schema: problemDocument },
    412: { description: 'It was changed in the meantime', schema: problemDocument },
  },
  async handle(context, { params: { sequence_id }, body, ifMatch }) {
    const { tx, workspaceId, actor } = context;
    const before = await requireLockedSequence(context, sequence_id, ifMatch);
    const pins = ['steps', 'mailbox_ids', 'purpose', 'category', 'tracking'] as const;
    if (pins.some((field) => body[field] !== undefined)) requireSequenceState('edit', before);
    await updateSequence(tx, workspaceId, sequence_id, await valuesOf(context, before, body), actor.userId);
    const messages = new Map(before.steps.map((step) => [step.step_number, step.message_id]));
    await writeParts(context, sequence_id, body);
    const after = await requireSequence(context, sequence_id);
    if (pinnedOf(after) !== pinnedOf(before)) await voidMessages(context, before, 'The sequence was edited.');
    else if (body.steps) {
      for (const step of after.steps) {
        const messageId = messages.get(step.step_number) ?? null;
        if (messageId) await setStepMessage(tx, workspaceId, sequence_id, step.step_number, messageId);
      }
    }
    const movesSlots = canonicalHash(before.send_window) !== canonicalHash(after.send_window);
    if (movesSlots || before.use_contact_time_zone !== after.use_contact_time_zone) {
      await releasePlanned(tx, workspaceId, { sequenceId: sequence_id });
      planSoon(context);
    }
    const shown = showSequence(await requireSequence(context, sequence_id));
    await context.audit({
      action: 'sequence.update',
      entityType: 'sequence',
      entityId: sequence_id,
      old: showSequence(before),
      new: shown,
    });
    return { status: 200, body: shown, version: shown.version };
  },
});

export const sequenceCrudRoutes: AnyRoute[] = [create, list, get, update];
