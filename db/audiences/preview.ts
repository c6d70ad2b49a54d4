import type { ConditionTree } from '../../domain/audiences';
import { many, one, type Queryable, type Statement, sql, sqlState } from '../../platform/postgres';
import { compileTree, matchingContacts } from './compile';
import type { Lookups } from './resolve';
import { giveRoom, lookUpEach } from './room';

const QUERY_CANCELED = '57014';
/** Contacts that an estimate looks at; the few are for when even the many take too long. */
const SAMPLE = { many: 2_000, few: 200 };
const SAMPLES_SHOWN = 10;

export interface Preview {
  count: number;
  /** True: counting would have taken too long; `count` is extrapolated from a sample of contacts. */
  isEstimate: boolean;
  samples: PreviewedContact[];
}

export interface PreviewedContact {
  id: string;
  email: string;
  status: 'ACTIVE' | 'UNSUBSCRIBED' | 'BOUNCED' | 'COMPLAINED';
  first_name: string;
  last_name: string;
}

/**
 * How many contacts a tree is true for, and up to ten of them. Counts for at most `exactMs`; after that it estimates
 * from a random sample of the table's pages, for at most `estimateMs` from one of 2,000 contacts and then as long from
 * one of 200. Null: not even that could be had in time.
 */
export async function previewConditions(
  tx: Queryable,
  tree: ConditionTree,
  lookups: Lookups,
  limits: { exactMs: number; estimateMs: number },
): Promise<Preview | null> {
  const exact = await within(tx, limits.exactMs, () => matches(tx, matchingContacts(tree, lookups), SAMPLES_SHOWN));
  if (exact !== null) return { count: exact.count, isEstimate: false, samples: await show(tx, lookups, exact.ids) };
  const estimate = (size: number) => within(tx, limits.estimateMs, () => sample(tx, tree, lookups, size));
  const sampled = (await estimate(SAMPLE.many)) ?? (await estimate(SAMPLE.few));
  return sampled && { ...sampled, isEstimate: true, samples: await show(tx, lookups, sampled.ids) };
}

function matches(tx: Queryable, found: Statement, shown: number): Promise<{ count: number; ids: string[] } | null> {
  return one(
    tx,
    sql`WITH found AS MATERIALIZED (${found})
        SELECT count(*) AS count, (array_agg(id ORDER BY id DESC))[1:${shown}::integer] AS ids FROM found`,
  );
}

/** Of the contacts on randomly chosen pages, those that match, extrapolated. */
async function sample(
  tx: Queryable,
  tree: ConditionTree,
  lookups: Lookups,
  contacts: number,
): Promise<{ count: number; ids: string[] } | null> {
  const size = await one<{ rows: number }>(
    tx,
    sql`SELECT greatest(reltuples, 1)::double precision AS rows FROM pg_class WHERE oid = 'contacts'::regclass`,
  );
  const percent = Math.min(100, (contacts / (size?.rows ?? 1)) * 100);
  const { joins, predicate } = compileTree(tree, lookups, 'each');
  await lookUpEach(tx);
  const found = await matches(
    tx,
    sql`SELECT c.id FROM contacts c TABLESAMPLE SYSTEM (${percent}::real) ${joins}
        WHERE c.workspace_id = ${lookups.workspaceId}::uuid AND c.erased_at IS NULL AND ${predicate}`,
    SAMPLES_SHOWN,
  );
  return found && { count: Math.round((found.count * 100) / percent), ids: found.ids };
}

/** The work's result, or null when it took longer; the transaction goes on either way. */
async function within<T>(tx: Queryable, ms: number, work: () => Promise<T>): Promise<T | null> {
  await tx.query('SAVEPOINT preview');
  try {
    await tx.query(`SET LOCAL statement_timeout = ${Math.max(1, Math.round(ms))}`);
    await giveRoom(tx, '64MB');
    const result = await work();
    await tx.query('ROLLBACK TO SAVEPOINT preview');
    return result;
  } catch (error) {
    await tx.query('ROLLBACK TO SAVEPOINT preview');
    if (sqlState(error) !== QUERY_CANCELED) throw error;
    return null;
  }
}

function show(tx: Queryable, { workspaceId }: Lookups, ids: string[] | null): Promise<PreviewedContact[]> {
  return many(
    tx,
    sql`SELECT id, email, status, first_name, last_name FROM contacts
        WHERE workspace_id = ${workspaceId} AND id = ANY (${ids ?? []}::uuid[]) ORDER BY id DESC`,
  );
}
