import { lockRuns, rearmWaitingRun } from '../../db/campaigns';
import {
  type ApprovalRow,
  decide,
  type FrozenMessage,
  findMessage,
  findWorkspaceForContent,
  isIntact,
  listApprovals,
  listMessages,
  type MessageSummary,
} from '../../db/content';
import { approvalRefusal } from '../../domain/campaigns';
import { ROUTING_STRATEGIES } from '../../domain/senders';
import { maybeConditions } from '../audiences';
import { notFound, Problem, wrongState } from '../http/problem';
import { type AnyRoute, defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeCursor, id, moment, pageOf, pageQuery, plainText, problemDocument, z } from '../http/schemas';

const PATH = '/workspaces/{ws}/email-marketing/messages';
const params = z.strictObject({ message_id: id });
const approvalState = z.enum(['NONE', 'SUBMITTED', 'APPROVED', 'REJECTED', 'VOIDED']);

const summary = z
  .object({
    id: z.uuid(),
    origin: z.enum(['CAMPAIGN', 'TEMPLATE', 'TEST', 'STEP']),
    campaign_id: z.uuid().nullable(),
    template_id: z.uuid().nullable(),
    template_version: z.number().int().nullable(),
    subject: z.string(),
    from_name: z.string(),
    from_email: z.string(),
    sha256: z.string().openapi({ description: 'Canonical hash of everything that an approval pins.' }),
    approval: approvalState,
    submitted_by: z.uuid().nullable(),
    submitted_at: moment.nullable(),
    created_at: moment,
  })
  .openapi('MessageSummary');

export const messageDocument = summary
  .extend({
    html: z.string(),
    text: z.string(),
    preview_text: z.string(),
    reply_to: z.string().nullable(),
    routing: z
      .object({
        pool_id: z.uuid().nullable(),
        strategy: z.enum(ROUTING_STRATEGIES).nullable(),
        preferred_providers: z.array(z.uuid()),
        fallback_enabled: z.boolean(),
        senders: z.array(z.object({ email: z.string(), name: z.string(), reply_to: z.string().nullable() })),
      })
      .nullable()
      .openapi({ description: 'What the approval permits of pool, From addresses and providers.' }),
    links: z.array(z.string()).openapi({ description: 'Where clicks are counted, by link number.' }),
    category_id: z.uuid().nullable(),
    purpose_id: z.uuid().nullable(),
    audience: z
      .object({
        include: z.array(z.uuid()),
        exclude: z.array(z.uuid()),
        all_consented: z.boolean(),
        conditions: maybeConditions,
      })
      .nullable(),
    template_context: z.record(z.string(), z.unknown()),
    tracking: z.boolean(),
    approvals: z.array(
      z.object({
        decision: z.enum(['APPROVED', 'REJECTED', 'VOIDED']),
        sha256: z.string(),
        comment: z.string(),
        decided_by: z.uuid().nullable(),
        decided_at: moment,
      }),
    ),
  })
  .openapi('Message');

function toSummary(row: MessageSummary) {
  const { id: messageId, origin, campaign_id, template_id, template_version, subject } = row;
  const { from_name, from_email, sha256, approval, submitted_by } = row;
  return {
    ...{ id: messageId, origin, campaign_id, template_id, template_version, subject, from_name, from_email, sha256 },
    ...{ approval, submitted_by },
    submitted_at: row.submitted_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
  };
}

export function toMessageDocument(message: FrozenMessage, approvals: ApprovalRow[]) {
  return {
    id: message.id,
    origin: message.origin,
    campaign_id: message.campaignId,
    template_id: message.templateId,
    template_version: message.templateVersion,
    subject: message.subject,
    html: message.html,
    text: message.text,
    preview_text: message.previewText,
    from_name: message.fromName,
    from_email: message.fromEmail,
    reply_to: message.replyTo,
    routing: message.routing ?? null,
    links: [...message.compiled.links],
    category_id: message.categoryId,
    purpose_id: message.purposeId,
    audience:
      message.audience === null
        ? null
        : {
            include: message.audience.include,
            exclude: message.audience.exclude,
            all_consented: message.audience.allConsented,
            conditions: message.audience.conditions ?? null,
          },
    template_context: message.templateContext,
    tracking: message.tracking,
    sha256: message.sha256,
    approval: message.approval,
    submitted_by: message.submittedBy,
    submitted_at: message.submittedAt?.toISOString() ?? null,
    created_at: message.createdAt.toISOString(),
    approvals: approvals.map(({ decision, sha256, comment, decided_by, decided_at }) => ({
      ...{ decision, sha256, comment, decided_by },
      decided_at: decided_at.toISOString(),
    })),
  };
}

export async function showMessage(context: WorkspaceContext, messageId: string) {
  const message = await findMessage(context.tx, context.workspaceId, messageId);
  if (!message) throw notFound('message');
  return toMessageDocument(message, await listApprovals(context.tx, context.workspaceId, messageId));
}

const list = defineRoute({
  operationId: 'listMessages',
  method: 'get',
  path: PATH,
  tag: 'Content',
  summary: 'Lists frozen messages, newest first',
  description: 'With `approval=SUBMITTED`: what waits for an approver.',
  access: 'workspace',
  permission: 'content:read',
  query: pageQuery.extend({ approval: approvalState.optional(), campaign_id: id.optional() }),
  responses: { 200: { description: 'A page of messages', schema: pageOf(summary) } },
  async handle(context, { query }) {
    const [after = null] = decodeCursor(query.cursor, 1) ?? [];
    const rows = await listMessages(context.tx, context.workspaceId, {
      approval: query.approval ?? null,
      campaignId: query.campaign_id ?? null,
      after,
      limit: query.limit,
    });
    return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], toSummary) };
  },
});

const get = defineRoute({
  operationId: 'getMessage',
  method: 'get',
  path: `${PATH}/{message_id}`,
  tag: 'Content',
  summary: 'Shows a frozen message with every decision over it',
  access: 'workspace',
  permission: 'content:read',
  params,
  responses: { 200: { description: 'The message', schema: messageDocument } },
  handle: async (context, input) => ({ status: 200, body: await showMessage(context, input.params.message_id) }),
});

const approve = defineRoute({
  operationId: 'approveMessage',
  method: 'post',
  path: `${PATH}/{message_id}/approve`,
  tag: 'Content',
  summary: 'Approves a submitted message',
  description:
    'Pins its hash: only this content may be sent, to this audience, from this sender. Where four eyes are asked for, ' +
    'nobody approves what they submitted or wrote a part of.',
  access: 'workspace',
  permission: 'content:approve',
  params,
  body: z.strictObject({ comment: plainText(2_000).optional() }).optional(),
  responses: {
    200: { description: 'Approved', schema: messageDocument },
    403: { description: 'You wrote or submitted it', schema: problemDocument },
    409: { description: 'It is not waiting for approval', schema: problemDocument },
  },
  handle: (context, input) => decideOver(context, input.params.message_id, 'APPROVED', input.body?.comment ?? ''),
});

const reject = defineRoute({
  operationId: 'rejectMessage',
  method: 'post',
  path: `${PATH}/{message_id}/reject`,
  tag: 'Content',
  summary: 'Rejects a submitted message, with the reason',
  access: 'workspace',
  permission: 'content:approve',
  params,
  body: z.strictObject({ comment: plainText(2_000).refine((text) => text.trim() !== '', 'say why') }),
  responses: {
    200: { description: 'Rejected', schema: messageDocument },
    409: { description: 'It is not waiting for approval', schema: problemDocument },
  },
  handle: (context, input) => decideOver(context, input.params.message_id, 'REJECTED', input.body.comment),
});

async function decideOver(
  context: WorkspaceContext,
  messageId: string,
  decision: 'APPROVED' | 'REJECTED',
  comment: string,
) {
  const { tx, workspaceId, actor } = context;
  const message = await findMessage(tx, workspaceId, messageId);
  if (!message) throw notFound('message');
  if (message.approval !== 'SUBMITTED') throw notWaiting(message.approval);
  if (decision === 'APPROVED') {
    const { approval_mode } = await findWorkspaceForContent(tx, workspaceId);
    const refusal = approvalRefusal(approval_mode, message, actor.userId);
    if (refusal) throw new Problem('forbidden', refusal);
    if (!isIntact(message)) throw new Error(`message ${messageId} does not match its hash`);
  }
  // A run that is due waits until this is decided.
  if (message.campaignId) await lockRuns(tx, workspaceId, message.campaignId);
  if (!(await decide(tx, { workspaceId, messageId, decision, comment, decidedBy: actor.userId }))) {
    const now = await findMessage(tx, workspaceId, messageId);
    throw notWaiting(now?.approval ?? 'VOIDED');
  }
  if (decision === 'APPROVED' && message.campaignId)
    await rearmWaitingRun(tx, workspaceId, message.campaignId, message);
  await context.audit({
    action: decision === 'APPROVED' ? 'message.approve' : 'message.reject',
    entityType: 'message',
    entityId: messageId,
    old: { approval: message.approval },
    new: { approval: decision, sha256: message.sha256, comment },
  });
  return { status: 200, body: await showMessage(context, messageId) };
}

function notWaiting(state: string): Problem {
  return wrongState('message', state, 'Only a SUBMITTED message can be approved or rejected.');
}

export const messageRoutes: AnyRoute[] = [list, get, approve, reject];
