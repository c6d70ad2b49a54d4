import { Context } from '@temporalio/activity';
import { markAudiencesDirty } from '../../db/audiences';
import { rollUpReceipts } from '../../db/delivery';
import { consumeBatch, type EventConsumer } from '../../db/events';
import { rollUpEngagements } from '../../db/tracking';
import { changesToldBy } from '../../domain/audiences';
import type { ConsumeEventsResult } from '../../domain/events';
import type { ActivityDependencies } from '../dependencies';

const BATCH = 2_000;
/** What one transaction of each roll-up reads: engagements, and groups of up to 64 messages. A second or less. */
const ROLL_UPS = [
  { name: 'engagements', batch: 5_000, read: rollUpEngagements },
  { name: 'settledGroups', batch: 200, read: rollUpReceipts },
] as const;
/** Longest one round works; the Schedule begins the next. */
const SLICE_MS = 4 * 60_000;

/** Marks the dynamic audiences that depend on what events tell of. */
const audiences: EventConsumer = {
  name: 'audiences',
  shards: 1,
  async handle(tx, events) {
    const told = new Map<string, { workspaceId: string; change: string }>();
    for (const { workspace_id: workspaceId, event_type } of events) {
      for (const change of changesToldBy(event_type)) told.set(`${workspaceId} ${change}`, { workspaceId, change });
    }
    await markAudiencesDirty(tx, [...told.values()]);
  },
};

const CONSUMERS: readonly EventConsumer[] = [audiences];

/** Activities of the events area. */
export function createEventActivities({ db }: ActivityDependencies) {
  return {
    /** Hands each consumer what it has not read, until nothing is left; opens, clicks and receipts are rolled up, too. */
    async consumeNewEvents(): Promise<ConsumeEventsResult> {
      const context = Context.current();
      const until = performance.now() + SLICE_MS;
      const consumed: Record<string, number> = {};
      for (const consumer of CONSUMERS) {
        for (let shard = 0; shard < consumer.shards; shard += 1) {
          for (;;) {
            const count = await consumeBatch(db, consumer, shard, BATCH);
            consumed[consumer.name] = (consumed[consumer.name] ?? 0) + count;
            context.heartbeat(consumed);
            if (count < BATCH || performance.now() > until || context.cancellationSignal.aborted) break;
          }
        }
      }
      for (const { name, batch, read } of ROLL_UPS) {
        for (;;) {
          const count = await read(db, batch);
          consumed[name] = (consumed[name] ?? 0) + count;
          context.heartbeat(consumed);
          if (count < batch || performance.now() > until || context.cancellationSignal.aborted) break;
        }
      }
      return { consumed };
    },
  };
}

export type EventActivities = ReturnType<typeof createEventActivities>;
