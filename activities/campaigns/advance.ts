import {
  appendRunEvent,
  beginRun,
  countRun,
  findRun,
  finishRun,
  hasWaitingRows,
  moveRun,
  type RunRow,
  raiseApprovalAlert,
  raiseAudienceAlert,
} from '../../db/campaigns';
import { findMessage, isIntact } from '../../db/content';
import { writeAudit } from '../../db/workspace';
import type { CampaignRunCounts, CampaignRunInput, CampaignRunStep } from '../../domain/campaigns/contract';
import { campaignDeliveryDuration } from '../../platform/metrics';
import type { Queryable } from '../../platform/postgres';
import type { ActivityDependencies } from '../dependencies';
import { audienceState } from './audience';

/** What a run's workflow is told: what to do, and counts for people who look at it. */
export interface CampaignRunProgress {
  next: CampaignRunStep;
  counts: CampaignRunCounts | null;
}

/** Makes the move that a run's row is due for, and says what its workflow does next. */
export async function advanceRun(deps: ActivityDependencies, input: CampaignRunInput): Promise<CampaignRunProgress> {
  const run = await findRun(deps.db, input.workspaceId, input.runId);
  // Not an error: a workflow may outlive a restored database.
  if (!run) return { next: { step: 'done', status: 'GONE' }, counts: null };
  return { next: await nextStep(deps, run), counts: await countRun(deps.db, run.stream_id) };
}

async function nextStep(deps: ActivityDependencies, run: RunRow): Promise<CampaignRunStep> {
  switch (run.status) {
    case 'SCHEDULED':
      if (run.wait_ms > 0) return { step: 'wait-for-time', status: run.status, waitMs: run.wait_ms };
      return begin(deps, run);
    case 'SENDING':
      if (run.phase !== 'MATERIALISED') return { step: 'materialise', status: run.status };
      return (await finish(deps, run)) ? { step: 'done', status: 'SENT' } : { step: 'follow', status: run.status };
    case 'PAUSED':
      return { step: 'wait-for-resume', status: run.status, reason: run.stop_reason };
    case 'CANCELLED':
      return (await hasWaitingRows(deps.db, run))
        ? { step: 'sweep', status: run.status }
        : { step: 'done', status: run.status };
    case 'SENT':
      return { step: 'done', status: run.status };
  }
}

/** Begins a run that is due, if its message is approved and unchanged; stops it for an operator otherwise. */
async function begin(deps: ActivityDependencies, run: RunRow): Promise<CampaignRunStep> {
  const message = await findMessage(deps.db, run.workspace_id, run.message_id);
  const valid = message?.approval === 'APPROVED' && message.sha256 === run.sha256 && isIntact(message);
  const audience = valid && message.audience ? await audienceState(deps, run, message.audience) : 'ready';
  if (audience === 'calculating') return { step: 'wait-for-time', status: run.status, waitMs: 1_000 };
  const stopReason = valid ? (audience === 'ready' ? null : audience) : 'APPROVAL_VOID';
  const status = await deps.db.transaction(async (tx) => {
    if (stopReason === null && (await beginRun(tx, run.workspace_id, run.id))) {
      await auditRun(tx, run, 'campaign.begin', 'SENDING');
      await appendRunEvent(tx, 'campaign_launched', run);
      return 'SENDING';
    }
    const now = await findRun(tx, run.workspace_id, run.id);
    // Somebody was faster: paused, cancelled, or approved another message.
    if (now?.status !== 'SCHEDULED' || now.message_id !== run.message_id || now.wait_ms > 0) return 'CHANGED';
    const stopped = await moveRun(tx, run.workspace_id, run.id, {
      from: ['SCHEDULED'],
      to: 'PAUSED',
      stream: 'PAUSED',
      begun: false,
      stopReason: stopReason ?? 'APPROVAL_VOID',
    });
    if (!stopped) return 'CHANGED';
    await auditRun(tx, run, 'campaign.stop', 'PAUSED', { stop_reason: stopReason });
    if (stopReason === 'AUDIENCE_CHANGED' || stopReason === 'AUDIENCE_UNAVAILABLE') {
      await raiseAudienceAlert(tx, run, stopReason);
    } else {
      await raiseApprovalAlert(tx, run);
    }
    return 'PAUSED';
  });
  if (status === 'SENDING') {
    return { step: 'materialise', status };
  }
  return status === 'PAUSED'
    ? { step: 'wait-for-resume', status, reason: stopReason ?? 'APPROVAL_VOID' }
    : { step: 'wait-for-time', status: run.status, waitMs: 0 };
}

async function finish(deps: ActivityDependencies, run: RunRow): Promise<boolean> {
  const seconds = await deps.db.transaction(async (tx) => {
    const took = await finishRun(tx, run.workspace_id, run.id);
    if (took === null) return null;
    await auditRun(tx, run, 'campaign.finish', 'SENT');
    await appendRunEvent(tx, 'campaign_completed', run, { ...(await countRun(tx, run.stream_id)) });
    return took;
  });
  if (seconds === null) return false;
  campaignDeliveryDuration.observe({ campaign_id: run.campaign_id, channel: 'email' }, seconds);
  return true;
}

async function auditRun(
  tx: Queryable,
  run: RunRow,
  action: string,
  status: string,
  more: Record<string, unknown> = {},
): Promise<void> {
  await writeAudit(tx, {
    workspaceId: run.workspace_id,
    actor: { type: 'system' },
    action,
    entityType: 'campaign',
    entityId: run.campaign_id,
    old: { status: run.status, run_id: run.id },
    new: { status, run_id: run.id, ...more },
  });
}
