import {
  BUILT_IN_FIELDS,
  type Comparison,
  type Condition,
  type ConditionTree,
  checkComparison,
  conditionsOf,
  type TreeProblem,
} from '../../domain/audiences';
import type { FieldType } from '../../domain/contacts';
import { many, one, type Queryable, sql } from '../../platform/postgres';

/** What a tree refers to, found in its workspace: everything that its SQL needs besides the tree. */
export interface Lookups {
  workspaceId: string;
  /** The clock of all rules when the tree was looked at. */
  now: Date;
  /** Of contacts that have no zone. */
  timeZone: string;
  /** Zones that Postgres knows, where the tree asks about local dates; a contact with another counts as without one. */
  knownZones: string[];
  /** All runs of each campaign that is named, by its id. */
  campaignRuns: ReadonlyMap<string, readonly string[]>;
  /** By name. */
  fields: ReadonlyMap<string, { id: string; type: FieldType; options: string[] | null }>;
  /** By key. */
  purposes: ReadonlyMap<string, string>;
  categories: ReadonlyMap<string, string>;
}

export type Resolution = { ok: true; lookups: Lookups } | { ok: false; problems: TreeProblem[] };

/**
 * Finds what a tree refers to and checks its comparisons against the types of fields. Problems name the place in the
 * tree; a field that is not segmentable, or whose index is not ready, is one.
 */
export async function resolveConditions(db: Queryable, workspaceId: string, tree: ConditionTree): Promise<Resolution> {
  const conditions = conditionsOf(tree);
  const names = { fields: new Set<string>(), purposes: new Set<string>(), categories: new Set<string>() };
  const ids = { audiences: new Set<string>(), campaigns: new Set<string>() };
  for (const { condition } of conditions) {
    if (condition.type === 'custom_field') names.fields.add(condition.field);
    if (condition.type === 'consent') names.purposes.add(condition.purpose);
    if (condition.type === 'category') names.categories.add(condition.category);
    if (condition.type === 'audience') ids.audiences.add(condition.audience_id);
    if (condition.type === 'engagement' && condition.campaign_id) ids.campaigns.add(condition.campaign_id);
  }
  const found = await one<Found>(
    db,
    sql`SELECT sally_now() AS now, w.time_zone,
          coalesce((SELECT jsonb_agg(jsonb_build_object('id', f.id, 'name', f.name, 'type', f.type,
              'options', f.enum_values, 'state', f.index_state))
            FROM contact_field_definitions f WHERE f.workspace_id = w.id AND f.archived_at IS NULL
              AND f.name = ANY (${[...names.fields]}::text[])), '[]') AS fields,
          coalesce((SELECT jsonb_object_agg(p.key, p.id) FROM purposes p
            WHERE p.workspace_id = w.id AND p.key = ANY (${[...names.purposes]}::text[])), '{}') AS purposes,
          coalesce((SELECT jsonb_object_agg(g.key, g.id) FROM preference_categories g
            WHERE g.workspace_id = w.id AND g.key = ANY (${[...names.categories]}::text[])), '{}') AS categories,
          ARRAY(SELECT a.id::text FROM audiences a WHERE a.workspace_id = w.id AND a.archived_at IS NULL
            AND a.id = ANY (${[...ids.audiences]}::uuid[])) AS audiences,
          coalesce((SELECT jsonb_object_agg(c.id, ARRAY(SELECT r.id FROM campaign_runs r
              WHERE r.workspace_id = c.workspace_id AND r.campaign_id = c.id))
            FROM campaigns c WHERE c.workspace_id = w.id AND c.id = ANY (${[...ids.campaigns]}::uuid[])), '{}') AS campaigns
        FROM workspaces w WHERE w.id = ${workspaceId}`,
  );
  if (!found) throw new Error('conditions of a workspace that does not exist');
  const problems = conditions.flatMap(({ condition, path }) => problemOf(condition, path, found) ?? []);
  if (problems.length > 0) return { ok: false, problems: problems.slice(0, 20) };
  const lookups: Lookups = {
    workspaceId,
    now: found.now,
    timeZone: found.time_zone,
    knownZones: [],
    campaignRuns: new Map(Object.entries(found.campaigns)),
    fields: new Map(found.fields.map(({ id, name, type, options }) => [name, { id, type, options }])),
    purposes: new Map(Object.entries(found.purposes)),
    categories: new Map(Object.entries(found.categories)),
  };
  const local = conditions.some(({ condition }) => {
    const comparison = comparisonOf(condition, lookups);
    return comparison?.kind === 'date-relative' || comparison?.kind === 'moment-date';
  });
  return { ok: true, lookups: { ...lookups, knownZones: local ? await knownZones(db) : [] } };
}

/** The comparison of a condition about a field, or null for another condition. */
export function comparisonOf(condition: Condition, lookups: Pick<Lookups, 'fields'>): Comparison | null {
  if (condition.type !== 'field' && condition.type !== 'custom_field') return null;
  const field =
    condition.type === 'field'
      ? { type: BUILT_IN_FIELDS[condition.field], options: null }
      : lookups.fields.get(condition.field);
  if (!field) throw new Error('a condition was not resolved');
  const checked = checkComparison(field.type, condition.operator, condition.value, field.options);
  if (!checked.ok) throw new Error('a condition was not checked');
  return checked.comparison;
}

function problemOf(condition: Condition, path: string, found: Found): TreeProblem | null {
  const at = (step: string) => (path === '' ? step : `${path}/${step}`);
  switch (condition.type) {
    case 'field': {
      const checked = checkComparison(BUILT_IN_FIELDS[condition.field], condition.operator, condition.value);
      return checked.ok ? null : { path, message: `${condition.field}: ${checked.message}` };
    }
    case 'custom_field': {
      const field = found.fields.find(({ name }) => name === condition.field);
      if (!field) return { path: at('field'), message: `There is no custom field "${condition.field}".` };
      if (field.state !== 'READY') return { path: at('field'), message: notReady(field) };
      const checked = checkComparison(field.type, condition.operator, condition.value, field.options);
      return checked.ok ? null : { path, message: `${condition.field}: ${checked.message}` };
    }
    case 'consent':
      return found.purposes[condition.purpose] ? null : { path: at('purpose'), message: 'No purpose has this key.' };
    case 'category':
      return found.categories[condition.category]
        ? null
        : { path: at('category'), message: 'No preference category has this key.' };
    case 'audience':
      return found.audiences.includes(condition.audience_id)
        ? null
        : { path: at('audience_id'), message: 'No audience with this id exists.' };
    case 'engagement':
      return !condition.campaign_id || found.campaigns[condition.campaign_id]
        ? null
        : { path: at('campaign_id'), message: 'No campaign with this id exists.' };
    case 'submission':
    case 'event':
      return null;
  }
}

interface Found extends Record<string, unknown> {
  now: Date;
  time_zone: string;
  fields: { id: string; name: string; type: FieldType; options: string[] | null; state: string }[];
  purposes: Record<string, string>;
  categories: Record<string, string>;
  audiences: string[];
  campaigns: Record<string, string[]>;
}

function notReady(field: { name: string; state: string }): string {
  return field.state === 'BUILDING'
    ? `The custom field "${field.name}" is still being made segmentable.`
    : `The custom field "${field.name}" is not segmentable. Set is_segmentable on it first.`;
}

let zones: Promise<string[]> | null = null;

/** An unknown zone would be an error for the entire statement; Node may know more zones than this Postgres. */
function knownZones(db: Queryable): Promise<string[]> {
  zones ??= many<{ name: string }>(db, sql`SELECT name FROM pg_timezone_names`).then((rows) =>
    rows.map((row) => row.name),
  );
  zones.catch(() => {
    zones = null;
  });
  return zones;
}
