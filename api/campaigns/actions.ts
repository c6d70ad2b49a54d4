import {
  bringForward,
  type CampaignRow,
  findRun,
  hasBegunMessages,
  insertRun,
  isPast,
  moveRun,
  type RunTransition,
} from '../../db/campaigns';
import { findMessage, isIntact } from '../../db/content';
import { wakeLane } from '../../db/delivery';
import type { CampaignAction } from '../../domain/campaigns';
import { laneWorkflow } from '../../domain/delivery';
import { ensureWorkflow } from '../../platform/temporal';
import { invalidField, Problem, wrongState } from '../http/problem';
import { type AnyRoute, defineRoute, type WorkspaceContext } from '../http/route';
import { moment, problemDocument, z } from '../http/schemas';
import { startedCampaign } from './schemas';
import {
  followRun,
  hasBegun,
  PATH,
  params,
  refused,
  requireLockedCampaign,
  requireState,
  showCampaign,
} from './shared';

const responses = {
  202: { description: 'Done; the run’s workflow follows', schema: startedCampaign },
  409: { description: 'The state or the approval does not allow it', schema: problemDocument },
};

/** The approved message that a run would send, still as it was when it was approved; else 409. */
async function requireApproved(
  context: WorkspaceContext,
  campaign: CampaignRow,
): Promise<{ id: string; sha256: string; routing?: { pool_id: string | null } | null }> {
  const message = campaign.message_id ? await findMessage(context.tx, context.workspaceId, campaign.message_id) : null;
  if (message?.approval !== 'APPROVED') {
    const state = message?.approval ?? campaign.approval ?? 'NOT SUBMITTED';
    throw new Problem(
      'conflict',
      `The campaign’s message is not approved (${state}). Submit it and have it approved.`,
      {
        members: { state: campaign.run_status ?? 'DRAFT', approval: state },
      },
    );
  }
  if (!isIntact(message)) {
    throw new Problem('conflict', 'What was approved is not what is stored. Submit the campaign again.', {
      members: { state: campaign.run_status ?? 'DRAFT', approval: 'VOIDED' },
    });
  }
  return message;
}

/** A cancelled campaign may be sent after all only if nobody can get it twice. */
async function requireNothingBegun(context: WorkspaceContext, campaign: CampaignRow): Promise<void> {
  if (campaign.run_status !== 'CANCELLED') return;
  if (await hasBegunMessages(context.tx, context.workspaceId, campaign.id)) {
    throw wrongState(
      'campaign',
      'CANCELLED',
      'Messages of it were sent, and nobody may get it twice. Make a new campaign.',
    );
  }
}

/** Makes a run, or brings the waiting one forward. `at` null: due at once. */
async function start(context: WorkspaceContext, campaign: CampaignRow, action: CampaignAction, at: Date | null) {
  requireState(action, campaign);
  const message = await requireApproved(context, campaign);
  await requireNothingBegun(context, campaign);
  let runId = campaign.run_id;
  if (campaign.run_status === 'SCHEDULED' && runId) {
    if (!(await bringForward(context.tx, context.workspaceId, runId))) throw refused(action, campaign);
  } else {
    const run = await insertRun(context.tx, {
      workspaceId: context.workspaceId,
      campaignId: campaign.id,
      messageId: message.id,
      sha256: message.sha256,
      poolId: message.routing?.pool_id ?? null,
      at,
      sendWindow: campaign.send_window,
      expiresAt: campaign.expires_at,
      createdBy: context.actor.userId,
    });
    runId = run.id;
  }
  return answer(context, campaign, action, runId, { sha256: message.sha256, scheduled_at: at?.toISOString() ?? 'now' });
}

/** Audit, hint and answer of a change of state. */
async function answer(
  context: WorkspaceContext,
  before: CampaignRow,
  action: CampaignAction,
  runId: string,
  more: Record<string, unknown> = {},
) {
  const shown = await showCampaign(context, before.id);
  await context.audit({
    action: `campaign.${action}`,
    entityType: 'campaign',
    entityId: before.id,
    old: { status: before.run_status ?? 'DRAFT' },
    new: { status: shown.status, run_id: runId, ...more },
  });
  return { status: 202, body: { ...shown, workflow: followRun(context, runId) }, version: shown.version };
}

/** Moves the newest run by one guarded statement; 409 when its state does not allow it. */
async function move(
  context: WorkspaceContext,
  campaign: CampaignRow,
  action: CampaignAction,
  transition: RunTransition,
) {
  requireState(action, campaign);
  const runId = campaign.run_id;
  if (!runId || !(await moveRun(context.tx, context.workspaceId, runId, transition))) throw refused(action, campaign);
  return answer(context, campaign, action, runId);
}

const schedule = defineRoute({
  operationId: 'scheduleCampaign',
  method: 'post',
  path: `${PATH}/{campaign_id}/schedule`,
  tag: 'Campaigns',
  summary: 'Schedules an approved campaign',
  access: 'workspace',
  permission: 'campaigns:operate',
  idempotent: true,
  params,
  body: z.strictObject({ scheduled_at: moment }),
  responses,
  async handle(context, input) {
    const at = new Date(input.body.scheduled_at);
    const campaign = await requireLockedCampaign(context, input.params.campaign_id);
    requireState('schedule', campaign);
    if (await isPast(context.tx, at)) {
      throw invalidField('scheduled_at', 'This moment is over. Use /send to send at once.');
    }
    return start(context, campaign, 'schedule', at);
  },
});

const send = defineRoute({
  operationId: 'sendCampaign',
  method: 'post',
  path: `${PATH}/{campaign_id}/send`,
  tag: 'Campaigns',
  summary: 'Sends an approved campaign now',
  description: 'A scheduled campaign is brought forward. The send window still holds.',
  access: 'workspace',
  permission: 'campaigns:operate',
  idempotent: true,
  params,
  responses,
  async handle(context, input) {
    return start(context, await requireLockedCampaign(context, input.params.campaign_id), 'send', null);
  },
});

const pause = defineRoute({
  operationId: 'pauseCampaign',
  method: 'post',
  path: `${PATH}/{campaign_id}/pause`,
  tag: 'Campaigns',
  summary: 'Pauses a campaign',
  description: 'No message of it is begun later than a second after the answer, also while Temporal is down.',
  access: 'workspace',
  permission: 'campaigns:operate',
  idempotent: true,
  params,
  responses,
  async handle(context, input) {
    const campaign = await requireLockedCampaign(context, input.params.campaign_id);
    const transition = { from: ['SCHEDULED', 'SENDING'], to: 'PAUSED', stream: 'PAUSED' } as const;
    return move(context, campaign, 'pause', { ...transition, begun: null, stopReason: null });
  },
});

const resume = defineRoute({
  operationId: 'resumeCampaign',
  method: 'post',
  path: `${PATH}/{campaign_id}/resume`,
  tag: 'Campaigns',
  summary: 'Resumes a paused campaign',
  description: 'One that had not begun waits for its time again, and needs its approval for it.',
  access: 'workspace',
  permission: 'campaigns:operate',
  idempotent: true,
  params,
  responses,
  async handle(context, input) {
    const campaign = await requireLockedCampaign(context, input.params.campaign_id);
    requireState('resume', campaign);
    if (!hasBegun(campaign)) {
      await requireApproved(context, campaign);
      const transition = { from: ['PAUSED'], to: 'SCHEDULED', stream: 'WAITING' } as const;
      return move(context, campaign, 'resume', { ...transition, begun: false, stopReason: null });
    }
    const transition = { from: ['PAUSED'], to: 'SENDING', stream: 'ACTIVE' } as const;
    const moved = await move(context, campaign, 'resume', { ...transition, begun: true, stopReason: null });
    await wakeLaneOf(context, campaign);
    return moved;
  },
});

const cancel = defineRoute({
  operationId: 'cancelCampaign',
  method: 'post',
  path: `${PATH}/{campaign_id}/cancel`,
  tag: 'Campaigns',
  summary: 'Cancels a campaign for good',
  description: 'What has been sent stays sent; what still waits becomes CANCELLED.',
  access: 'workspace',
  permission: 'campaigns:operate',
  idempotent: true,
  params,
  responses,
  async handle(context, input) {
    const campaign = await requireLockedCampaign(context, input.params.campaign_id);
    const transition = { from: ['SCHEDULED', 'SENDING', 'PAUSED'], to: 'CANCELLED', stream: 'CANCELLED' } as const;
    return move(context, campaign, 'cancel', { ...transition, begun: null, stopReason: null });
  },
});

/** What waited while the stream was paused is due at once. */
async function wakeLaneOf(context: WorkspaceContext, campaign: CampaignRow): Promise<void> {
  const { tx, workspaceId, deps } = context;
  const run = campaign.run_id ? await findRun(tx, workspaceId, campaign.run_id) : null;
  if (!run) return;
  await wakeLane(tx, run.lane_id);
  context.afterCommit(async () => {
    await ensureWorkflow(deps.temporal, laneWorkflow({ workspaceId, laneId: run.lane_id }));
  });
}

export const actionRoutes: AnyRoute[] = [schedule, send, pause, resume, cancel];
