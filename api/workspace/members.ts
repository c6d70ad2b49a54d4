import { changeRole, findMember, listMembers, lockOwners, removeMember } from '../../db/workspace';
import { notFound, Problem } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeIdCursor, id, pageOf, pageQuery, z } from '../http/schemas';
import { member, role, showMember } from './schemas';

const TAG = 'Members';
const BASE = '/workspaces/{ws}/members';
const ONE = `${BASE}/{user_id}`;
const params = z.object({ user_id: id });

export const listWorkspaceMembers = defineRoute({
  operationId: 'listMembers',
  method: 'get',
  path: BASE,
  tag: TAG,
  summary: 'List the members',
  access: 'workspace',
  permission: 'members:read',
  query: pageQuery,
  responses: { 200: { description: 'A page of members', schema: pageOf(member) } },
  async handle({ tx, workspaceId }, { query }) {
    const after = decodeIdCursor(query.cursor);
    const rows = await listMembers(tx, workspaceId, { after, limit: query.limit + 1 });
    return { status: 200, body: cutPage(rows, query.limit, (row) => [row.userId], showMember) };
  },
});

/** Holds the owners, then finds the member; refuses to take the last owner's role. */
async function requireReplaceable(context: WorkspaceContext, userId: string) {
  const owners = await lockOwners(context.tx, context.workspaceId);
  const found = await findMember(context.tx, context.workspaceId, userId);
  if (!found) throw notFound('member');
  return { found, isLastOwner: owners.length === 1 && owners[0] === userId };
}

const lastOwner = () =>
  new Problem('conflict', 'This is the last owner of the workspace. Make somebody else an owner first.');

export const changeMemberRole = defineRoute({
  operationId: 'changeMemberRole',
  method: 'patch',
  path: ONE,
  tag: TAG,
  summary: "Change a member's role",
  description: "The member's API keys can do at most what the new role may.",
  access: 'workspace',
  permission: 'members:write',
  params,
  body: z.strictObject({ role }),
  responses: { 200: { description: 'Changed', schema: member } },
  async handle(context, { params: { user_id: userId }, body }) {
    const { found, isLastOwner } = await requireReplaceable(context, userId);
    if (isLastOwner && body.role !== 'owner') throw lastOwner();
    await changeRole(context.tx, context.workspaceId, userId, body.role);
    await context.audit({
      action: 'member.change-role',
      entityType: 'user',
      entityId: userId,
      old: { role: found.role },
      new: { role: body.role },
    });
    return { status: 200, body: showMember({ ...found, role: body.role }) };
  },
});

export const removeWorkspaceMember = defineRoute({
  operationId: 'removeMember',
  method: 'delete',
  path: ONE,
  tag: TAG,
  summary: 'Remove a member',
  description: "The member's API keys of this workspace are deleted with the membership.",
  access: 'workspace',
  permission: 'members:write',
  params,
  responses: { 204: { description: 'Removed' } },
  async handle(context, { params: { user_id: userId } }) {
    const { found, isLastOwner } = await requireReplaceable(context, userId);
    if (isLastOwner) throw lastOwner();
    const keys = await removeMember(context.tx, context.workspaceId, userId);
    await context.audit({
      action: 'member.remove',
      entityType: 'user',
      entityId: userId,
      old: { role: found.role, api_keys: keys },
    });
    return { status: 204 };
  },
});
