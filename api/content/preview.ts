import {
  defaultsOf,
  findContactForContext,
  findTemplate,
  findWorkspaceForContent,
  workspaceLayer,
} from '../../db/content';
import { buildContext, type Preview } from '../../domain/content';
import { invalidField, notFound } from '../http/problem';
import { type AnyRoute, defineRoute } from '../http/route';
import { id, z } from '../http/schemas';
import { findingsIn, sandboxed, toSource } from './lint';
import { contextValues, warning } from './schemas';

/** Links of a preview lead nowhere: it is nobody's message. */
export function previewLinks(publicUrl: string) {
  const base = publicUrl.replace(/\/$/, '');
  return {
    unsubscribe_url: `${base}/u/preview`,
    preferences_url: `${base}/u/preview`,
    confirm_url: `${base}/confirm/preview`,
    invitation_url: `${base}/invitations/preview`,
  };
}

export const previewDocument = z.object({
  subject: z.string(),
  html: z.string(),
  text: z.string(),
  missing: z
    .array(
      z.object({
        name: z.string(),
        fields: z.array(z.string()),
        optional: z.boolean().openapi({ description: 'Every use provides for its absence.' }),
      }),
    )
    .openapi({ description: 'Variables that are used and have no value here.' }),
  warnings: z.array(warning),
});

const FIELD_OF_PART: Record<string, string> = {
  subject: 'subject_template',
  html: 'body_html',
  text: 'body_text',
  previewText: 'preview_text',
};

export function toPreview(preview: Preview) {
  return {
    subject: preview.message.subject,
    html: preview.message.html,
    text: preview.message.text,
    missing: preview.missing.map(({ name, parts, optional }) => ({
      name,
      fields: parts.map((part) => FIELD_OF_PART[part] ?? part),
      optional,
    })),
  };
}

const preview = defineRoute({
  operationId: 'previewTemplate',
  method: 'post',
  path: '/workspaces/{ws}/email-marketing/templates/{template_id}/preview',
  tag: 'Content',
  summary: 'Renders a template with a contact or a sample context',
  description: 'Changes nothing. `context` wins over the contact, as it does in transactional mail.',
  access: 'workspace',
  permission: 'content:read',
  readOnly: true,
  params: z.strictObject({ template_id: id }),
  body: z.strictObject({
    contact_id: id.optional(),
    context: contextValues.default({}),
  }),
  responses: { 200: { description: 'The rendered message', schema: previewDocument } },
  async handle(context, { params, body }) {
    const { tx, workspaceId, deps } = context;
    const template = await findTemplate(tx, workspaceId, params.template_id);
    if (!template) throw notFound('template');
    const contact =
      body.contact_id === undefined ? null : await findContactForContext(tx, workspaceId, body.contact_id);
    if (body.contact_id !== undefined && !contact) throw invalidField('contact_id', 'No contact with this id exists.');
    const workspace = await findWorkspaceForContent(tx, workspaceId);
    const content = {
      subjectTemplate: template.subject_template,
      bodyHtml: template.body_html,
      bodyText: template.body_text,
      previewText: template.preview_text,
    };
    const known = [...workspace.field_names, ...Object.keys(workspace.template_context)];
    // A template that was saved may have lost a custom field since: shown, and rendered as far as it goes.
    const findings = await findingsIn(deps.contentSandbox, content, template.variables, known);
    const warnings = [...findings.errors, ...findings.warnings];
    const rendered = await sandboxed(
      deps.contentSandbox.preview(
        toSource(content),
        { unsubscribeLink: template.category !== 'TRANSACTIONAL', trackOpens: false, trackClicks: false },
        buildContext({
          workspace: workspaceLayer(workspace),
          templateDefaults: defaultsOf(template.variables),
          contact,
          delivery: body.context,
          system: previewLinks(deps.config.PUBLIC_URL),
        }),
      ),
    );
    return { status: 200, body: { ...toPreview(rendered), warnings } };
  },
});

export const previewRoutes: AnyRoute[] = [preview];
