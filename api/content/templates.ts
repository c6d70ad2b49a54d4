import {
  deleteTemplate,
  findTemplate,
  findWorkspaceForContent,
  insertTemplate,
  listTemplates,
  TEMPLATE_CATEGORIES,
  type TemplateContent,
  type TemplateRow,
  updateTemplate,
} from '../../db/content';
import { canonicalHash } from '../../domain/content';
import { violatedConstraint } from '../../platform/postgres';
import { notFound, Problem } from '../http/problem';
import { type AnyRoute, defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeCursor, id, pageOf, pageQuery, problemDocument, z } from '../http/schemas';
import { lintContent } from './lint';
import {
  CONTENT_BODY_LIMIT,
  newTemplate,
  savedTemplate,
  templateChange,
  templateDocument,
  toTemplate,
} from './schemas';

const PATH = '/workspaces/{ws}/email-marketing/templates';
const params = z.strictObject({ template_id: id });

async function requireTemplate(context: WorkspaceContext, templateId: string): Promise<TemplateRow> {
  const template = await findTemplate(context.tx, context.workspaceId, templateId);
  if (!template) throw notFound('template');
  return template;
}

/** What the audit keeps: content by its hash, since versions keep the content itself. */
function forAudit(template: TemplateRow) {
  const { name, slug, category, is_active, version, variables } = template;
  const { subject_template, body_html, body_text, preview_text } = template;
  const content_sha256 = canonicalHash({ subject_template, body_html, body_text, preview_text, variables });
  return { name, slug, category, is_active, version, content_sha256 };
}

function slugTaken(error: unknown): unknown {
  return violatedConstraint(error) === 'templates_slug'
    ? new Problem('conflict', 'Another template has this slug.', {
        errors: [{ pointer: '/body/slug', detail: 'is taken by another template' }],
      })
    : error;
}

async function knownVariables(context: WorkspaceContext): Promise<string[]> {
  const workspace = await findWorkspaceForContent(context.tx, context.workspaceId);
  return [...workspace.field_names, ...Object.keys(workspace.template_context)];
}

const list = defineRoute({
  operationId: 'listTemplates',
  method: 'get',
  path: PATH,
  tag: 'Content',
  summary: 'Lists templates, newest first',
  access: 'workspace',
  permission: 'content:read',
  query: pageQuery.extend({
    category: z.enum(TEMPLATE_CATEGORIES).optional(),
    is_active: z.stringbool().optional(),
    slug: z.string().max(100).optional(),
  }),
  responses: { 200: { description: 'A page of templates', schema: pageOf(templateDocument) } },
  async handle(context, { query }) {
    const [after = null] = decodeCursor(query.cursor, 1) ?? [];
    const rows = await listTemplates(context.tx, context.workspaceId, {
      category: query.category ?? null,
      isActive: query.is_active ?? null,
      slug: query.slug ?? null,
      after,
      limit: query.limit,
    });
    return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], toTemplate) };
  },
});

const create = defineRoute({
  operationId: 'createTemplate',
  method: 'post',
  path: PATH,
  tag: 'Content',
  summary: 'Makes a template',
  description:
    'The content is checked: syntax errors, unknown filters and undeclared variables are refused with field, line and ' +
    'column; variables that are declared and not used come back as warnings.',
  access: 'workspace',
  permission: 'content:write',
  idempotent: true,
  body: newTemplate,
  bodyLimit: CONTENT_BODY_LIMIT,
  responses: {
    201: { description: 'The template', schema: savedTemplate },
    409: { description: 'The slug is taken', schema: problemDocument },
  },
  async handle(context, { body }) {
    const content: TemplateContent = {
      subjectTemplate: body.subject_template,
      bodyHtml: body.body_html,
      bodyText: body.body_text,
      previewText: body.preview_text,
      variables: body.variables,
    };
    const known = await knownVariables(context);
    const warnings = await lintContent(context.deps.contentSandbox, content, content.variables, known);
    const templateId = await insertTemplate(context.tx, {
      workspaceId: context.workspaceId,
      name: body.name,
      slug: body.slug,
      category: body.category,
      isActive: body.is_active,
      content,
      createdBy: context.actor.userId,
    }).catch((error: unknown) => {
      throw slugTaken(error);
    });
    const template = await requireTemplate(context, templateId);
    await context.audit({
      action: 'template.create',
      entityType: 'template',
      entityId: templateId,
      new: forAudit(template),
    });
    return { status: 201, body: { ...toTemplate(template), warnings }, version: template.revision };
  },
});

const get = defineRoute({
  operationId: 'getTemplate',
  method: 'get',
  path: `${PATH}/{template_id}`,
  tag: 'Content',
  summary: 'Shows a template',
  access: 'workspace',
  permission: 'content:read',
  params,
  responses: { 200: { description: 'The template', schema: templateDocument } },
  async handle(context, input) {
    const template = await requireTemplate(context, input.params.template_id);
    return { status: 200, body: toTemplate(template), version: template.revision };
  },
});

const update = defineRoute({
  operationId: 'updateTemplate',
  method: 'patch',
  path: `${PATH}/{template_id}`,
  tag: 'Content',
  summary: 'Changes a template',
  description:
    'A change of content makes a new version. Messages that were frozen before keep theirs: an approved campaign sends ' +
    'what was approved. Honours If-Match.',
  access: 'workspace',
  permission: 'content:write',
  params,
  body: templateChange,
  bodyLimit: CONTENT_BODY_LIMIT,
  responses: {
    200: { description: 'The template', schema: savedTemplate },
    409: { description: 'The slug is taken', schema: problemDocument },
    412: { description: 'It was changed in the meantime', schema: problemDocument },
  },
  async handle(context, { params: { template_id }, body, ifMatch }) {
    const before = await requireTemplate(context, template_id);
    if (ifMatch !== null && ifMatch !== before.revision) throw changedMeanwhile();
    const content: TemplateContent = {
      subjectTemplate: body.subject_template ?? before.subject_template,
      bodyHtml: body.body_html ?? before.body_html,
      bodyText: body.body_text === undefined ? before.body_text : body.body_text,
      previewText: body.preview_text ?? before.preview_text,
      variables: body.variables ?? before.variables,
    };
    const changesContent =
      content.subjectTemplate !== before.subject_template ||
      content.bodyHtml !== before.body_html ||
      content.bodyText !== before.body_text ||
      content.previewText !== before.preview_text ||
      canonicalHash(content.variables) !== canonicalHash(before.variables);
    const warnings = changesContent
      ? await lintContent(context.deps.contentSandbox, content, content.variables, await knownVariables(context))
      : [];
    const written = await updateTemplate(context.tx, context.workspaceId, template_id, {
      revision: before.revision,
      name: body.name ?? before.name,
      slug: body.slug ?? before.slug,
      category: body.category ?? before.category,
      isActive: body.is_active ?? before.is_active,
      content: changesContent ? content : null,
      changedBy: context.actor.userId,
    }).catch((error: unknown) => {
      throw slugTaken(error);
    });
    if (!written) throw changedMeanwhile();
    const template = await requireTemplate(context, template_id);
    await context.audit({
      action: 'template.update',
      entityType: 'template',
      entityId: template_id,
      old: forAudit(before),
      new: forAudit(template),
    });
    return { status: 200, body: { ...toTemplate(template), warnings }, version: template.revision };
  },
});

const remove = defineRoute({
  operationId: 'deleteTemplate',
  method: 'delete',
  path: `${PATH}/{template_id}`,
  tag: 'Content',
  summary: 'Deletes a template',
  description: 'Its slug becomes free. What was frozen from it stays and is sent as approved.',
  access: 'workspace',
  permission: 'content:write',
  params,
  responses: {
    204: { description: 'Deleted' },
    412: { description: 'It was changed in the meantime', schema: problemDocument },
  },
  async handle(context, input) {
    const before = await requireTemplate(context, input.params.template_id);
    if (!(await deleteTemplate(context.tx, context.workspaceId, before.id, input.ifMatch))) throw changedMeanwhile();
    await context.audit({
      action: 'template.delete',
      entityType: 'template',
      entityId: before.id,
      old: forAudit(before),
    });
    return { status: 204 };
  },
});

function changedMeanwhile(): Problem {
  return new Problem('version-mismatch', 'The template was changed in the meantime. Read it again, then repeat.');
}

export const templateRoutes: AnyRoute[] = [list, create, get, update, remove];
