import {
  type CampaignRow,
  deleteCampaign,
  insertCampaign,
  listCampaigns,
  runStats,
  updateCampaign,
  updateStreamOfRun,
} from '../../db/campaigns';
import { decide } from '../../db/content';
import { CAMPAIGN_STATES } from '../../domain/campaigns';
import { canonicalHash } from '../../domain/content';
import { CONTENT_BODY_LIMIT } from '../content';
import { Problem } from '../http/problem';
import { type AnyRoute, defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeCursor, pageOf, pageQuery, problemDocument, z } from '../http/schemas';
import { applyInput, forAudit, pinnedPart } from './input';
import { campaignChange, campaignDocument, newCampaign, savedCampaign, toCampaign } from './schemas';
import {
  hasBegun,
  lintOwnContent,
  PATH,
  params,
  refused,
  requireCampaign,
  requireLockedCampaign,
  requireState,
  showCampaign,
} from './shared';

const list = defineRoute({
  operationId: 'listCampaigns',
  method: 'get',
  path: PATH,
  tag: 'Campaigns',
  summary: 'Lists campaigns, newest first',
  access: 'workspace',
  permission: 'campaigns:read',
  query: pageQuery.extend({ status: z.enum(CAMPAIGN_STATES).optional(), tag: z.string().max(50).optional() }),
  responses: { 200: { description: 'A page of campaigns', schema: pageOf(campaignDocument) } },
  async handle(context, { query }) {
    const [after = null] = decodeCursor(query.cursor, 1) ?? [];
    const rows = await listCampaigns(context.tx, context.workspaceId, {
      status: query.status ?? null,
      tag: query.tag ?? null,
      after,
      limit: query.limit,
    });
    const runs = rows.flatMap(({ run_id, run_stream_id }) =>
      run_id && run_stream_id ? [{ runId: run_id, streamId: run_stream_id }] : [],
    );
    const stats = new Map((await runStats(context.tx, runs)).map((entry) => [entry.run_id, entry]));
    const show = (row: CampaignRow) => toCampaign(row, row.run_id ? stats.get(row.run_id) : undefined);
    return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], show) };
  },
});

const create = defineRoute({
  operationId: 'createCampaign',
  method: 'post',
  path: PATH,
  tag: 'Campaigns',
  summary: 'Makes a campaign in DRAFT',
  access: 'workspace',
  permission: 'campaigns:write',
  idempotent: true,
  body: newCampaign,
  bodyLimit: CONTENT_BODY_LIMIT,
  responses: { 201: { description: 'The campaign', schema: savedCampaign } },
  async handle(context, { body }) {
    const campaign = await applyInput(context, null, body);
    const warnings = await lintOwnContent(context, campaign);
    const campaignId = await insertCampaign(context.tx, context.workspaceId, campaign, context.actor.userId);
    await context.audit({
      action: 'campaign.create',
      entityType: 'campaign',
      entityId: campaignId,
      new: forAudit(campaign),
    });
    const shown = await showCampaign(context, campaignId);
    return { status: 201, body: { ...shown, warnings }, version: shown.version };
  },
});

const get = defineRoute({
  operationId: 'getCampaign',
  method: 'get',
  path: `${PATH}/{campaign_id}`,
  tag: 'Campaigns',
  summary: 'Shows a campaign with its counts',
  access: 'workspace',
  permission: 'campaigns:read',
  params,
  responses: { 200: { description: 'The campaign', schema: campaignDocument } },
  async handle(context, input) {
    const shown = await showCampaign(context, input.params.campaign_id);
    return { status: 200, body: shown, version: shown.version };
  },
});

const update = defineRoute({
  operationId: 'updateCampaign',
  method: 'patch',
  path: `${PATH}/{campaign_id}`,
  tag: 'Campaigns',
  summary: 'Changes a campaign',
  description:
    'What an approval pins (content, context, sender, audience, category, purpose, tracking) can be changed until the ' +
    'run begins, and voids the approval. Name, description, goals, tags and notes can always be changed, the send ' +
    'window until the run ends, the expiry until it begins. Honours If-Match.',
  access: 'workspace',
  permission: 'campaigns:write',
  params,
  body: campaignChange,
  bodyLimit: CONTENT_BODY_LIMIT,
  responses: {
    200: { description: 'The campaign', schema: savedCampaign },
    409: { description: 'The run has begun', schema: problemDocument },
    412: { description: 'It was changed in the meantime', schema: problemDocument },
  },
  async handle(context, { params: { campaign_id }, body, ifMatch }) {
    const { tx, workspaceId, actor } = context;
    const seen = await requireCampaign(context, campaign_id);
    if (ifMatch !== null && ifMatch !== seen.version) throw changedMeanwhile();
    const after = await applyInput(context, seen, body);
    const pinnedChanged = canonicalHash(pinnedPart(after)) !== canonicalHash(pinnedPart(seen));
    // Before the lock: a lint may take its time.
    const warnings = pinnedChanged ? await lintOwnContent(context, after) : [];
    const before = await requireLockedCampaign(context, campaign_id);
    if (before.version !== seen.version) throw changedMeanwhile();
    checkState(before, after, pinnedChanged);
    if (pinnedChanged) await voidApproval(context, before);
    const contentAuthor = pinnedChanged ? actor.userId : null;
    if (!(await updateCampaign(tx, workspaceId, campaign_id, { ...after, version: before.version, contentAuthor }))) {
      throw changedMeanwhile();
    }
    if (before.run_stream_id && before.run_status !== 'CANCELLED') {
      await updateStreamOfRun(tx, before.run_stream_id, { sendWindow: after.send_window, expiresAt: after.expires_at });
    }
    await context.audit({
      action: 'campaign.update',
      entityType: 'campaign',
      entityId: campaign_id,
      old: forAudit(before),
      new: forAudit(after),
    });
    const shown = await showCampaign(context, campaign_id);
    return { status: 200, body: { ...shown, warnings }, version: shown.version };
  },
});

/** 409 for what can no longer be changed in the campaign's state. */
function checkState(before: CampaignRow, after: Parameters<typeof forAudit>[0], pinnedChanged: boolean): void {
  if (pinnedChanged) {
    requireState('edit-content', before);
    if (hasBegun(before)) throw refused('edit-content', before);
  }
  const windowChanged = canonicalHash(before.send_window) !== canonicalHash(after.send_window);
  if (windowChanged && before.run_status === 'SENT') throw refused('edit-content', before);
  if (before.expires_at?.getTime() !== after.expires_at?.getTime() && hasBegun(before)) {
    throw refused('edit-content', before);
  }
}

/** An edit takes back what was submitted or approved; a run that waits will not begin without a new approval. */
async function voidApproval(context: WorkspaceContext, campaign: CampaignRow): Promise<void> {
  if (!campaign.message_id) return;
  await decide(context.tx, {
    workspaceId: context.workspaceId,
    messageId: campaign.message_id,
    decision: 'VOIDED',
    comment: 'The campaign was edited.',
    decidedBy: context.actor.userId,
  });
}

const remove = defineRoute({
  operationId: 'deleteCampaign',
  method: 'delete',
  path: `${PATH}/{campaign_id}`,
  tag: 'Campaigns',
  summary: 'Deletes a campaign that was never scheduled',
  access: 'workspace',
  permission: 'campaigns:write',
  params,
  responses: {
    204: { description: 'Deleted' },
    409: { description: 'It has a run', schema: problemDocument },
    412: { description: 'It was changed in the meantime', schema: problemDocument },
  },
  async handle(context, input) {
    const before = await requireLockedCampaign(context, input.params.campaign_id);
    requireState('delete', before);
    await voidApproval(context, before);
    if (!(await deleteCampaign(context.tx, context.workspaceId, before.id, input.ifMatch))) throw changedMeanwhile();
    await context.audit({
      action: 'campaign.delete',
      entityType: 'campaign',
      entityId: before.id,
      old: forAudit(before),
    });
    return { status: 204 };
  },
});

function changedMeanwhile(): Problem {
  return new Problem('version-mismatch', 'The campaign was changed in the meantime. Read it again, then repeat.');
}

export const campaignCrudRoutes: AnyRoute[] = [list, create, get, update, remove];
