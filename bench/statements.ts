import { Client } from 'pg';

/** Settings of a Postgres whose statements are to be measured. */
export const STATEMENT_STATISTICS: Record<string, string> = {
  shared_preload_libraries: 'pg_stat_statements',
  'pg_stat_statements.track_planning': 'on',
};

/** Where a Postgres server spent its time, by statement; `adminUrl` of any of its databases. */
export async function printStatements(adminUrl: string, most: number): Promise<void> {
  const admin = new Client({ connectionString: adminUrl });
  await admin.connect();
  try {
    await admin.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements');
    const { rows } = await admin.query(
      `SELECT calls, round(total_exec_time::numeric) AS ms, round(mean_exec_time::numeric, 2) AS mean_ms,
         round(mean_plan_time::numeric, 2) AS plan_ms, rows,
         regexp_replace(left(query, 110), '\\s+', ' ', 'g') AS statement
       FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT $1`,
      [most],
    );
    console.table(rows);
  } finally {
    await admin.end();
  }
}
