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
 * Opens and clicks as rolled up by contact (migration 0019). A row says when it happened first and last: within a length
 * of time that ends now is what happened last, unless its clock was ahead of this one.
 */
function rolledUp(condition: ConditionOf<'engagement'>, { workspaceId, now }: Lookups): Statement {
  const { campaign_id: campaignId, url, within } = condition;
  const recent =
    within === undefined
      ? sql`true`
      : sql`x.last_at > ${new Date(now.getTime() - milliseconds(within))}::timestamptz AND x.first_at <= ${now}::timestamptz`;
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

function received(condition: ConditionOf<'engagement'>, lookups: Lookups): Statement {
  return sql`SELECT d.contact_id FROM deliveries d
    WHERE d.workspace_id = ${lookups.workspaceId}::uuid AND d.contact_id IS NOT NULL AND d.status = 'SENT'
      AND d.class IN ('bulk', 'journey') AND ${ofCampaign(condition, lookups)}
      AND ${during(sql`d.sent_at`, condition.within, lookups)}`;
}

function ofCampaign(condition: ConditionOf<'engagement'>, { workspaceId }: Lookups): Statement {
  if (condition.campaign_id === undefined) return sql`true`;
  return sql`d.source_type = 'CAMPAIGN' AND d.source_id IN (SELECT r.id FROM campaign_runs r
    WHERE r.workspace_id = ${workspaceId}::uuid AND r.campaign_id = ${condition.campaign_id}::uuid)`;
}
