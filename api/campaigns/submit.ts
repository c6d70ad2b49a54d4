import { audienceDefinitions } from '../../db/audiences';
import { type CampaignRow, rearmWaitingRun, setCampaignMessage } from '../../db/campaigns';
import { type FrozenContent, findTemplate, findWorkspaceForContent } from '../../db/content';
import { dependenciesOf } from '../../domain/audiences';
import { requireConditions } from '../audiences';
import {
  approveBySubmitting,
  authorsOf,
  freezeTexts,
  isInForce,
  messageDocument,
  showMessage,
  submitMessage,
  writtenIn,
} from '../content';
import { invalidField, Problem } from '../http/problem';
import { type AnyRoute, defineRoute, type WorkspaceContext } from '../http/route';
import { problemDocument } from '../http/schemas';
import { senderOf } from './sender';
import { hasBegun, PATH, params, refused, requireCampaign, requireLockedCampaign, requireState } from './shared';

/** What will be sent, and everybody who wrote a part of it. */
export interface Frozen {
  content: FrozenContent;
  authors: string[];
}

/** Freezes what a campaign would send at this moment; throws 422 for what is missing or wrong. */
export async function freezeCampaign(
  context: WorkspaceContext,
  campaign: CampaignRow,
  origin: 'CAMPAIGN' | 'TEST',
): Promise<Frozen> {
  const { tx, workspaceId } = context;
  const workspace = await findWorkspaceForContent(tx, workspaceId);
  const template = campaign.template_id ? await findTemplate(tx, workspaceId, campaign.template_id) : null;
  if (campaign.template_id && !template) {
    throw invalidField('template_id', 'The campaign’s template was deleted. Choose another one.');
  }
  const written = template
    ? writtenIn(template)
    : {
        subjectTemplate: campaign.subject ?? '',
        bodyHtml: campaign.html ?? '',
        bodyText: campaign.text,
        previewText: campaign.preview_text ?? '',
      };
  if (written.subjectTemplate.trim() === '') throw invalidField('subject_template', 'The campaign has no subject.');
  if (written.bodyHtml.trim() === '') throw invalidField('body_html', 'The campaign has no content.');
  const sender = await senderOf(context, campaign, workspace);
  const { template_context, tracking } = campaign;
  const texts = await freezeTexts(context, workspace, { written, template, context: template_context, tracking });
  return {
    content: {
      origin,
      campaignId: campaign.id,
      ...texts,
      ...sender,
      categoryId: campaign.category_id,
      purposeId: campaign.purpose_id,
      audience: {
        include: campaign.include_audiences,
        exclude: campaign.exclude_audiences,
        allConsented: campaign.all_consented,
        ...(campaign.audience_conditions === null ? {} : { conditions: campaign.audience_conditions }),
        ...(await frozenDefinitions(context, campaign)),
      },
    },
    authors: authorsOf(campaign.authors, template),
  };
}

/** What dynamic audiences mean, so that the approval pins it; and that the campaign's own conditions still can be asked. */
async function frozenDefinitions(context: WorkspaceContext, campaign: CampaignRow) {
  const { tx, workspaceId } = context;
  if (campaign.audience_conditions)
    await requireConditions(context, campaign.audience_conditions, 'audience_conditions');
  const definitions = await audienceDefinitions(tx, workspaceId, [
    ...campaign.include_audiences,
    ...campaign.exclude_audiences,
    ...(campaign.audience_conditions ? dependenciesOf(campaign.audience_conditions).usesAudiences : []),
  ]);
  return Object.keys(definitions).length === 0 ? {} : { definitions };
}

function checkAudience(campaign: CampaignRow): void {
  if (!campaign.all_consented && campaign.include_audiences.length === 0 && campaign.audience_conditions === null) {
    throw invalidField(
      'audiences/include',
      'Nobody would get this: include an audience, set all_consented, or give audience_conditions.',
    );
  }
  if (!campaign.purpose_id) throw invalidField('purpose', 'A campaign needs a purpose that recipients consented to.');
}

const submit = defineRoute({
  operationId: 'submitCampaign',
  method: 'post',
  path: `${PATH}/{campaign_id}/submit`,
  tag: 'Campaigns',
  summary: 'Freezes what will be sent and submits it for approval',
  description:
    'Content, context, sender, audience, category and purpose go into one message with a canonical hash; approval acts ' +
    'on that message. A message submitted before is voided, unless it is the same. With approval mode OFF the message ' +
    'is approved at once.',
  access: 'workspace',
  permission: 'campaigns:write',
  idempotent: true,
  params,
  responses: {
    200: { description: 'The same content is submitted or approved already', schema: messageDocument },
    201: { description: 'Submitted', schema: messageDocument },
    409: { description: 'The run has begun', schema: problemDocument },
    422: { description: 'Something is missing', schema: problemDocument },
  },
  async handle(context, input) {
    const { tx, workspaceId } = context;
    const seen = await requireCampaign(context, input.params.campaign_id);
    checkOpen(seen);
    checkAudience(seen);
    // Before the lock: compiling may take its time, and a pause must not wait for it.
    const frozen = await freezeCampaign(context, seen, 'CAMPAIGN');
    const campaign = await requireLockedCampaign(context, seen.id);
    checkOpen(campaign);
    if (campaign.message_id && (await isInForce(context, campaign.message_id, frozen.content))) {
      await context.audit({ action: 'campaign.submit', entityType: 'campaign', entityId: campaign.id });
      return { status: 200, body: await showMessage(context, campaign.message_id) };
    }
    if (campaign.version !== seen.version) {
      throw new Problem('version-mismatch', 'The campaign was changed in the meantime. Read it again, then repeat.');
    }
    const made = await submitMessage(context, campaign.message_id, frozen);
    await setCampaignMessage(tx, workspaceId, campaign.id, made.id);
    await context.audit({
      action: 'campaign.submit',
      entityType: 'campaign',
      entityId: campaign.id,
      old: { message_id: campaign.message_id },
      new: { message_id: made.id, sha256: made.sha256 },
    });
    const { approval_mode } = await findWorkspaceForContent(tx, workspaceId);
    if (approval_mode === 'OFF') await approveAtOnce(context, campaign, made);
    return { status: 201, body: await showMessage(context, made.id) };
  },
});

/** A new message is accepted until the run begins. */
function checkOpen(campaign: CampaignRow): void {
  requireState('edit-content', campaign);
  if (hasBegun(campaign)) throw refused('edit-content', campaign);
}

async function approveAtOnce(
  context: WorkspaceContext,
  campaign: CampaignRow,
  message: { id: string; sha256: string },
): Promise<void> {
  await approveBySubmitting(context, message.id);
  await rearmWaitingRun(context.tx, context.workspaceId, campaign.id, message);
  await context.audit({
    action: 'message.approve',
    entityType: 'message',
    entityId: message.id,
    old: { approval: 'SUBMITTED' },
    new: { approval: 'APPROVED', sha256: message.sha256, mode: 'OFF' },
  });
}

export const submitRoutes: AnyRoute[] = [submit];
