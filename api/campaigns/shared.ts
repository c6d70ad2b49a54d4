import { type CampaignRow, findCampaign, lockCampaign, runStats, stateOf } from '../../db/campaigns';
import { findWorkspaceForContent } from '../../db/content';
import { type CampaignAction, campaignRunWorkflow, refusal, statesAllowing } from '../../domain/campaigns';
import { lintContent } from '../content';
import { notFound, type Problem, wrongState } from '../http/problem';
import type { WorkspaceContext } from '../http/route';
import { id, z } from '../http/schemas';
import { startAfterCommit } from '../http/start-workflow';
import { toCampaign } from './schemas';

export const PATH = '/workspaces/{ws}/email-marketing/campaigns';
export const params = z.strictObject({ campaign_id: id });

export async function requireCampaign(context: WorkspaceContext, campaignId: string): Promise<CampaignRow> {
  const campaign = await findCampaign(context.tx, context.workspaceId, campaignId);
  if (!campaign) throw notFound('campaign');
  return campaign;
}

/** The campaign, with its row locked until the transaction ends. */
export async function requireLockedCampaign(context: WorkspaceContext, campaignId: string): Promise<CampaignRow> {
  const campaign = await lockCampaign(context.tx, context.workspaceId, campaignId);
  if (!campaign) throw notFound('campaign');
  return campaign;
}

/** 409 that names the state, what the action needs, and what is possible. */
export function refused(action: CampaignAction, campaign: Pick<CampaignRow, 'run_status'>): Problem {
  const state = stateOf(campaign);
  return wrongState('campaign', state, refusal(action, state));
}

/** Throws 409 unless the transition table allows the action in the campaign's state. */
export function requireState(action: CampaignAction, campaign: Pick<CampaignRow, 'run_status'>): void {
  if (!statesAllowing(action).includes(stateOf(campaign))) throw refused(action, campaign);
}

/** Whether the newest run has begun to send, or is over. Until then its message may still be replaced. */
export function hasBegun(campaign: CampaignRow): boolean {
  return campaign.started_at !== null && campaign.run_status !== 'CANCELLED';
}

export async function showCampaign(context: WorkspaceContext, campaignId: string) {
  const campaign = await requireCampaign(context, campaignId);
  const [stats] =
    campaign.run_id && campaign.run_stream_id
      ? await runStats(context.tx, [{ runId: campaign.run_id, streamId: campaign.run_stream_id }])
      : [];
  return toCampaign(campaign, stats);
}

/** Starts or wakes the run's workflow once the change is committed; the reference to answer with. */
export function followRun(context: WorkspaceContext, runId: string) {
  return startAfterCommit(context, campaignRunWorkflow({ workspaceId: context.workspaceId, runId }));
}

/** Lints content of a campaign's own. Its context counts as declared; so do custom fields and workspace values. */
export async function lintOwnContent(
  context: WorkspaceContext,
  campaign: Pick<CampaignRow, 'subject' | 'html' | 'text' | 'preview_text' | 'template_context'>,
) {
  if (campaign.subject === null && campaign.html === null && campaign.text === null) return [];
  const workspace = await findWorkspaceForContent(context.tx, context.workspaceId);
  return lintContent(
    context.deps.contentSandbox,
    {
      subjectTemplate: campaign.subject ?? '',
      bodyHtml: campaign.html ?? '',
      bodyText: campaign.text,
      previewText: campaign.preview_text ?? '',
    },
    [],
    [...workspace.field_names, ...Object.keys(workspace.template_context), ...Object.keys(campaign.template_context)],
  );
}
