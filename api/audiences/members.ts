import {
  type AudienceRow,
  addMembers,
  findAudience,
  listMembers,
  type MemberRow,
  removeMembers,
} from '../../db/audiences';
import { existingContactIds } from '../../db/contacts';
import { notFound, Problem, wrongState } from '../http/problem';
import { defineRoute } from '../http/route';
import { cutPage, id, moment, pageOf, pageQuery, z } from '../http/schemas';
import { AUDIENCE, audienceParams, readIdCursor, requireLocked, TAG } from './audiences';

const MEMBERS = `${AUDIENCE}/members`;
const MAX_PER_CALL = 1_000;

const contactIds = z.strictObject({ contact_ids: z.array(id).min(1).max(MAX_PER_CALL) });

const member = z
  .object({
    contact_id: id,
    email: z.string(),
    status: z.enum(['ACTIVE', 'UNSUBSCRIBED', 'BOUNCED', 'COMPLAINED']),
    first_name: z.string().nullable(),
    last_name: z.string().nullable(),
    added_at: moment,
  })
  .openapi('AudienceMember');

export const memberRoutes = [
  defineRoute({
    method: 'get',
    path: MEMBERS,
    operationId: 'listAudienceMembers',
    tag: TAG,
    summary: 'Lists the contacts of an audience',
    access: 'workspace',
    permission: 'contacts:read',
    params: audienceParams,
    query: pageQuery,
    responses: { 200: { description: 'A page of members', schema: pageOf(member) } },
    async handle(context, { params, query }) {
      const { tx, workspaceId } = context;
      if (!(await findAudience(tx, workspaceId, params.audience_id))) throw notFound('audience');
      const page = { after: readIdCursor(query.cursor), limit: query.limit };
      const rows = await listMembers(tx, workspaceId, params.audience_id, page);
      return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], show) };
    },
  }),
  defineRoute({
    method: 'post',
    path: MEMBERS,
    operationId: 'addAudienceMembers',
    tag: TAG,
    summary: 'Adds contacts to a static list',
    description: 'At most 1,000 at a time; all of them, or none if one does not exist. Who is on the list stays.',
    access: 'workspace',
    permission: 'contacts:write',
    idempotent: true,
    params: audienceParams,
    body: contactIds,
    responses: {
      200: {
        description: 'How many were new',
        schema: z.object({ added: z.number().int(), member_count: z.number().int() }),
      },
    },
    async handle(context, { params, body, ifMatch }) {
      const { tx, workspaceId } = context;
      const before = requireStatic(await requireLocked(context, params.audience_id, ifMatch));
      const ids = [...new Set(body.contact_ids)];
      const known = new Set(await existingContactIds(tx, workspaceId, ids));
      const errors = body.contact_ids.flatMap((contactId, index) =>
        known.has(contactId)
          ? []
          : [{ pointer: `/body/contact_ids/${index}`, detail: 'No contact with this id exists in this workspace.' }],
      );
      const [first] = errors;
      if (first) throw new Problem('validation-failed', first.detail, { errors: errors.slice(0, 20) });
      const added = await addMembers(tx, workspaceId, before.id, ids);
      await context.audit({
        action: 'audience.add-members',
        entityType: 'audience',
        entityId: before.id,
        old: { member_count: before.member_count },
        new: { member_count: before.member_count + added, contact_ids: ids },
      });
      return { status: 200, body: { added, member_count: before.member_count + added } };
    },
  }),
  defineRoute({
    method: 'delete',
    path: MEMBERS,
    operationId: 'removeAudienceMembers',
    tag: TAG,
    summary: 'Takes contacts off a static list',
    description: 'At most 1,000 at a time. Who is not on the list is no error.',
    access: 'workspace',
    permission: 'contacts:write',
    params: audienceParams,
    body: contactIds,
    responses: {
      200: {
        description: 'How many were on it',
        schema: z.object({ removed: z.number().int(), member_count: z.number().int() }),
      },
    },
    async handle(context, { params, body, ifMatch }) {
      const { tx, workspaceId } = context;
      const before = requireStatic(await requireLocked(context, params.audience_id, ifMatch));
      const ids = [...new Set(body.contact_ids)];
      const removed = await removeMembers(tx, workspaceId, before.id, ids);
      await context.audit({
        action: 'audience.remove-members',
        entityType: 'audience',
        entityId: before.id,
        old: { member_count: before.member_count },
        new: { member_count: before.member_count - removed, contact_ids: ids },
      });
      return { status: 200, body: { removed, member_count: before.member_count - removed } };
    },
  }),
];

function requireStatic(audience: AudienceRow): AudienceRow {
  if (audience.type === 'STATIC') return audience;
  throw wrongState(
    'audience',
    'DYNAMIC',
    'Its members follow from its conditions; change those, or keep a static list.',
  );
}

function show(row: MemberRow): z.input<typeof member> {
  return {
    contact_id: row.id,
    email: row.email,
    status: row.status,
    first_name: row.first_name || null,
    last_name: row.last_name || null,
    added_at: row.added_at.toISOString(),
  };
}
