import type { EventField } from '../../domain/events';
import { changed, many, one, type Queryable, sql } from '../../platform/postgres';

export interface EventTypeRow {
  id: string;
  name: string;
  description: string;
  /** Null: any payload. */
  fields: EventField[] | null;
  version: number;
  created_at: Date;
  updated_at: Date;
}

const COLUMNS = sql`id, name, description, fields, version, created_at, updated_at`;

/** A name in use violates the unique constraint. */
export async function insertEventType(
  tx: Queryable,
  workspaceId: string,
  type: { name: string; description: string; fields: EventField[] | null; createdBy: string },
): Promise<EventTypeRow> {
  const row = await one<EventTypeRow>(
    tx,
    sql`INSERT INTO event_types (workspace_id, name, description, fields, created_by)
        VALUES (${workspaceId}, ${type.name}, ${type.description}, ${json(type.fields)}, ${type.createdBy})
        RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('an event type could not be made');
  return row;
}

/** By name, one more than `limit`. */
export function listEventTypes(
  db: Queryable,
  workspaceId: string,
  page: { after: string | null; limit: number },
): Promise<EventTypeRow[]> {
  return many(
    db,
    sql`SELECT ${COLUMNS} FROM event_types
        WHERE workspace_id = ${workspaceId} AND (${page.after}::text IS NULL OR name > ${page.after})
        ORDER BY name LIMIT ${page.limit + 1}`,
  );
}

/** The type, held until the end of the transaction. */
export function lockEventType(tx: Queryable, workspaceId: string, id: string): Promise<EventTypeRow | null> {
  return one(tx, sql`SELECT ${COLUMNS} FROM event_types WHERE workspace_id = ${workspaceId} AND id = ${id} FOR UPDATE`);
}

export async function updateEventType(
  tx: Queryable,
  workspaceId: string,
  id: string,
  type: { description: string; fields: EventField[] | null },
): Promise<EventTypeRow> {
  const row = await one<EventTypeRow>(
    tx,
    sql`UPDATE event_types SET description = ${type.description}, fields = ${json(type.fields)}, version = version + 1,
          updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${id} RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('an event type vanished while it was locked');
  return row;
}

/** Forgets the description; the events of the type stay. */
export async function deleteEventType(tx: Queryable, workspaceId: string, id: string): Promise<boolean> {
  return (await changed(tx, sql`DELETE FROM event_types WHERE workspace_id = ${workspaceId} AND id = ${id}`)) === 1;
}

/** What the workspace says about these types, by name; types that it says nothing about are absent. */
export async function describedFields(
  db: Queryable,
  workspaceId: string,
  names: readonly string[],
): Promise<Map<string, EventField[]>> {
  const rows = await many<{ name: string; fields: EventField[] }>(
    db,
    sql`SELECT name, fields FROM event_types
        WHERE workspace_id = ${workspaceId} AND fields IS NOT NULL AND name = ANY (${names}::text[])`,
  );
  return new Map(rows.map((row) => [row.name, row.fields]));
}

function json(value: unknown): string | null {
  return value === null ? null : JSON.stringify(value);
}
