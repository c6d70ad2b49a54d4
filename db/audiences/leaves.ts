import type { Condition, ConditionOf } from '../../domain/audiences';
import { sql } from '../../platform/postgres';
import { engagementLeaf } from './engagement-leaf';
import { customFieldLeaf, fieldLeaf } from './field-leaves';
import { during, history, keyed, type Leaf } from './leaf';
import type { Lookups } from './resolve';

/** A condition of a tree that was resolved, as SQL. */
export function leafOf(condition: Condition, lookups: Lookups): Leaf {
  switch (condition.type) {
    case 'field':
      return fieldLeaf(condition, lookups);
    case 'custom_field':
      return customFieldLeaf(condition, lookups);
    case 'consent':
      return consentLeaf(condition, lookups);
    case 'category':
      return keyed(
        sql`SELECT x.contact_id FROM category_preferences x WHERE x.workspace_id = ${lookups.workspaceId}::uuid
              AND x.category_id = ${lookups.categories.get(condition.category)}::uuid AND NOT x.subscribed`,
        condition.subscribed,
      );
    case 'audience':
      return keyed(
        sql`SELECT x.contact_id FROM audience_members x WHERE x.workspace_id = ${lookups.workspaceId}::uuid
              AND x.audience_id = ${condition.audience_id}::uuid`,
        false,
      );
    case 'submission':
      return history(
        sql`SELECT x.contact_id FROM submissions x WHERE x.workspace_id = ${lookups.workspaceId}::uuid
              AND (${condition.origin ?? null}::text IS NULL OR x.origin = ${condition.origin ?? null}::text)
              AND ${during(sql`x.created_at`, condition.within, lookups)}`,
        condition.at_least ?? 1,
        lookups,
      );
    case 'event':
      return history(
        sql`SELECT x.contact_id FROM marketing_events x WHERE x.workspace_id = ${lookups.workspaceId}::uuid
              AND x.event_type = ${condition.event_type}::text AND x.contact_id IS NOT NULL
              AND ${during(sql`x.created_at`, condition.within, lookups)}`,
        condition.at_least ?? 1,
        lookups,
      );
    case 'engagement':
      return engagementLeaf(condition, lookups);
  }
}

function consentLeaf(condition: ConditionOf<'consent'>, lookups: Lookups): Leaf {
  const purpose = lookups.purposes.get(condition.purpose);
  if (condition.status === 'none') {
    return keyed(
      sql`SELECT x.contact_id FROM consents x WHERE x.workspace_id = ${lookups.workspaceId}::uuid
            AND x.channel = 'email' AND x.purpose_id = ${purpose}::uuid`,
      true,
    );
  }
  return keyed(
    sql`SELECT x.contact_id FROM consents x WHERE x.workspace_id = ${lookups.workspaceId}::uuid
          AND x.channel = 'email' AND x.purpose_id = ${purpose}::uuid AND x.status = ${condition.status}::text`,
    false,
  );
}
