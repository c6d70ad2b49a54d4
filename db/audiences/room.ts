import type { Queryable } from '../../platform/postgres';

/**
 * For a statement over a whole workspace, in this transaction: memory for its hash joins, no compiling. No nested loops:
 * what conditions have in common the planner cannot know, so it takes a few contacts for what is left after three of them
 * and looks up half a million one by one; and after a large import it takes full tables for empty ones.
 */
export async function giveRoom(tx: Queryable, memory: '64MB' | '128MB'): Promise<void> {
  await tx.query(`SET LOCAL work_mem = '${memory}'`);
  await tx.query('SET LOCAL jit = off');
  await tx.query('SET LOCAL enable_nestloop = off');
}

/** For a statement about a few contacts: a hash of a whole table for their sake is what takes long. */
export async function lookUpEach(tx: Queryable): Promise<void> {
  await tx.query('SET LOCAL enable_nestloop = on');
  await tx.query('SET LOCAL enable_hashjoin = off');
  await tx.query('SET LOCAL enable_mergejoin = off');
}
