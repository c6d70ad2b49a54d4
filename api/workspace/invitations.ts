import { ensureSystemTemplate } from '../../db/consent';
import { freezeTemplateMessage } from '../../db/content';
import { enqueueDelivery } from '../../db/delivery';
import {
  findInvitation,
  findMember,
  findWorkspace,
  type Invitation,
  insertInvitation,
  isMemberAddress,
  listInvitations,
  revokeInvitation,
} from '../../db/workspace';
import { INVITATION_TEMPLATE, mailLanguage } from '../../domain/consent';
import { laneWorkflow } from '../../domain/delivery';
import { randomToken, sha256 } from '../../platform/crypto';
import { ensureWorkflow } from '../../platform/temporal';
import { notFound, Problem, wrongState } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeIdCursor, emailAddress, id, pageOf, pageQuery, z } from '../http/schemas';
import { invitation, role, showInvitation } from './schemas';

const TAG = 'Members';
const BASE = '/workspaces/{ws}/invitations';
const INVITATION_DAYS = 7;

const newInvitation = invitation.extend({
  token: z.string(),
  delivery_id: id.nullable().openapi({ description: 'The mail; null: the template is not active, so none is sent.' }),
});

/**
 * Puts the invitation's mail into the ledger, as transactional mail to the invited address. The link is made where the
 * mail is rendered, from the row's source and expiry, so that it is stored nowhere.
 */
async function mailInvitation(context: WorkspaceContext, made: Invitation): Promise<string | null> {
  const { tx, workspaceId, deps, actor } = context;
  await ensureSystemTemplate(tx, workspaceId, INVITATION_TEMPLATE);
  const defaultSender = { email: deps.config.EMAIL_FROM, name: deps.config.EMAIL_FROM_NAME };
  // Nothing is known of who is invited but the house they are invited to.
  const workspace = await findWorkspace(tx, workspaceId);
  const language = mailLanguage(workspace?.defaultLocale);
  const inviter = await findMember(tx, workspaceId, actor.userId);
  const frozen = await freezeTemplateMessage(tx, { workspaceId, slug: INVITATION_TEMPLATE, language, defaultSender });
  if (!frozen) return null;
  const enqueued = await enqueueDelivery(tx, {
    workspaceId,
    sourceType: 'TRANSACTIONAL',
    sourceId: made.id,
    stepKey: 'invitation',
    contactId: null,
    address: made.email,
    recipientName: null,
    addressHash: deps.addressHasher.hash(made.email),
    emailDomain: made.email.split('@').at(-1) ?? '',
    messageId: frozen.messageId,
    context: { invitation: true, role: made.role, invited_by: inviter?.name ?? null },
    expiresAt: made.expiresAt,
  });
  if (enqueued.wake) {
    context.afterCommit(async () => {
      await ensureWorkflow(deps.temporal, laneWorkflow({ workspaceId, laneId: enqueued.laneId, urgent: true }));
    });
  }
  return enqueued.deliveryId;
}

export const createInvitation = defineRoute({
  operationId: 'createInvitation',
  method: 'post',
  path: BASE,
  tag: TAG,
  summary: 'Invite somebody',
  description:
    'Mailed to the address with a link, if the template `workspace-invitation` is active. The token is shown once, too, for handing it over yourself; both last seven days. An older open invitation for the same address ends.',
  access: 'workspace',
  permission: 'members:write',
  body: z.strictObject({ email: emailAddress, role }),
  responses: { 201: { description: 'Invited', schema: newInvitation } },
  async handle(context, { body }) {
    const { tx, workspaceId, actor } = context;
    if (await isMemberAddress(tx, workspaceId, body.email)) {
      throw new Problem('conflict', 'Somebody with this address is a member already.');
    }
    const token = randomToken();
    const made = await insertInvitation(tx, {
      workspaceId,
      email: body.email,
      role: body.role,
      tokenHash: sha256(token),
      invitedBy: actor.userId,
      days: INVITATION_DAYS,
    });
    await context.audit({
      action: 'invitation.create',
      entityType: 'invitation',
      entityId: made.id,
      new: showInvitation(made),
    });
    const deliveryId = await mailInvitation(context, made);
    return { status: 201, body: { ...showInvitation(made), token, delivery_id: deliveryId } };
  },
});

export const listWorkspaceInvitations = defineRoute({
  operationId: 'listInvitations',
  method: 'get',
  path: BASE,
  tag: TAG,
  summary: 'List invitations, newest first',
  access: 'workspace',
  permission: 'members:read',
  query: pageQuery,
  responses: { 200: { description: 'A page of invitations', schema: pageOf(invitation) } },
  async handle({ tx, workspaceId }, { query }) {
    const before = decodeIdCursor(query.cursor);
    const rows = await listInvitations(tx, workspaceId, { before, limit: query.limit + 1 });
    return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], showInvitation) };
  },
});

export const revokeWorkspaceInvitation = defineRoute({
  operationId: 'revokeInvitation',
  method: 'delete',
  path: `${BASE}/{invitation_id}`,
  tag: TAG,
  summary: 'Revoke an invitation',
  access: 'workspace',
  permission: 'members:write',
  params: z.object({ invitation_id: id }),
  responses: { 204: { description: 'Revoked' } },
  async handle(context, { params }) {
    const { tx, workspaceId } = context;
    const found = await findInvitation(tx, workspaceId, params.invitation_id);
    if (!found) throw notFound('invitation');
    if (!(await revokeInvitation(tx, workspaceId, found.id))) {
      throw wrongState('invitation', found.status, 'Only an open one can be revoked.');
    }
    await context.audit({
      action: 'invitation.revoke',
      entityType: 'invitation',
      entityId: found.id,
      old: showInvitation(found),
    });
    return { status: 204 };
  },
});
