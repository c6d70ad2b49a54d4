import {
  deleteEventType,
  type EventTypeRow,
  insertEventType,
  listEventTypes,
  lockEventType,
  updateEventType,
} from '../../db/events';
import { EVENT_FIELD_TYPES, eventTypeProblem } from '../../domain/events';
import { invalidField, notFound, Problem } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeCursor, id, moment, pageOf, pageQuery, plainText, z } from '../http/schemas';
import { TAG } from './events';

const TYPES = '/workspaces/{ws}/event-types';
const TYPE = `${TYPES}/{event_type_id}`;
const params = z.strictObject({ event_type_id: id });

const fields = z
  .array(
    z.strictObject({
      name: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,62}$/, 'must be a name of letters, digits and _'),
      type: z.enum(EVENT_FIELD_TYPES),
      required: z.boolean().default(false),
    }),
  )
  .max(100)
  .refine((list) => new Set(list.map((field) => field.name)).size === list.length, 'names a field twice');

const eventType = z
  .object({
    id,
    name: z.string(),
    description: z.string(),
    fields: fields.nullable().openapi({
      description: 'What the payload must look like; members beyond it may be anything. Null: any payload.',
    }),
    version: z.number().int(),
    created_at: moment,
    updated_at: moment,
  })
  .openapi('EventType');

const newType = z.strictObject({
  name: z.string().max(200),
  description: plainText(2_000).default(''),
  fields: fields.nullable().default(null),
});
const typeChange = z.strictObject({ description: plainText(2_000).optional(), fields: fields.nullable().optional() });

async function requireLocked(context: WorkspaceContext, typeId: string, ifMatch: number | null): Promise<EventTypeRow> {
  const row = await lockEventType(context.tx, context.workspaceId, typeId);
  if (!row) throw notFound('event type');
  if (ifMatch !== null && ifMatch !== row.version) {
    throw new Problem(
      'version-mismatch',
      `The event type is at version ${row.version}. Read it again, then change it.`,
    );
  }
  return row;
}

export const typeRoutes = [
  defineRoute({
    method: 'post',
    path: TYPES,
    operationId: 'createEventType',
    tag: TAG,
    summary: 'Describes a type of events',
    description: 'Events of types that nobody described are taken in with any payload.',
    access: 'workspace',
    permission: 'contacts:write',
    idempotent: true,
    body: newType,
    responses: { 201: { description: 'The type', schema: eventType } },
    async handle(context, { body }) {
      const problem = eventTypeProblem(body.name);
      if (problem) throw invalidField('name', `The name ${problem}.`);
      const row = await insertEventType(context.tx, context.workspaceId, { ...body, createdBy: context.actor.userId });
      await context.audit({ action: 'event-type.create', entityType: 'event-type', entityId: row.id, new: show(row) });
      return { status: 201, body: show(row), version: row.version };
    },
  }),
  defineRoute({
    method: 'get',
    path: TYPES,
    operationId: 'listEventTypes',
    tag: TAG,
    summary: 'Lists described types of events by name',
    access: 'workspace',
    permission: 'contacts:read',
    query: pageQuery,
    responses: { 200: { description: 'A page of types', schema: pageOf(eventType) } },
    async handle(context, { query }) {
      const [after] = decodeCursor(query.cursor, 1) ?? [];
      const rows = await listEventTypes(context.tx, context.workspaceId, { after: after ?? null, limit: query.limit });
      return { status: 200, body: cutPage(rows, query.limit, (row) => [row.name], show) };
    },
  }),
  defineRoute({
    method: 'patch',
    path: TYPE,
    operationId: 'updateEventType',
    tag: TAG,
    summary: 'Describes a type of events otherwise',
    description: 'Events that came in before stay as they are.',
    access: 'workspace',
    permission: 'contacts:write',
    params,
    body: typeChange,
    responses: { 200: { description: 'The type', schema: eventType } },
    async handle(context, { params: { event_type_id }, body, ifMatch }) {
      const before = await requireLocked(context, event_type_id, ifMatch);
      const after = await updateEventType(context.tx, context.workspaceId, before.id, {
        description: body.description ?? before.description,
        fields: body.fields === undefined ? before.fields : body.fields,
      });
      await context.audit({
        ...{ action: 'event-type.update', entityType: 'event-type', entityId: before.id },
        ...{ old: show(before), new: show(after) },
      });
      return { status: 200, body: show(after), version: after.version };
    },
  }),
  defineRoute({
    method: 'delete',
    path: TYPE,
    operationId: 'deleteEventType',
    tag: TAG,
    summary: 'Forgets what a type of events looks like',
    description: 'Its events stay, and further ones are taken in with any payload.',
    access: 'workspace',
    permission: 'contacts:write',
    params,
    responses: { 204: { description: 'Forgotten' } },
    async handle(context, { params: { event_type_id }, ifMatch }) {
      const before = await requireLocked(context, event_type_id, ifMatch);
      await deleteEventType(context.tx, context.workspaceId, before.id);
      await context.audit({
        action: 'event-type.delete',
        entityType: 'event-type',
        entityId: before.id,
        old: show(before),
      });
      return { status: 204 };
    },
  }),
];

function show(row: EventTypeRow): z.input<typeof eventType> {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    fields: row.fields,
    version: row.version,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}
