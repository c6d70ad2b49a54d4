import { rollUpReceipts } from '../../db/delivery';
import { rollUpEngagements } from '../../db/tracking';
import { type Database, one, type Queryable, sql } from '../../platform/postgres';
import { until } from './until';

/**
 * Waits until consumers can read all events so far: transactions of other suites, in other databases of the same server,
 * hold the horizon back, too.
 */
export function eventsReadable(db: Queryable): Promise<void> {
  return readable(db, 'marketing_events');
}

/** Waits for the horizon in the same way, then rolls up all opens, clicks and receipts so far. */
export async function everythingRolledUp(db: Database): Promise<void> {
  await readable(db, 'engagements');
  while ((await rollUpEngagements(db, 1_000)) > 0);
  await readable(db, 'delivery_groups');
  while ((await rollUpReceipts(db, 1_000)) > 0);
}

async function readable(db: Queryable, table: 'marketing_events' | 'engagements' | 'delivery_groups'): Promise<void> {
  await until(`no transaction holds back the horizon of ${table}`, async () => {
    const row = await one<{ held: boolean }>(
      db,
      sql`SELECT coalesce(max(transaction_id) >= pg_snapshot_xmin(pg_current_snapshot()), false) AS held
          FROM ${{ text: table, values: [] }}`,
    );
    return row?.held === false;
  });
}
