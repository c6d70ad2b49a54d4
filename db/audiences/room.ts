import { one, type Queryable, sql } from '../../platform/postgres';

/**
 * For a statement over a whole workspace, which is planned for this once: memory for its hash joins, no compiling. After
 * a large import, before anything was analysed, the planner takes full tables for empty ones and would compare each row
 * with each: until then nested loops are off, in this transaction.
 */
export async function giveRoom(tx: Queryable, memory: '64MB' | '128MB'): Promise<void> {
  const statistics = await one<{ stale: boolean }>(
    tx,
    sql`SELECT coalesce(bool_or(n_mod_since_analyze > 1000 + n_live_tup / 5), false) AS stale FROM pg_stat_user_tables
        WHERE relname ~ '^(contacts|contact_attributes|consents|category_preferences|audience_members|submissions|contact_engagements|contact_engagement_details|(deliveries|engagements|marketing_events)_\\d.*)$'`,
  );
  await tx.query(`SET LOCAL work_mem = '${memory}'`);
  await tx.query('SET LOCAL jit = off');
  if (statistics?.stale) await tx.query('SET LOCAL enable_nestloop = off');
}
