import { one, type Queryable, sql } from '../../platform/postgres';

const LONGEST_MS = 30_000;

/**
 * Waits until consumers can read all events so far: transactions of other suites, in other databases of the same server,
 * hold the horizon back, too.
 */
export async function eventsReadable(db: Queryable): Promise<void> {
  const end = Date.now() + LONGEST_MS;
  const held = () =>
    one<{ held: boolean }>(
      db,
      sql`SELECT coalesce(max(transaction_id) >= pg_snapshot_xmin(pg_current_snapshot()), false) AS held FROM marketing_events`,
    );
  while ((await held())?.held) {
    if (Date.now() > end) throw new Error(`a transaction holds the horizon back for over ${LONGEST_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
