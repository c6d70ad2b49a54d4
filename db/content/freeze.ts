import { type PageLanguage, templateSlug } from '../../domain/consent';
import { compileContent } from '../../domain/content';
import { one, type Queryable, sql } from '../../platform/postgres';
import { type FrozenContent, insertMessage, messageHash } from './messages';
import { defaultsOf, type TemplateVariable } from './template-variables';
import { findWorkspaceForContent, workspaceLayer } from './workspace-layer';

/** Where neither campaign nor workspace names a From: EMAIL_FROM and EMAIL_FROM_NAME. */
export interface DefaultSender {
  email: string | undefined;
  name: string;
}

interface ActiveVersion {
  template_id: string;
  category: string;
  version: number;
  subject_template: string;
  body_html: string;
  body_text: string | null;
  preview_text: string;
  variables: TemplateVariable[];
}

/** What was frozen, with the variables that the template declares. */
export interface FrozenTemplate {
  messageId: string;
  category: string;
  variables: TemplateVariable[];
}

/**
 * The frozen message of a template's current version, for transactional and opt-in mail (no approval, no tracking).
 * Made at its first use and again when the template, the workspace's From or its template values change. Null when no
 * active template has this slug. With `language`, the template of that language is taken where there is an active one
 * (its slug ends with "-de", say).
 */
export async function freezeTemplateMessage(
  tx: Queryable,
  wanted: { workspaceId: string; slug: string; language?: PageLanguage; defaultSender?: DefaultSender },
): Promise<FrozenTemplate | null> {
  const { workspaceId } = wanted;
  const translated = templateSlug(wanted.slug, wanted.language ?? 'en');
  const template = await one<ActiveVersion>(
    tx,
    sql`SELECT t.id AS template_id, t.category, v.version, v.subject_template, v.body_html, v.body_text, v.preview_text,
          v.variables
        FROM templates t
        JOIN template_versions v ON v.workspace_id = t.workspace_id AND v.template_id = t.id AND v.version = t.version
        WHERE t.workspace_id = ${workspaceId} AND t.slug IN (${wanted.slug}, ${translated}) AND t.is_active AND t.deleted_at IS NULL
          AND EXISTS (SELECT FROM templates base WHERE base.workspace_id = t.workspace_id AND base.slug = ${wanted.slug}
            AND base.is_active AND base.deleted_at IS NULL)
        ORDER BY t.slug = ${translated} DESC LIMIT 1`,
  );
  if (!template) return null;
  const workspace = await findWorkspaceForContent(tx, workspaceId);
  const sender = {
    email: workspace.from_email ?? wanted.defaultSender?.email ?? `noreply@${workspace.message_domain}`,
    name: workspace.from_name || (wanted.defaultSender?.name ?? '') || workspace.name,
  };
  const templateDefaults = { ...workspaceLayer(workspace), ...defaultsOf(template.variables) };
  const answer = { category: template.category, variables: template.variables };
  const known = await one<{ id: string }>(
    tx,
    sql`SELECT id FROM messages
        WHERE workspace_id = ${workspaceId} AND origin = 'TEMPLATE' AND template_id = ${template.template_id}
          AND template_version = ${template.version} AND from_email = ${sender.email} AND from_name = ${sender.name}
          AND template_defaults = ${JSON.stringify(templateDefaults)}
          AND purpose_id IS NOT DISTINCT FROM ${workspace.transactional_purpose_id}`,
  );
  if (known) return { messageId: known.id, ...answer };
  const compiled = compileContent(
    {
      subject: template.subject_template,
      html: template.body_html,
      text: template.body_text,
      previewText: template.preview_text,
    },
    { unsubscribeLink: false, trackOpens: false, trackClicks: false },
  );
  const content: FrozenContent = {
    origin: 'TEMPLATE',
    campaignId: null,
    templateId: template.template_id,
    templateVersion: template.version,
    subject: template.subject_template,
    html: template.body_html,
    text: template.body_text ?? compiled.text,
    previewText: template.preview_text,
    fromName: sender.name,
    fromEmail: sender.email,
    replyTo: null,
    categoryId: null,
    purposeId: workspace.transactional_purpose_id,
    templateContext: {},
    templateDefaults,
    tracking: false,
    audience: null,
    compiled,
  };
  const made = await insertMessage(tx, { ...content, workspaceId, approval: 'NONE', authors: [], submittedBy: null });
  if (made) return { messageId: made.id, ...answer };
  // A concurrent request made the same one.
  const theirs = await one<{ id: string }>(
    tx,
    sql`SELECT id FROM messages WHERE workspace_id = ${workspaceId} AND origin = 'TEMPLATE'
          AND template_id = ${template.template_id} AND template_version = ${template.version}
          AND sha256 = ${messageHash(content)}`,
  );
  if (!theirs) throw new Error('a frozen message could be neither made nor found');
  return { messageId: theirs.id, ...answer };
}
