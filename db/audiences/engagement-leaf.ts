import { type ConditionOf, milliseconds } from '../../domain/audiences';
import { type Statement, sql } from '../../platform/postgres';
import { during, history, type Leaf } from './leaf';
import type { Lookups } from './resolve';

/** A condition about what somebody did with messages, or what became of those to them. */
export function engagementLeaf(condition: ConditionOf<'engagement'>, lookups: Lookups): Leaf {
  switch (condition.activity) {
    case 'opened':
    case 'clicked':
      return history(rolledUp(condition, lookups), 1, lookups);
    case 'bounced':
      return history(bounces(condition, lookups), 1, lookups);
    case 'received':
      return history(received(condition, lookups), 1, lookups);
    case 'nothing_received':
      return { ...history(received(condition, lookups), 1, lookups), negated: true };
  }
}

/**
 * For rows `x` that say when it happened first and last: within a length of time that ends now is what happened last,
 * unless its clock was ahead of this one.
 */
function happenedLast({ within }: ConditionOf<'engagement'>, { now }: Lookups): Statement {
  if (within === undefined) return sql`true`;
  const from = new Date(now.getTime() - milliseconds(within));
  return sql`x.last_at > ${from}::timestamptz AND x.first_at <= ${now}::timestamptz`;
}

/** Opens and clicks as rolled up by contact (migration 0019). */
function rolledUp(condition: ConditionOf<'engagement'>, lookups: Lookups): Statement {
  const { workspaceId } = lookups;
  const { campaign_id: campaignId, url } = condition;
  const recent = happenedLast(condition, lookups);
  // Not bound: the index of links is one of clicks only.
  const kind = condition.activity === 'opened' ? sql`x.kind = 'OPEN'` : sql`x.kind = 'CLICK'`;
  if (campaignId === undefined && url === undefined) {
    return sql`SELECT x.contact_id FROM contact_engagements x
      WHERE x.workspace_id = ${workspaceId}::uuid AND ${kind} AND ${recent}`;
  }
  return sql`SELECT x.contact_id FROM contact_engagement_details x
    WHERE x.workspace_id = ${workspaceId}::uuid AND ${kind}
      AND ${campaignId === undefined ? sql`true` : sql`x.campaign_id = ${campaignId}::uuid`}
      AND ${url === undefined ? sql`true` : sql`x.url_md5 = md5(${url}::text)::uuid`} AND ${recent}`;
}

/** Refused for good while it was sent (an index of just these), or reported by a provider afterwards. */
function bounces(condition: ConditionOf<'engagement'>, lookups: Lookups): Statement {
  const { workspaceId } = lookups;
  return sql`SELECT d.contact_id FROM deliveries d
    WHERE d.workspace_id = ${workspaceId}::uuid AND d.contact_id IS NOT NULL AND d.status = 'FAILED'
      AND d.reason = 'ADDRESS_REJECTED' AND ${ofCampaign(condition, lookups)}
      AND ${during(sql`d.last_attempt_at`, condition.within, lookups)}
    UNION ALL
    SELECT x.contact_id FROM marketing_events x
    WHERE x.workspace_id = ${workspaceId}::uuid AND x.contact_id IS NOT NULL AND x.event_type = 'email_bounced'
      AND (${condition.campaign_id ?? null}::uuid IS NULL OR x.campaign_id = ${condition.campaign_id ?? null}::uuid)
      AND ${during(sql`x.created_at`, condition.within, lookups)}`;
}

/** Anything: as rolled up by contact (migration 0023). Something of one campaign: that campaign's part of the ledger. */
function received(condition: ConditionOf<'engagement'>, lookups: Lookups): Statement {
  const { workspaceId } = lookups;
  if (condition.campaign_id === undefined) {
    return sql`SELECT x.contact_id FROM contact_receipts x
      WHERE x.workspace_id = ${workspaceId}::uuid AND ${happenedLast(condition, lookups)}`;
  }
  return sql`SELECT d.contact_id FROM deliveries d
    WHERE d.workspace_id = ${workspaceId}::uuid AND d.contact_id IS NOT NULL AND d.status = 'SENT'
      AND d.class IN ('bulk', 'journey') AND ${ofCampaign(condition, lookups)}
      AND ${during(sql`d.sent_at`, condition.within, lookups)}`;
}

/** By the runs' ids themselves: with a sub-query the planner may read the ledger of all campaigns for them. */
function ofCampaign({ campaign_id: campaignId }: ConditionOf<'engagement'>, { campaignRuns }: Lookups): Statement {
  if (campaignId === undefined) return sql`true`;
  return sql`d.source_type = 'CAMPAIGN' AND d.source_id = ANY (${[...(campaignRuns.get(campaignId) ?? [])]}::uuid[])`;
}
