import { changed, one, type Queryable, sql } from '../../platform/postgres';

export type IndexState = 'NONE' | 'BUILDING' | 'READY' | 'REMOVING';

/**
 * Turns a field's place in the derived index on or off, for a job that builds or removes it. From the commit on every
 * write of a contact keeps the index, or leaves it alone.
 */
export async function switchFieldIndex(
  tx: Queryable,
  field: { workspaceId: string; id: string; jobId: string; action: 'build' | 'remove' },
): Promise<void> {
  await tx.query(sql`
    UPDATE contact_field_definitions SET is_segmentable = ${field.action === 'build'},
      index_state = ${field.action === 'build' ? 'BUILDING' : 'REMOVING'}, index_job_id = ${field.jobId}
    WHERE workspace_id = ${field.workspaceId} AND id = ${field.id}`);
}

/** The field that a job builds or removes, held until the end of the transaction; null when another job has it now. */
export function holdIndexedField(
  tx: Queryable,
  job: { workspaceId: string; jobId: string; fieldId: string },
): Promise<{ name: string; type: string; index_state: IndexState } | null> {
  return one(
    tx,
    sql`SELECT name, type, index_state FROM contact_field_definitions
        WHERE workspace_id = ${job.workspaceId} AND id = ${job.fieldId} AND index_job_id = ${job.jobId}
          AND index_state IN ('BUILDING', 'REMOVING') FOR SHARE`,
  );
}

/** The index holds every contact (READY), or none (NONE). */
export async function finishFieldIndex(
  tx: Queryable,
  job: { workspaceId: string; jobId: string; fieldId: string },
): Promise<boolean> {
  const finished = await changed(
    tx,
    sql`UPDATE contact_field_definitions
        SET index_state = CASE index_state WHEN 'BUILDING' THEN 'READY' ELSE 'NONE' END
        WHERE workspace_id = ${job.workspaceId} AND id = ${job.fieldId} AND index_job_id = ${job.jobId}
          AND index_state IN ('BUILDING', 'REMOVING')`,
  );
  return finished === 1;
}

/**
 * The first transaction id that is not given out yet. Transactions that began before may have read the definition as it
 * was and write a contact without its index row, so a build begins when all of them have ended (`haveEnded`).
 */
export async function transactionHorizon(db: Queryable): Promise<string> {
  const row = await one<{ horizon: string }>(db, sql`SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS horizon`);
  if (!row) throw new Error('the database has no snapshot');
  return row.horizon;
}

export async function haveEnded(db: Queryable, horizon: string): Promise<boolean> {
  const row = await one<{ ended: boolean }>(
    db,
    sql`SELECT pg_snapshot_xmin(pg_current_snapshot()) >= ${horizon}::text::xid8 AS ended`,
  );
  return row?.ended ?? false;
}

export async function countContacts(db: Queryable, workspaceId: string): Promise<number> {
  const row = await one<{ count: number }>(
    db,
    sql`SELECT count(*) AS count FROM contacts WHERE workspace_id = ${workspaceId}`,
  );
  return row?.count ?? 0;
}

/** The next contacts in the order of their ids: the last of them and how many there are; null at the end. */
export async function nextContacts(
  db: Queryable,
  workspaceId: string,
  after: string | null,
  limit: number,
): Promise<{ last: string; count: number } | null> {
  const row = await one<{ last: string | null; count: number }>(
    db,
    sql`WITH page AS (
          SELECT id FROM contacts WHERE workspace_id = ${workspaceId}
            AND id > coalesce(${after}::uuid, '00000000-0000-0000-0000-000000000000') ORDER BY id LIMIT ${limit})
        SELECT (SELECT id FROM page ORDER BY id DESC LIMIT 1) AS last, (SELECT count(*) FROM page) AS count`,
  );
  return row === null || row.last === null ? null : { last: row.last, count: row.count };
}

interface IndexRange {
  workspaceId: string;
  fieldId: string;
  after: string | null;
  last: string;
}

/**
 * Writes the index rows of the contacts in a range of ids. They are locked, so that what is written is what they hold
 * now: who changes one of them waits, and keeps the index after that.
 */
export function indexContacts(
  tx: Queryable,
  range: IndexRange,
  field: { name: string; type: string },
): Promise<number> {
  return changed(
    tx,
    sql`WITH held AS MATERIALIZED (
          SELECT c.id, c.fields -> ${field.name}::text AS value FROM contacts c
          WHERE c.workspace_id = ${range.workspaceId} AND c.id <= ${range.last}
            AND c.id > coalesce(${range.after}::uuid, '00000000-0000-0000-0000-000000000000')
            AND jsonb_exists(c.fields, ${field.name}) ORDER BY c.id FOR SHARE)
        INSERT INTO contact_attributes (workspace_id, contact_id, field_id, text_value, number_value, boolean_value,
          date_value, moment_value, list_value)
        SELECT ${range.workspaceId}::uuid, v.* FROM (
          SELECT h.id, ${range.fieldId}::uuid, sally_attribute_text(${field.type}, h.value) AS t,
            sally_attribute_number(${field.type}, h.value) AS n, sally_attribute_boolean(${field.type}, h.value) AS b,
            sally_attribute_date(${field.type}, h.value) AS d, sally_attribute_moment(${field.type}, h.value) AS m,
            sally_attribute_list(${field.type}, h.value) AS l FROM held h) AS v
        WHERE num_nonnulls(v.t, v.n, v.b, v.d, v.m, v.l) = 1
        ON CONFLICT (workspace_id, contact_id, field_id) DO UPDATE SET text_value = excluded.text_value,
          number_value = excluded.number_value, boolean_value = excluded.boolean_value, date_value = excluded.date_value,
          moment_value = excluded.moment_value, list_value = excluded.list_value`,
  );
}

/** Removes the index rows of the contacts in a range of ids. */
export function unindexContacts(tx: Queryable, range: IndexRange): Promise<number> {
  return changed(
    tx,
    sql`DELETE FROM contact_attributes WHERE workspace_id = ${range.workspaceId} AND field_id = ${range.fieldId}
          AND contact_id > coalesce(${range.after}::uuid, '00000000-0000-0000-0000-000000000000')
          AND contact_id <= ${range.last}`,
  );
}
