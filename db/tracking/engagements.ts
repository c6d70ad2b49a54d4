import type { EngagementActor } from '../../domain/tracking';
import { one, type Queryable, sql } from '../../platform/postgres';

/** An open or a click. Its id is minted where it happened, so that writing it again changes nothing. */
export interface Engagement {
  /** UUIDv7. */
  id: string;
  workspaceId: string;
  sourceId: string;
  deliveryId: string;
  kind: 'OPEN' | 'CLICK';
  linkPosition: number | null;
  actor: EngagementActor;
  occurredAt: Date;
}

/**
 * Writes engagements of any workspaces in one statement; those that are there already are left alone.
 * @returns how many were new
 */
export async function recordEngagements(db: Queryable, engagements: readonly Engagement[]): Promise<number> {
  const column = <T>(read: (engagement: Engagement) => T): T[] => engagements.map(read);
  const statement = sql`SELECT sally_record_engagements(
          ${column((e) => e.id)}::uuid[], ${column((e) => e.workspaceId)}::uuid[], ${column((e) => e.sourceId)}::uuid[],
          ${column((e) => e.deliveryId)}::uuid[], ${column((e) => e.kind)}::text[], ${column((e) => e.linkPosition)}::int[],
          ${column((e) => e.actor)}::text[], ${column((e) => e.occurredAt.toISOString())}::timestamptz[]) AS count`;
  // Prepared once per connection: this is the one statement behind every click.
  const row = await one<{ count: number }>(db, { ...statement, name: 'record-engagements' });
  return row?.count ?? 0;
}
