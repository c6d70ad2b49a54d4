import type { FieldDefinition, FieldType, FieldValue } from '../../domain/contacts';
import { many, one, type Queryable, sql } from '../../platform/postgres';
import type { IndexState } from './field-index';

export interface FieldDefinitionRow {
  id: string;
  name: string;
  label: string;
  type: FieldType;
  required: boolean;
  default_value: FieldValue | null;
  enum_values: string[] | null;
  archived_at: Date | null;
  is_segmentable: boolean;
  index_state: IndexState;
  /** The job that builds or removes the index, or did so last. */
  index_job_id: string | null;
  version: number;
  created_at: Date;
  updated_at: Date;
}

const COLUMNS = sql`id, name, label, type, required, default_value, enum_values, archived_at, is_segmentable, index_state,
  index_job_id, version, created_at, updated_at`;

export function toFieldDefinition(
  row: Pick<FieldDefinitionRow, 'name' | 'type' | 'required' | 'default_value' | 'enum_values'>,
): FieldDefinition {
  return {
    key: row.name,
    type: row.type,
    required: row.required,
    defaultValue: row.default_value,
    options: row.enum_values,
  };
}

/** The definitions that new values are checked against: those not archived. */
export async function activeFieldDefinitions(db: Queryable, workspaceId: string): Promise<FieldDefinition[]> {
  const rows = await many<FieldDefinitionRow>(
    db,
    sql`SELECT ${COLUMNS} FROM contact_field_definitions
        WHERE workspace_id = ${workspaceId} AND archived_at IS NULL ORDER BY name`,
  );
  return rows.map(toFieldDefinition);
}

/** All definitions by name, one more than `limit`. */
export function listFieldDefinitions(
  db: Queryable,
  workspaceId: string,
  page: { after: string | null; limit: number; archived: boolean },
): Promise<FieldDefinitionRow[]> {
  return many(
    db,
    sql`SELECT ${COLUMNS} FROM contact_field_definitions
        WHERE workspace_id = ${workspaceId} AND (${page.archived} OR archived_at IS NULL)
          AND (${page.after}::text IS NULL OR name > ${page.after})
        ORDER BY name LIMIT ${page.limit + 1}`,
  );
}

export async function countFieldDefinitions(db: Queryable, workspaceId: string): Promise<number> {
  const row = await one<{ count: number }>(
    db,
    sql`SELECT count(*) AS count FROM contact_field_definitions WHERE workspace_id = ${workspaceId} AND archived_at IS NULL`,
  );
  return row?.count ?? 0;
}

export function findFieldDefinition(
  db: Queryable,
  workspaceId: string,
  id: string,
): Promise<FieldDefinitionRow | null> {
  return one(
    db,
    sql`SELECT ${COLUMNS} FROM contact_field_definitions WHERE workspace_id = ${workspaceId} AND id = ${id}`,
  );
}

/** The definition, held until the end of the transaction. */
export function lockFieldDefinition(
  tx: Queryable,
  workspaceId: string,
  id: string,
): Promise<FieldDefinitionRow | null> {
  return one(
    tx,
    sql`SELECT ${COLUMNS} FROM contact_field_definitions WHERE workspace_id = ${workspaceId} AND id = ${id} FOR UPDATE`,
  );
}

export type NewFieldDefinition = Pick<
  FieldDefinitionRow,
  'name' | 'label' | 'type' | 'required' | 'default_value' | 'enum_values' | 'is_segmentable'
>;

/**
 * A name in use violates the unique constraint. No contact has a value yet, so a segmentable field's index is READY at
 * once.
 */
export async function insertFieldDefinition(
  tx: Queryable,
  workspaceId: string,
  field: NewFieldDefinition,
): Promise<FieldDefinitionRow> {
  const row = await one<FieldDefinitionRow>(
    tx,
    sql`INSERT INTO contact_field_definitions (workspace_id, name, label, type, required, default_value, enum_values,
          is_segmentable, index_state)
        VALUES (${workspaceId}, ${field.name}, ${field.label}, ${field.type}, ${field.required},
          ${jsonOrNull(field.default_value)}, ${field.enum_values}, ${field.is_segmentable},
          ${field.is_segmentable ? 'READY' : 'NONE'}) RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('a field definition could not be made');
  return row;
}

export async function updateFieldDefinition(
  tx: Queryable,
  workspaceId: string,
  id: string,
  field: Omit<NewFieldDefinition, 'name' | 'is_segmentable'> & { archived: boolean },
): Promise<FieldDefinitionRow> {
  const row = await one<FieldDefinitionRow>(
    tx,
    sql`UPDATE contact_field_definitions SET label = ${field.label}, type = ${field.type}, required = ${field.required},
          default_value = ${jsonOrNull(field.default_value)}, enum_values = ${field.enum_values},
          archived_at = CASE WHEN ${field.archived} THEN coalesce(archived_at, sally_now()) END,
          version = version + 1, updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${id} RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('a field definition vanished while it was locked');
  return row;
}

/** Removes a definition that no contact uses. */
export async function deleteFieldDefinition(tx: Queryable, workspaceId: string, id: string): Promise<void> {
  await tx.query(sql`DELETE FROM contact_field_definitions WHERE workspace_id = ${workspaceId} AND id = ${id}`);
}

/** Whether any contact has a value of this field, or ever had one: then its type is part of what was submitted. */
export async function isFieldUsed(db: Queryable, workspaceId: string, name: string): Promise<boolean> {
  const row = await one<{ used: boolean }>(
    db,
    sql`SELECT EXISTS (SELECT 1 FROM contacts WHERE workspace_id = ${workspaceId} AND jsonb_exists(fields, ${name}))
          OR EXISTS (SELECT 1 FROM submissions
            WHERE workspace_id = ${workspaceId} AND jsonb_exists(payload -> 'fields', ${name})) AS used`,
  );
  return row?.used ?? false;
}

function jsonOrNull(value: FieldValue | null): string | null {
  return value === null ? null : JSON.stringify(value);
}
