import {
  decide,
  defaultsOf,
  type FrozenContent,
  findMessage,
  insertMessage,
  messageHash,
  type TemplateRow,
  type WorkspaceForContent,
  workspaceLayer,
} from '../../db/content';
import { campaignConstants, trackableConstants } from '../../domain/content';
import type { WorkspaceContext } from '../http/route';
import { lintContent, sandboxed, toSource, type WrittenContent } from './lint';

/** What a template says, as written content. */
export function writtenIn(template: TemplateRow): WrittenContent {
  return {
    subjectTemplate: template.subject_template,
    bodyHtml: template.body_html,
    bodyText: template.body_text,
    previewText: template.preview_text,
  };
}

/** What of a message comes from its texts. */
type FrozenTexts = Pick<
  FrozenContent,
  | 'templateId'
  | 'templateVersion'
  | 'subject'
  | 'html'
  | 'text'
  | 'previewText'
  | 'templateContext'
  | 'templateDefaults'
  | 'tracking'
  | 'compiled'
>;

/** Checks and compiles the texts of a campaign or a step as they are at this moment; throws 422 for what is wrong. */
export async function freezeTexts(
  { deps }: WorkspaceContext,
  workspace: WorkspaceForContent,
  asked: {
    written: WrittenContent;
    template: TemplateRow | null;
    /** Values of the campaign or the step. */
    context: Record<string, unknown>;
    tracking: boolean;
  },
): Promise<FrozenTexts> {
  const { written, template, tracking } = asked;
  const variables = template?.variables ?? [];
  const known = [...workspace.field_names, ...Object.keys(workspace.template_context), ...Object.keys(asked.context)];
  // Again, since a custom field may have gone since the content was saved.
  await lintContent(deps.contentSandbox, written, variables, known);
  const templateDefaults = { ...workspaceLayer(workspace), ...defaultsOf(variables) };
  const constants = campaignConstants({ templateDefaults, campaign: asked.context });
  const compiled = await sandboxed(
    deps.contentSandbox.compile(toSource(written), {
      unsubscribeLink: true,
      trackOpens: tracking,
      trackClicks: tracking,
      constants: trackableConstants(constants, workspace.field_names),
    }),
  );
  return {
    templateId: template?.id ?? null,
    templateVersion: template?.version ?? null,
    subject: written.subjectTemplate,
    html: written.bodyHtml,
    text: written.bodyText ?? compiled.text,
    previewText: written.previewText,
    templateContext: asked.context,
    templateDefaults,
    tracking,
    compiled,
  };
}

/** Everybody who wrote a part: those of the campaign or sequence, and of the template's version. */
export function authorsOf(authors: readonly string[], template: TemplateRow | null): string[] {
  return [...new Set([...authors, ...(template?.version_by ? [template.version_by] : [])])];
}

/** Whether this message is submitted or approved, and nothing else would be submitted now. */
export async function isInForce(
  { tx, workspaceId }: WorkspaceContext,
  messageId: string | null,
  content: FrozenContent,
): Promise<boolean> {
  const message = messageId === null ? null : await findMessage(tx, workspaceId, messageId);
  const isOpen = message?.approval === 'SUBMITTED' || message?.approval === 'APPROVED';
  return isOpen && message.sha256 === messageHash(content);
}

/** Submits a message in the place of an earlier one, which is voided. */
export async function submitMessage(
  { tx, workspaceId, actor }: WorkspaceContext,
  earlierId: string | null,
  frozen: { content: FrozenContent; authors: string[] },
): Promise<{ id: string; sha256: string }> {
  if (earlierId !== null) {
    const comment = 'Another message was submitted.';
    await decide(tx, { workspaceId, messageId: earlierId, decision: 'VOIDED', comment, decidedBy: actor.userId });
  }
  const made = await insertMessage(tx, {
    ...frozen.content,
    workspaceId,
    approval: 'SUBMITTED',
    authors: frozen.authors,
    submittedBy: actor.userId,
  });
  if (!made) throw new Error('a message could not be frozen');
  return made;
}

/** Approves what was submitted in a workspace whose approval mode is OFF. */
export async function approveBySubmitting(
  { tx, workspaceId, actor }: WorkspaceContext,
  messageId: string,
): Promise<void> {
  const comment = 'Approved by submitting: the workspace’s approval mode is OFF.';
  await decide(tx, { workspaceId, messageId, decision: 'APPROVED', comment, decidedBy: actor.userId });
}
