import {
  type AudienceRow,
  archiveAudience,
  findAudience,
  insertAudience,
  listAudiences,
  lockAudience,
  updateAudience,
} from '../../db/audiences';
import { notFound, Problem } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeCursor, headerText, id, moment, pageOf, pageQuery, plainText, z } from '../http/schemas';

export const AUDIENCES = '/workspaces/{ws}/audiences';
export const AUDIENCE = `${AUDIENCES}/{audience_id}`;
export const TAG = 'Audiences';
export const audienceParams = z.object({ audience_id: id });

export const audience = z
  .object({
    id,
    name: z.string(),
    description: z.string(),
    member_count: z.number().int(),
    version: z.number().int(),
    created_at: moment,
    updated_at: moment,
  })
  .openapi('Audience');

const name = headerText(255).trim().min(1);
const newAudience = z.strictObject({ name, description: plainText(2_000).default('') });
const audienceChange = z.strictObject({ name: name.optional(), description: plainText(2_000).optional() });

/** The list, held until the end of the transaction and of the version that the client means; 404 or 412 otherwise. */
export async function requireLocked(
  context: WorkspaceContext,
  audienceId: string,
  ifMatch: number | null,
): Promise<AudienceRow> {
  const row = await lockAudience(context.tx, context.workspaceId, audienceId);
  if (!row) throw notFound('audience');
  if (ifMatch !== null && ifMatch !== row.version) {
    throw new Problem('version-mismatch', `The audience is at version ${row.version}. Read it again, then change it.`);
  }
  return row;
}

/** The id in a cursor, or null at the beginning; 422 for anything else. */
export function readIdCursor(cursor: string | undefined): string | null {
  const [text] = decodeCursor(cursor, 1) ?? [];
  if (text === undefined) return null;
  const parsed = id.safeParse(text);
  if (parsed.success) return parsed.data;
  const detail = 'The cursor is not one that this list gave out. Leave it away to start from the beginning.';
  throw new Problem('validation-failed', detail, { errors: [{ pointer: '/query/cursor', detail }] });
}

export const audienceCrudRoutes = [
  defineRoute({
    method: 'post',
    path: AUDIENCES,
    operationId: 'createAudience',
    tag: TAG,
    summary: 'Creates a static list',
    access: 'workspace',
    permission: 'contacts:write',
    idempotent: true,
    body: newAudience,
    responses: { 201: { description: 'The list', schema: audience } },
    async handle(context, { body }) {
      const row = await insertAudience(context.tx, context.workspaceId, { ...body, createdBy: context.actor.userId });
      await context.audit({ action: 'audience.create', entityType: 'audience', entityId: row.id, new: show(row) });
      return { status: 201, body: show(row), version: row.version };
    },
  }),
  defineRoute({
    method: 'get',
    path: AUDIENCES,
    operationId: 'listAudiences',
    tag: TAG,
    summary: 'Lists static lists, newest first',
    access: 'workspace',
    permission: 'contacts:read',
    query: pageQuery,
    responses: { 200: { description: 'A page of lists', schema: pageOf(audience) } },
    async handle(context, { query }) {
      const page = { before: readIdCursor(query.cursor), limit: query.limit };
      const rows = await listAudiences(context.tx, context.workspaceId, page);
      return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], show) };
    },
  }),
  defineRoute({
    method: 'get',
    path: AUDIENCE,
    operationId: 'getAudience',
    tag: TAG,
    summary: 'Reads a static list',
    access: 'workspace',
    permission: 'contacts:read',
    params: audienceParams,
    responses: { 200: { description: 'The list', schema: audience } },
    async handle(context, { params }) {
      const row = await findAudience(context.tx, context.workspaceId, params.audience_id);
      if (!row) throw notFound('audience');
      return { status: 200, body: show(row), version: row.version };
    },
  }),
  defineRoute({
    method: 'patch',
    path: AUDIENCE,
    operationId: 'updateAudience',
    tag: TAG,
    summary: 'Renames or describes a static list',
    access: 'workspace',
    permission: 'contacts:write',
    params: audienceParams,
    body: audienceChange,
    responses: { 200: { description: 'The list', schema: audience } },
    async handle(context, { params, body, ifMatch }) {
      const before = await requireLocked(context, params.audience_id, ifMatch);
      const after = await updateAudience(context.tx, context.workspaceId, before.id, { ...before, ...body });
      await context.audit({
        action: 'audience.update',
        entityType: 'audience',
        entityId: before.id,
        old: show(before),
        new: show(after),
      });
      return { status: 200, body: show(after), version: after.version };
    },
  }),
  defineRoute({
    method: 'delete',
    path: AUDIENCE,
    operationId: 'deleteAudience',
    tag: TAG,
    summary: 'Takes a static list out of use',
    description: 'Its contacts stay, and so does what was sent to it. Its name becomes free.',
    access: 'workspace',
    permission: 'contacts:write',
    params: audienceParams,
    responses: { 204: { description: 'Taken out of use' } },
    async handle(context, { params, ifMatch }) {
      const before = await requireLocked(context, params.audience_id, ifMatch);
      await archiveAudience(context.tx, context.workspaceId, before.id);
      await context.audit({
        action: 'audience.delete',
        entityType: 'audience',
        entityId: before.id,
        old: show(before),
      });
      return { status: 204 };
    },
  }),
];

function show(row: AudienceRow): z.input<typeof audience> {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    member_count: row.member_count,
    version: row.version,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}
