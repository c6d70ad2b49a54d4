import { one, type Queryable, type Statement, sql } from '../../platform/postgres';
import type { CompiledTree } from '../audiences';
import type { AudienceDefinition } from '../content';

const NIL = '00000000-0000-0000-0000-000000000000';

/** More contacts than there are. */
const MOST = 2_000_000_000;

/** Where a walk through an audience stands. */
export interface AudiencePosition {
  /** The last contact that was looked at; null = none yet. */
  cursor: string | null;
  purpose_id: string | null;
}

/**
 * The next `size` contacts in order of id, as the CTE `page`, and those of them that are the audience, as `audience`:
 * both of contact_id. What materialises a campaign and what foretells it walk by the same text.
 */
export function audiencePage(
  workspaceId: string,
  audience: AudienceDefinition,
  conditions: CompiledTree | null,
  from: AudiencePosition,
  size: number,
): Statement {
  return sql`
    page AS MATERIALIZED (${pageOfAudience(workspaceId, audience, from, size)}),
    audience AS MATERIALIZED (
      SELECT page.contact_id FROM page
      ${
        conditions === null
          ? sql``
          : sql`JOIN contacts c ON c.workspace_id = ${workspaceId} AND c.id = page.contact_id AND c.erased_at IS NULL
              ${conditions.joins}`
      }
      LEFT JOIN LATERAL (
        SELECT true AS excluded FROM audience_members x
        WHERE x.workspace_id = ${workspaceId} AND x.audience_id = ANY (${audience.exclude}::uuid[])
          AND x.contact_id = page.contact_id LIMIT 1) AS x ON true
      WHERE x.excluded IS NULL ${conditions === null ? sql`` : sql`AND ${conditions.predicate}`})`;
}

/** How many contacts the walk has not looked at yet. */
export async function restOfAudience(
  db: Queryable,
  workspaceId: string,
  audience: AudienceDefinition,
  from: AudiencePosition,
): Promise<number> {
  const page = pageOfAudience(workspaceId, audience, from, MOST);
  const row = await one<{ rest: number }>(db, sql`SELECT count(*) AS rest FROM (${page}) AS page`);
  return row?.rest ?? 0;
}

/** The next ids in order of contact; cheap by the primary keys of members and the index of consents. */
function pageOfAudience(
  workspaceId: string,
  audience: AudienceDefinition,
  from: AudiencePosition,
  size: number,
): Statement {
  const after = from.cursor ?? NIL;
  if (audience.allConsented) {
    return sql`SELECT contact_id FROM consents
      WHERE workspace_id = ${workspaceId} AND purpose_id = ${from.purpose_id} AND status = 'granted' AND channel = 'email'
        AND contact_id > ${after}
      ORDER BY contact_id LIMIT ${size}`;
  }
  if (audience.include.length === 0 && audience.conditions) {
    return sql`SELECT id AS contact_id FROM contacts
      WHERE workspace_id = ${workspaceId} AND id > ${after} AND erased_at IS NULL ORDER BY id LIMIT ${size}`;
  }
  return sql`SELECT DISTINCT m.contact_id FROM unnest(${audience.include}::uuid[]) AS list (id)
    CROSS JOIN LATERAL (
      SELECT contact_id FROM audience_members
      WHERE workspace_id = ${workspaceId} AND audience_id = list.id AND contact_id > ${after}
      ORDER BY contact_id LIMIT ${size}) AS m
    ORDER BY m.contact_id LIMIT ${size}`;
}
