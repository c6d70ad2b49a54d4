import { type Duration, milliseconds } from '../../domain/audiences';
import { type Statement, sql } from '../../platform/postgres';
import type { Lookups } from './resolve';

/** One condition as SQL about a contact `c`. */
export type Leaf =
  /** About the contact's own row. */
  | { kind: 'row'; predicate: Statement }
  /** About a custom field's row of contact_attributes, which may be absent. */
  | { kind: 'attribute'; fieldId: string; predicate: (attribute: Statement) => Statement }
  /** Whether the contact is in (or, negated, not in) a set. */
  | {
      kind: 'set';
      negated: boolean;
      /** The set's contacts as `contact_id`, some of them perhaps several times. */
      members: Statement;
      /** Each contact of the set once, as `contact_id`. */
      contactIds: Statement;
      /** The same question about `c` alone, by index. */
      forEach: Statement;
    };

/** A table that has at most one row per contact, moved along when contacts are merged. */
export function keyed(contactIds: Statement, negated: boolean): Leaf {
  const forEach = sql`EXISTS (${contactIds} AND x.contact_id = c.id)`;
  return { kind: 'set', negated, members: contactIds, contactIds, forEach };
}

/**
 * Rows that tell what happened to a contact. Those of contacts that were merged into another keep their contact's id;
 * they count for the one that is left.
 */
export function history(rows: Statement, atLeast: number, { workspaceId }: Lookups): Leaf & { kind: 'set' } {
  const all = sql`SELECT coalesce(merged.merged_into, rows.contact_id) AS contact_id
    FROM (${rows}) rows
    LEFT JOIN contacts merged ON merged.workspace_id = ${workspaceId}::uuid AND merged.id = rows.contact_id
      AND merged.merged_into IS NOT NULL`;
  const contactIds = sql`${all} GROUP BY 1 HAVING count(*) >= ${atLeast}::bigint`;
  return {
    kind: 'set',
    negated: false,
    members: atLeast === 1 ? all : contactIds,
    contactIds,
    forEach: sql`(SELECT count(*) FROM (
        SELECT FROM (${rows}) rows WHERE rows.contact_id = ANY (ARRAY(
          SELECT c.id UNION ALL
          SELECT f.id FROM contacts f WHERE f.workspace_id = ${workspaceId}::uuid AND f.merged_into = c.id))
        LIMIT ${atLeast}::bigint) found) >= ${atLeast}::bigint`,
  };
}

/** After `now - within` and not after now; true where no length of time is given. */
export function during(moment: Statement, within: Duration | undefined, { now }: Lookups): Statement {
  if (within === undefined) return sql`true`;
  const from = new Date(now.getTime() - milliseconds(within));
  return sql`${moment} > ${from}::timestamptz AND ${moment} <= ${now}::timestamptz`;
}
