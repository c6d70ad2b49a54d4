import { finishedRunOf } from '../../db/delivery/lanes';
import { CAMPAIGN_RUN_CHANGED_SIGNAL, campaignRunWorkflowId } from '../../domain/campaigns/contract';
import { hintWorkflow } from '../../platform/temporal';
import type { ActivityDependencies } from '../dependencies';

/** A stream that stays without an open message for this long is looked at, at most once in that time. */
const QUIET_MS = 100;

/**
 * Tells a campaign run that its last message was settled (design, section 3), long before the drain that sent it ends. A
 * stream is looked at only when this process has no open message of it any more: while it is being drained, never.
 */
export class FinishedStreams {
  private readonly open = new Map<string, number>();
  private readonly looks = new Map<string, NodeJS.Timeout>();
  private closed = false;

  constructor(private readonly deps: Pick<ActivityDependencies, 'db' | 'temporal' | 'log'>) {}

  /** A message of this stream is open. */
  hold(streamId: string): void {
    this.open.set(streamId, (this.open.get(streamId) ?? 0) + 1);
  }

  /** What became of it is durable. */
  release(streamId: string): void {
    const left = (this.open.get(streamId) ?? 1) - 1;
    if (left > 0) {
      this.open.set(streamId, left);
      return;
    }
    this.open.delete(streamId);
    if (this.closed || this.looks.has(streamId)) return;
    const look = setTimeout(() => {
      this.looks.delete(streamId);
      if (!this.open.has(streamId)) void this.look(streamId);
    }, QUIET_MS);
    this.looks.set(streamId, look);
  }

  close(): void {
    this.closed = true;
    for (const look of this.looks.values()) clearTimeout(look);
    this.looks.clear();
  }

  /** A hint: the run looks by itself, too. */
  private async look(streamId: string): Promise<void> {
    try {
      const runId = await finishedRunOf(this.deps.db, streamId);
      if (runId) await hintWorkflow(this.deps.temporal, campaignRunWorkflowId(runId), CAMPAIGN_RUN_CHANGED_SIGNAL);
    } catch (error) {
      this.deps.log.warn({ err: error, streamId }, 'a finished run could not be told');
    }
  }
}
