import type { Queryable } from '../../platform/postgres';

const SETTINGS = ['hashjoin', 'mergejoin', 'material', 'bitmapscan', 'seqscan']
  .map((method) => `SET LOCAL enable_${method} = off`)
  .join('; ');

/**
 * For the rest of a transaction that works on a batch of contacts. A young table, the staging table and the list of
 * addresses have no statistics, and a plan that reads all contacts of the workspace looks cheap. What is left are
 * look-ups by index, row by row. For the same reason the joins of batches take the workspace from their list (OFFSET 0
 * hides that it is a constant): of a constant workspace the planner would expect a two-hundredth of the contacts, and
 * read them all for every row of the list.
 */
export async function lookUpOnly(tx: Queryable): Promise<void> {
  await tx.query(SETTINGS);
}
