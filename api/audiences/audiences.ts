import {
  type AudienceRow,
  archiveAudience,
  audiencesUsing,
  findAudience,
  insertAudience,
  listAudiences,
  lockAudience,
  updateAudience,
  wouldBeCircular,
} from '../../db/audiences';
import { dependenciesOf } from '../../domain/audiences';
import { invalidField, notFound, Problem, wrongState } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeCursor, headerText, id, moment, pageOf, pageQuery, plainText, z } from '../http/schemas';
import { conditionTree, maybeConditions, requireConditions } from './conditions';
import { followRefresh } from './refresh';

export const AUDIENCES = '/workspaces/{ws}/audiences';
export const AUDIENCE = `${AUDIENCES}/{audience_id}`;
export const TAG = 'Audiences';
export const audienceParams = z.object({ audience_id: id });

export const audience = z
  .object({
    id,
    name: z.string(),
    description: z.string(),
    type: z.enum(['STATIC', 'DYNAMIC']).openapi({
      description: 'STATIC: a list that people keep. DYNAMIC: calculated from its conditions.',
    }),
    conditions: maybeConditions,
    member_count: z.number().int(),
    calculation: z
      .object({
        state: z.enum(['CURRENT', 'PENDING', 'FAILED']),
        error: z.enum(['DEFINITION', 'TIMEOUT', 'DATABASE']).nullable(),
        last_calculated_at: moment.nullable(),
        is_time_dependent: z.boolean(),
      })
      .nullable()
      .openapi({
        description:
          'Of a dynamic audience. PENDING: its members are not those of these conditions yet. FAILED: they are those of the last success.',
      }),
    version: z.number().int(),
    created_at: moment,
    updated_at: moment,
  })
  .openapi('Audience');

const name = headerText(255).trim().min(1);
const newAudience = z.strictObject({
  name,
  description: plainText(2_000).default(''),
  conditions: conditionTree.optional().openapi({ description: 'With conditions the audience is dynamic.' }),
});
const audienceChange = z.strictObject({
  name: name.optional(),
  description: plainText(2_000).optional(),
  conditions: conditionTree.optional(),
});

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
    summary: 'Creates a static list, or a dynamic audience',
    description:
      'A dynamic audience is calculated at once, then every five minutes when something it depends on has changed. Its first calculation, and the first after its conditions changed, tell of no membership changes.',
    access: 'workspace',
    permission: 'contacts:write',
    idempotent: true,
    body: newAudience,
    responses: { 201: { description: 'The audience', schema: audience } },
    async handle(context, { body }) {
      const conditions = body.conditions === undefined ? null : await requireConditions(context, body.conditions);
      const row = await insertAudience(context.tx, context.workspaceId, {
        name: body.name,
        description: body.description,
        conditions,
        createdBy: context.actor.userId,
      });
      await context.audit({ action: 'audience.create', entityType: 'audience', entityId: row.id, new: show(row) });
      if (conditions) followRefresh(context, row.id);
      return { status: 201, body: show(row), version: row.version };
    },
  }),
  defineRoute({
    method: 'get',
    path: AUDIENCES,
    operationId: 'listAudiences',
    tag: TAG,
    summary: 'Lists audiences, newest first',
    access: 'workspace',
    permission: 'contacts:read',
    query: pageQuery,
    responses: { 200: { description: 'A page of audiences', schema: pageOf(audience) } },
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
    summary: 'Reads an audience',
    access: 'workspace',
    permission: 'contacts:read',
    params: audienceParams,
    responses: { 200: { description: 'The audience', schema: audience } },
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
    summary: 'Renames, describes or redefines an audience',
    access: 'workspace',
    permission: 'contacts:write',
    params: audienceParams,
    body: audienceChange,
    responses: { 200: { description: 'The audience', schema: audience } },
    async handle(context, { params, body, ifMatch }) {
      const before = await requireLocked(context, params.audience_id, ifMatch);
      const conditions =
        body.conditions === undefined ? before.definition : await redefine(context, before, body.conditions);
      const after = await updateAudience(context.tx, context.workspaceId, before.id, {
        name: body.name ?? before.name,
        description: body.description ?? before.description,
        conditions,
      });
      await context.audit({
        action: 'audience.update',
        entityType: 'audience',
        entityId: before.id,
        old: show(before),
        new: show(after),
      });
      if (after.type === 'DYNAMIC' && !after.is_calculated) followRefresh(context, after.id);
      return { status: 200, body: show(after), version: after.version };
    },
  }),
  defineRoute({
    method: 'delete',
    path: AUDIENCE,
    operationId: 'deleteAudience',
    tag: TAG,
    summary: 'Takes an audience out of use',
    description: 'Its contacts stay, and so does what was sent to it. Its name becomes free.',
    access: 'workspace',
    permission: 'contacts:write',
    params: audienceParams,
    responses: { 204: { description: 'Taken out of use' } },
    async handle(context, { params, ifMatch }) {
      const before = await requireLocked(context, params.audience_id, ifMatch);
      const users = await audiencesUsing(context.tx, context.workspaceId, before.id);
      if (users.length > 0) {
        throw wrongState('audience', 'IN_USE', `Its members are asked for by the conditions of: ${users.join(', ')}.`);
      }
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

async function redefine(context: WorkspaceContext, before: AudienceRow, given: unknown) {
  if (before.type === 'STATIC') {
    throw invalidField('conditions', 'This is a static list. Create a dynamic audience for conditions.');
  }
  const conditions = await requireConditions(context, given);
  const { usesAudiences } = dependenciesOf(conditions);
  if (await wouldBeCircular(context.tx, context.workspaceId, before.id, usesAudiences)) {
    throw invalidField('conditions', 'The audience would be made of itself, by way of the audiences it asks about.');
  }
  return conditions;
}

function show(row: AudienceRow): z.input<typeof audience> {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    type: row.type,
    conditions: row.definition,
    calculation: row.type === 'DYNAMIC' ? showCalculation(row) : null,
    member_count: row.member_count,
    version: row.version,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

function showCalculation(row: AudienceRow): z.input<typeof audience>['calculation'] {
  return {
    state: row.calculation_error !== null ? 'FAILED' : row.is_calculated ? 'CURRENT' : 'PENDING',
    error: row.calculation_error,
    last_calculated_at: row.last_calculated_at?.toISOString() ?? null,
    is_time_dependent: row.is_time_dependent,
  };
}
