import { rollUpEngagements } from '../../db/tracking';
import { type Database, one, type Queryable, sql } from '../../platform/postgres';

const LONGEST_MS = 30_000;

/**
 * Waits until consumers can read all events so far: transactions of other suites, in other databases of the same server,
 * hold the horizon back, too.
 */
export function eventsReadable(db: Queryable): Promise<void> {
  return readable(db, 'marketing_events');
}

/** Waits for the horizon in the same way, then rolls up all opens and clicks so far. */
export async function engagementsRolledUp(db: Database): Promise<void> {
  await readable(db, 'engagements');
  while ((await rollUpEngagements(db, 1_000)) > 0);
}

async function readable(db: Queryable, table: 'marketing_events' | 'engagements'): Promise<void> {
  const end = Date.now() + LONGEST_MS;
  const held = () =>
    one<{ held: boolean }>(
      db,
      sql`SELECT coalesce(max(transaction_id) >= pg_snapshot_xmin(pg_current_snapshot()), false) AS held
          FROM ${{ text: table, values: [] }}`,
    );
  while ((await held())?.held) {
    if (Date.now() > end) throw new Error(`a transaction holds the horizon back for over ${LONGEST_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
