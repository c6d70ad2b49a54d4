import { type Database, one, type Queryable, sql } from '../../platform/postgres';
import { type RefusedAddress, suppressRefused } from './suppress';

/** After how many soft bounces within how many days an address is suppressed; 0 bounces = never. */
export interface BouncePolicy {
  softBounces: number;
  withinDays: number;
  /** 0: the policy every workspace begins with. */
  version: number;
}

const DEFAULT_POLICY: BouncePolicy = { softBounces: 5, withinDays: 30, version: 0 };

/** The workspace's policy, or the one every workspace begins with. */
export async function findBouncePolicy(db: Queryable, workspaceId: string): Promise<BouncePolicy> {
  const row = await one<{ soft_bounces: number; within_days: number; version: number }>(
    db,
    sql`SELECT soft_bounces, within_days, version FROM bounce_policies WHERE workspace_id = ${workspaceId}`,
  );
  return row ? { softBounces: row.soft_bounces, withinDays: row.within_days, version: row.version } : DEFAULT_POLICY;
}

/** Stores the policy; it counts from the next soft bounce on. */
export async function saveBouncePolicy(
  tx: Queryable,
  workspaceId: string,
  policy: Omit<BouncePolicy, 'version'>,
): Promise<BouncePolicy> {
  const row = await one<{ version: number }>(
    tx,
    sql`INSERT INTO bounce_policies AS p (workspace_id, soft_bounces, within_days)
        VALUES (${workspaceId}, ${policy.softBounces}, ${policy.withinDays})
        ON CONFLICT (workspace_id) DO UPDATE SET soft_bounces = excluded.soft_bounces, within_days = excluded.within_days,
          version = p.version + 1, updated_at = sally_now()
        RETURNING version`,
  );
  if (!row) throw new Error('a policy could not be stored');
  return { ...policy, version: row.version };
}

/**
 * Notes that a message came back softly and finally: a mailbox said "later" until the last try, or a provider reported
 * it. Once per delivery. With as many as the policy allows, and no message accepted since the first of them, the address
 * is suppressed like one that does not exist.
 */
export async function noteSoftBounce(db: Database, bounce: RefusedAddress): Promise<void> {
  const { workspaceId, addressHash, sourceId, deliveryId, contactId } = bounce;
  await db.transaction(async (tx) => {
    // One at a time per address: each counts those before it.
    await tx.query(
      sql`SELECT pg_advisory_xact_lock(hashtextextended(${workspaceId}::text || ${addressHash.toString('hex')}::text, 0))`,
    );
    const policy = await findBouncePolicy(tx, workspaceId);
    await tx.query(sql`
      DELETE FROM soft_bounces WHERE workspace_id = ${workspaceId} AND address_hash = ${addressHash}
        AND occurred_at < sally_now() - make_interval(days => ${policy.withinDays})`);
    await tx.query(sql`
      INSERT INTO soft_bounces (workspace_id, address_hash, source_id, delivery_id, enhanced_code)
      VALUES (${workspaceId}, ${addressHash}, ${sourceId}, ${deliveryId}, ${bounce.enhancedCode}) ON CONFLICT DO NOTHING`);
    const counted = await one<{ count: number; since: string; accepted: boolean }>(
      tx,
      sql`SELECT count(*)::int AS count, min(occurred_at) AS since,
            EXISTS (SELECT 1 FROM deliveries d WHERE d.workspace_id = ${workspaceId} AND d.contact_id = ${contactId}
              AND d.status = 'SENT' AND d.address_hash IS NOT DISTINCT FROM ${addressHash}
              AND d.sent_at > min(b.occurred_at)) AS accepted
          FROM soft_bounces b WHERE workspace_id = ${workspaceId} AND address_hash = ${addressHash}`,
    );
    if (!counted || policy.softBounces === 0 || counted.count < policy.softBounces || counted.accepted) return;
    const evidence = { soft_bounces: counted.count, since: counted.since, within_days: policy.withinDays };
    // Under the same lock: the bounce that was one too many is the evidence, and none after it.
    await suppressRefused(tx, { ...bounce, evidence });
  });
}
