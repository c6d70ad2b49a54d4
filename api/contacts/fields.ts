import {
  countFieldDefinitions,
  deleteFieldDefinition,
  type FieldDefinitionRow,
  findFieldDefinition,
  insertContactJob,
  insertFieldDefinition,
  isFieldUsed,
  listFieldDefinitions,
  lockFieldDefinition,
  switchFieldIndex,
  toFieldDefinition,
  updateFieldDefinition,
} from '../../db/contacts';
import { checkValue, definitionProblems, FIELD_TYPES, type FieldValue } from '../../domain/contacts';
import { contactJobWorkflow } from '../../domain/contacts/contract';
import { ensureWorkflow } from '../../platform/temporal';
import { notFound, Problem, wrongState } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import {
  cutPage,
  decodeCursor,
  headerText,
  id,
  moment,
  pageOf,
  pageQuery,
  workflowReference,
  z,
} from '../http/schemas';
import { jobReference } from './jobs';
import { fieldValue, TAG } from './schemas';

const FIELDS = '/workspaces/{ws}/contact-fields';
const ONE = `${FIELDS}/{field_id}`;
/** Snapshots are bounded to 32 KiB; more fields than this are a data model, not a profile. */
const MAX_FIELDS = 200;

const params = z.object({ field_id: id });
const enumValues = z.array(z.string().max(1_000)).max(1_000).nullable();

const fieldDefinition = z
  .object({
    id,
    name: z.string(),
    label: z.string(),
    type: z.enum(FIELD_TYPES),
    required: z.boolean(),
    default_value: fieldValue.nullable(),
    enum_values: z.array(z.string()).nullable(),
    archived: z.boolean(),
    is_segmentable: z.boolean().openapi({ description: 'Segments may use it once its index is READY.' }),
    index: z.object({
      state: z.enum(['NONE', 'BUILDING', 'READY', 'REMOVING']),
      job_id: id.nullable().openapi({ description: 'The job that builds or removes it, or did so last.' }),
      workflow: workflowReference.nullable(),
    }),
    version: z.number().int(),
    created_at: moment,
    updated_at: moment,
  })
  .openapi('ContactField');

const newField = z.strictObject({
  name: z.string().max(100).openapi({ description: '^[a-z][a-z0-9_]{0,62}$, not a name that templates use already.' }),
  label: headerText(200).optional(),
  type: z.enum(FIELD_TYPES),
  required: z.boolean().default(false),
  default_value: fieldValue.nullable().default(null),
  enum_values: enumValues.default(null),
  is_segmentable: z.boolean().default(false),
});

const fieldChange = z.strictObject({
  label: headerText(200).optional(),
  type: z.enum(FIELD_TYPES).optional(),
  required: z.boolean().optional(),
  default_value: fieldValue.nullable().optional(),
  enum_values: enumValues.optional(),
  archived: z.boolean().optional(),
  is_segmentable: z.boolean().optional(),
});

type Definition = Pick<FieldDefinitionRow, 'name' | 'type' | 'required' | 'default_value' | 'enum_values'>;

/** The default in its stored form. Throws a problem that names every property which is wrong. */
function requireValid(definition: Definition): FieldValue | null {
  const domain = toFieldDefinition(definition);
  const names: Record<string, string> = { key: 'name', options: 'enum_values', defaultValue: 'default_value' };
  const errors = definitionProblems(domain).map(({ field, message }) => ({
    pointer: `/body/${names[field] ?? field}`,
    detail: message,
  }));
  const [first] = errors;
  if (first)
    throw new Problem('validation-failed', `${first.pointer.slice('/body/'.length)}: ${first.detail}`, { errors });
  if (definition.default_value === null) return null;
  const checked = checkValue(domain, definition.default_value);
  return checked.ok ? checked.value : null;
}

export const fieldRoutes = [
  defineRoute({
    method: 'post',
    path: FIELDS,
    operationId: 'createContactField',
    tag: TAG,
    summary: 'Defines a custom field',
    access: 'workspace',
    permission: 'contacts:write',
    idempotent: true,
    body: newField,
    responses: { 201: { description: 'The definition', schema: fieldDefinition } },
    async handle(context, { body }) {
      const { tx, workspaceId } = context;
      const default_value = requireValid({ ...body });
      if ((await countFieldDefinitions(tx, workspaceId)) >= MAX_FIELDS) {
        throw new Problem('conflict', `A workspace has at most ${MAX_FIELDS} custom fields. Archive one first.`);
      }
      const row = await insertFieldDefinition(tx, workspaceId, {
        ...body,
        default_value,
        label: body.label ?? body.name,
      });
      await context.audit({
        action: 'contact-field.create',
        entityType: 'contact_field',
        entityId: row.id,
        new: show(context, row),
      });
      return { status: 201, body: show(context, row), version: row.version };
    },
  }),
  defineRoute({
    method: 'get',
    path: FIELDS,
    operationId: 'listContactFields',
    tag: TAG,
    summary: 'Lists custom fields by name',
    access: 'workspace',
    permission: 'contacts:read',
    query: pageQuery.extend({ archived: z.enum(['true', 'false']).default('false') }),
    responses: { 200: { description: 'A page of definitions', schema: pageOf(fieldDefinition) } },
    async handle(context, { query }) {
      const [after] = decodeCursor(query.cursor, 1) ?? [];
      const page = { after: after ?? null, limit: query.limit, archived: query.archived === 'true' };
      const rows = await listFieldDefinitions(context.tx, context.workspaceId, page);
      return {
        status: 200,
        body: cutPage(
          rows,
          query.limit,
          (row) => [row.name],
          (row) => show(context, row),
        ),
      };
    },
  }),
  defineRoute({
    method: 'get',
    path: ONE,
    operationId: 'getContactField',
    tag: TAG,
    summary: 'Reads a custom field',
    access: 'workspace',
    permission: 'contacts:read',
    params,
    responses: { 200: { description: 'The definition', schema: fieldDefinition } },
    async handle(context, input) {
      const row = await findFieldDefinition(context.tx, context.workspaceId, input.params.field_id);
      if (!row) throw notFound('contact field');
      return { status: 200, body: show(context, row), version: row.version };
    },
  }),
  defineRoute({
    method: 'patch',
    path: ONE,
    operationId: 'updateContactField',
    tag: TAG,
    summary: 'Changes a custom field',
    description:
      'The type stays once a contact has had a value. An archived field takes no new values; contacts keep what they have. Turning is_segmentable on or off starts a job that builds or removes the index while contacts are written.',
    access: 'workspace',
    permission: 'contacts:write',
    params,
    body: fieldChange,
    responses: {
      200: { description: 'The definition', schema: fieldDefinition },
      202: { description: 'The definition; its index is being built or removed', schema: fieldDefinition },
    },
    async handle(context, input) {
      const { tx, workspaceId } = context;
      const before = await lockFieldDefinition(tx, workspaceId, input.params.field_id);
      if (!before) throw notFound('contact field');
      if (input.ifMatch !== null && input.ifMatch !== before.version) {
        throw new Problem(
          'version-mismatch',
          `The field is at version ${before.version}. Read it again, then change it.`,
        );
      }
      const { archived = before.archived_at !== null, is_segmentable = before.is_segmentable, ...given } = input.body;
      const wanted = { ...before, ...given };
      const default_value = requireValid(wanted);
      if (wanted.type !== before.type && (await isFieldUsed(tx, workspaceId, before.name))) {
        const detail = `The type stays ${before.type}, since contacts have values. Define a new field instead.`;
        throw new Problem('conflict', detail, { errors: [{ pointer: '/body/type', detail }] });
      }
      const switched = is_segmentable !== before.is_segmentable;
      if (switched) await switchIndex(context, before.id, is_segmentable ? 'build' : 'remove');
      const after = await updateFieldDefinition(tx, workspaceId, before.id, { ...wanted, default_value, archived });
      await context.audit({
        action: 'contact-field.update',
        entityType: 'contact_field',
        entityId: before.id,
        old: show(context, before),
        new: show(context, after),
      });
      return { status: switched ? 202 : 200, body: show(context, after), version: after.version };
    },
  }),
  defineRoute({
    method: 'delete',
    path: ONE,
    operationId: 'deleteContactField',
    tag: TAG,
    summary: 'Removes a custom field that no contact has used',
    access: 'workspace',
    permission: 'contacts:write',
    params,
    responses: { 204: { description: 'Removed' } },
    async handle(context, input) {
      const { tx, workspaceId } = context;
      const before = await lockFieldDefinition(tx, workspaceId, input.params.field_id);
      if (!before) throw notFound('contact field');
      if (input.ifMatch !== null && input.ifMatch !== before.version) {
        throw new Problem(
          'version-mismatch',
          `The field is at version ${before.version}. Read it again, then remove it.`,
        );
      }
      if (await isFieldUsed(tx, workspaceId, before.name)) {
        throw wrongState('contact field', 'IN_USE', 'Archive it instead: contacts have, or had, values of it.');
      }
      await deleteFieldDefinition(tx, workspaceId, before.id);
      await context.audit({
        action: 'contact-field.delete',
        entityType: 'contact_field',
        entityId: before.id,
        old: show(context, before),
      });
      return { status: 204 };
    },
  }),
];

/** From this transaction's commit on, writes keep the index or leave it alone; the job does the contacts that are there. */
async function switchIndex(context: WorkspaceContext, fieldId: string, action: 'build' | 'remove'): Promise<void> {
  const { tx, workspaceId, deps, actor } = context;
  const request = { kind: 'buildIndex' as const, fieldId, action };
  const job = await insertContactJob(tx, { workspaceId, request, createdBy: actor.userId });
  await switchFieldIndex(tx, { workspaceId, id: fieldId, jobId: job.id, action });
  context.afterCommit(async () => {
    await ensureWorkflow(deps.temporal, contactJobWorkflow('buildIndex', { workspaceId, jobId: job.id }));
  });
}

function show(context: WorkspaceContext, row: FieldDefinitionRow): z.input<typeof fieldDefinition> {
  return {
    id: row.id,
    name: row.name,
    label: row.label,
    type: row.type,
    required: row.required,
    default_value:
      row.default_value === null || typeof row.default_value !== 'object' ? row.default_value : [...row.default_value],
    enum_values: row.enum_values,
    archived: row.archived_at !== null,
    is_segmentable: row.is_segmentable,
    index: {
      state: row.index_state,
      job_id: row.index_job_id,
      workflow: row.index_job_id === null ? null : jobReference(context, row.index_job_id),
    },
    version: row.version,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}
