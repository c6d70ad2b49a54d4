import type { ConditionTree } from '../../domain/audiences';
import { joinStatements, type Statement, sql } from '../../platform/postgres';
import type { Leaf } from './leaf';
import { leafOf } from './leaves';
import type { Lookups } from './resolve';

/**
 * How the parts of a tree are brought together:
 * - `set`: what a condition selects is made once and joined; for a whole workspace.
 * - `each`: it is looked up for each contact by its indexes; for a few contacts.
 */
export type CompileMode = 'set' | 'each';

/** A tree as SQL over `contacts c`: what to join, and which of its rows the tree is true for. */
export interface CompiledTree {
  joins: Statement;
  predicate: Statement;
}

interface Joins {
  workspaceId: string;
  mode: CompileMode;
  /** By what they join, so that two conditions about one thing join it once. */
  made: Map<string, { alias: Statement; join: Statement }>;
}

/**
 * Compiles a tree, which must have been resolved, to one set-based statement's parts. All values are bound; the only
 * text that comes about here are the names of joined tables.
 *
 * A comparison with a missing value is NULL in SQL, which WHERE, AND and OR treat as false; `not` makes it false first.
 */
export function compileTree(tree: ConditionTree, lookups: Lookups, mode: CompileMode): CompiledTree {
  const joins: Joins = { workspaceId: lookups.workspaceId, mode, made: new Map() };
  const predicates = conjuncts(tree).map((node) => compileConjunct(node, lookups, joins));
  const predicate = sql`(${joinStatements(predicates, sql` AND `)})`;
  return { joins: concatenate([...joins.made.values()].map(({ join }) => join)), predicate };
}

/** All contacts of the workspace for whom a tree is true: their ids as `id`. */
export function matchingContacts(tree: ConditionTree, lookups: Lookups): Statement {
  const { joins, predicate } = compileTree(tree, lookups, 'set');
  return sql`SELECT c.id FROM contacts c ${joins}
    WHERE c.workspace_id = ${lookups.workspaceId}::uuid AND c.erased_at IS NULL AND ${predicate}`;
}

/** Those of `ids` for whom a tree is true, looked up one by one: their ids as `id`. */
export function matchingAmong(ids: readonly string[], tree: ConditionTree, lookups: Lookups): Statement {
  const { joins, predicate } = compileTree(tree, lookups, 'each');
  return sql`SELECT c.id FROM unnest(${ids}::uuid[]) AS asked (id)
    JOIN contacts c ON c.workspace_id = ${lookups.workspaceId}::uuid AND c.id = asked.id ${joins}
    WHERE c.erased_at IS NULL AND ${predicate}`;
}

/** What must all be true at once: the parts of `all` at the top. */
function conjuncts(tree: ConditionTree): ConditionTree[] {
  return 'all' in tree ? tree.all.flatMap(conjuncts) : [tree];
}

/**
 * Being in a set, or not in it, as a condition of its own is a semi-join or an anti-join. Unlike the join of a set below
 * OR, whose rows must be unique first, several processes can share it; each would make such a set for itself.
 */
function compileConjunct(node: ConditionTree, lookups: Lookups, joins: Joins): Statement {
  const negates = 'not' in node;
  const inner = negates ? node.not : node;
  if (joins.mode === 'each' || 'all' in inner || 'any' in inner || 'not' in inner) {
    return compileNode(node, lookups, joins);
  }
  const leaf = leafOf(inner, lookups);
  if (leaf.kind !== 'set') return compileNode(node, lookups, joins);
  return leaf.negated === negates
    ? sql`c.id IN (${leaf.members})`
    : sql`NOT EXISTS (SELECT FROM (${leaf.members}) others WHERE others.contact_id = c.id)`;
}

function compileNode(tree: ConditionTree, lookups: Lookups, joins: Joins): Statement {
  if ('all' in tree) return group(tree.all, sql` AND `, lookups, joins);
  if ('any' in tree) return group(tree.any, sql` OR `, lookups, joins);
  if ('not' in tree) return sql`NOT (${compileNode(tree.not, lookups, joins)} IS TRUE)`;
  return compileLeaf(leafOf(tree, lookups), joins);
}

function group(children: readonly ConditionTree[], separator: Statement, lookups: Lookups, joins: Joins): Statement {
  return sql`(${joinStatements(
    children.map((child) => compileNode(child, lookups, joins)),
    separator,
  )})`;
}

function compileLeaf(leaf: Leaf, joins: Joins): Statement {
  switch (leaf.kind) {
    case 'row':
      return sql`(${leaf.predicate})`;
    case 'attribute': {
      const alias = joinOnce(
        joins,
        leaf.fieldId,
        (name) => sql`LEFT JOIN contact_attributes ${name} ON ${name}.workspace_id = ${joins.workspaceId}::uuid
          AND ${name}.field_id = ${leaf.fieldId}::uuid AND ${name}.contact_id = c.id`,
      );
      return sql`(${leaf.predicate(alias)})`;
    }
    case 'set': {
      const { negated } = leaf;
      if (joins.mode === 'each') {
        return negated ? sql`NOT ${leaf.forEach}` : leaf.forEach;
      }
      const { text, values } = leaf.contactIds;
      const alias = joinOnce(
        joins,
        JSON.stringify([text, values]),
        (name) => sql`LEFT JOIN (${leaf.contactIds}) ${name} ON ${name}.contact_id = c.id`,
      );
      return negated ? sql`(${alias}.contact_id IS NULL)` : sql`(${alias}.contact_id IS NOT NULL)`;
    }
  }
}

function joinOnce(joins: Joins, key: string, join: (alias: Statement) => Statement): Statement {
  const known = joins.made.get(key);
  if (known) return known.alias;
  const alias: Statement = { text: `j${joins.made.size}`, values: [] };
  joins.made.set(key, { alias, join: join(alias) });
  return alias;
}

function concatenate(parts: Statement[]): Statement {
  return parts.length === 0 ? sql`` : joinStatements(parts, sql` `);
}
