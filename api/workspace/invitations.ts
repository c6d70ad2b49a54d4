import {
  findInvitation,
  insertInvitation,
  isMemberAddress,
  listInvitations,
  revokeInvitation,
} from '../../db/workspace';
import { randomToken, sha256 } from '../../platform/crypto';
import { notFound, Problem, wrongState } from '../http/problem';
import { defineRoute } from '../http/route';
import { cutPage, decodeIdCursor, emailAddress, id, pageOf, pageQuery, z } from '../http/schemas';
import { invitation, role, showInvitation } from './schemas';

const TAG = 'Members';
const BASE = '/workspaces/{ws}/invitations';
const INVITATION_DAYS = 7;

export const createInvitation = defineRoute({
  operationId: 'createInvitation',
  method: 'post',
  path: BASE,
  tag: TAG,
  summary: 'Invite somebody',
  description:
    'The token is shown once and lasts seven days; hand it to the person yourself. An older open invitation for the same address ends.',
  access: 'workspace',
  permission: 'members:write',
  body: z.strictObject({ email: emailAddress, role }),
  responses: { 201: { description: 'Invited', schema: invitation.extend({ token: z.string() }) } },
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
    return { status: 201, body: { ...showInvitation(made), token } };
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
