import type { SendWindow } from '../../domain/campaigns';
import { SOURCES } from '../../domain/delivery';
import type { SequenceStatus } from '../../domain/journeys';
import { changed, many, one, type Queryable, sql } from '../../platform/postgres';
import { ensureLane } from '../delivery';

/** Lanes of a workspace that sequences are spread over: a drain per shard, however many mailboxes there are. */
const SHARDS = 4;

export interface StepRow {
  step_number: number;
  wait_days: number;
  template_id: string;
  template_context: Record<string, unknown>;
  message_id: string | null;
  /** State of the frozen message; null = none was submitted. */
  approval: string | null;
}

export interface SequenceRow {
  id: string;
  name: string;
  description: string;
  status: SequenceStatus;
  stream_id: string;
  lane_id: string;
  send_window: SendWindow;
  use_contact_time_zone: boolean;
  several_per_day: boolean;
  /** Days after the end of an enrolment from which on the same person may be enrolled again; null = never. */
  reenrol_after_days: number | null;
  purpose_id: string;
  purpose_key: string;
  category_id: string | null;
  goal_audience_id: string | null;
  tracking: boolean;
  authors: string[];
  mailbox_ids: string[];
  steps: StepRow[];
  enrolments: Record<string, number>;
  version: number;
  created_at: Date;
  updated_at: Date;
}

const SELECT_SEQUENCE = sql`
  SELECT s.id, s.name, s.description, s.status, s.stream_id, t.lane_id, s.send_window, s.use_contact_time_zone, s.several_per_day,
    s.reenrol_after_days, s.purpose_id, p.key AS purpose_key, s.category_id, s.goal_audience_id, s.tracking, s.authors,
    ARRAY(SELECT mailbox_id FROM sequence_mailboxes m WHERE m.workspace_id = s.workspace_id AND m.sequence_id = s.id
      ORDER BY mailbox_id) AS mailbox_ids,
    coalesce((SELECT jsonb_agg(jsonb_build_object('step_number', n.step_number, 'wait_days', n.wait_days, 'template_id', n.template_id,
        'template_context', n.template_context, 'message_id', n.message_id, 'approval', f.approval) ORDER BY n.step_number)
      FROM sequence_steps n LEFT JOIN messages f ON f.workspace_id = n.workspace_id AND f.id = n.message_id
      WHERE n.workspace_id = s.workspace_id AND n.sequence_id = s.id), '[]') AS steps,
    coalesce((SELECT jsonb_object_agg(status, n) FROM (
      SELECT status, count(*) AS n FROM sequence_enrolments e
      WHERE e.workspace_id = s.workspace_id AND e.sequence_id = s.id GROUP BY status) AS counted), '{}') AS enrolments,
    s.version, s.created_at, s.updated_at
  FROM sequences s
  JOIN streams t ON t.id = s.stream_id
  JOIN purposes p ON p.workspace_id = s.workspace_id AND p.id = s.purpose_id`;

export function findSequence(db: Queryable, workspaceId: string, id: string): Promise<SequenceRow | null> {
  return one<SequenceRow & Record<string, unknown>>(
    db,
    sql`${SELECT_SEQUENCE} WHERE s.workspace_id = ${workspaceId} AND s.id = ${id} AND s.status <> 'ARCHIVED'`,
  );
}

/** Newest first; up to `limit` before `after`. */
export function listSequences(
  db: Queryable,
  workspaceId: string,
  after: string | null,
  limit: number,
): Promise<SequenceRow[]> {
  return many<SequenceRow & Record<string, unknown>>(
    db,
    sql`${SELECT_SEQUENCE} WHERE s.workspace_id = ${workspaceId} AND s.status <> 'ARCHIVED'
          AND (${after}::uuid IS NULL OR s.id < ${after}) ORDER BY s.id DESC LIMIT ${limit}`,
  );
}

/** Holds the row until the transaction ends. False: there is none. */
export async function lockSequence(tx: Queryable, workspaceId: string, id: string): Promise<boolean> {
  const row = await one(
    tx,
    sql`SELECT 1 FROM sequences WHERE workspace_id = ${workspaceId} AND id = ${id} AND status <> 'ARCHIVED' FOR NO KEY UPDATE`,
  );
  return row !== null;
}

export interface SequenceValues {
  name: string;
  description: string;
  sendWindow: SendWindow;
  useContactTimeZone: boolean;
  severalPerDay: boolean;
  reenrolAfterDays: number | null;
  purposeId: string;
  categoryId: string | null;
  goalAudienceId: string | null;
  tracking: boolean;
}

/** A sequence in DRAFT with a stream of its own that is not active yet. */
export async function insertSequence(
  tx: Queryable,
  workspaceId: string,
  values: SequenceValues,
  createdBy: string,
): Promise<string> {
  // Any spread over the shards will do.
  const laneId = await ensureLane(tx, workspaceId, SOURCES.SEQUENCE.lane, String(Math.floor(Math.random() * SHARDS)));
  const row = await one<{ id: string }>(
    tx,
    sql`WITH stream AS (
          INSERT INTO streams (workspace_id, lane_id, source_type, state, priority)
          VALUES (${workspaceId}, ${laneId}, 'SEQUENCE', 'WAITING', ${SOURCES.SEQUENCE.priority}) RETURNING id)
        INSERT INTO sequences (workspace_id, name, description, stream_id, send_window, use_contact_time_zone, several_per_day,
          reenrol_after_days, purpose_id, category_id, goal_audience_id, tracking, authors, created_by)
        SELECT ${workspaceId}, ${values.name}, ${values.description}, stream.id, ${JSON.stringify(values.sendWindow)},
          ${values.useContactTimeZone}, ${values.severalPerDay}, ${values.reenrolAfterDays}, ${values.purposeId}, ${values.categoryId},
          ${values.goalAudienceId}, ${values.tracking}, ARRAY[${createdBy}]::uuid[], ${createdBy}
        FROM stream RETURNING id`,
  );
  if (!row) throw new Error('a sequence could not be made');
  return row.id;
}

/** Writes all values of a locked sequence. `author`: has changed what an approval pins. */
export async function updateSequence(
  tx: Queryable,
  workspaceId: string,
  id: string,
  values: SequenceValues,
  author: string | null,
): Promise<void> {
  await tx.query(sql`
    UPDATE sequences SET name = ${values.name}, description = ${values.description},
      send_window = ${JSON.stringify(values.sendWindow)}, use_contact_time_zone = ${values.useContactTimeZone},
      several_per_day = ${values.severalPerDay}, reenrol_after_days = ${values.reenrolAfterDays}, purpose_id = ${values.purposeId}, category_id = ${values.categoryId},
      goal_audience_id = ${values.goalAudienceId}, tracking = ${values.tracking},
      authors = CASE WHEN ${author}::uuid IS NULL OR ${author}::uuid = ANY (authors) THEN authors ELSE authors || ${author}::uuid END,
      version = version + 1, updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${id}`);
}

/** What is written of a step. */
export interface StepValues {
  waitDays: number;
  templateId: string;
  templateContext: Record<string, unknown>;
}

/** Replaces all steps, numbered from 1; none has a message yet. */
export async function replaceSteps(
  tx: Queryable,
  workspaceId: string,
  sequenceId: string,
  steps: readonly StepValues[],
): Promise<void> {
  await tx.query(sql`DELETE FROM sequence_steps WHERE workspace_id = ${workspaceId} AND sequence_id = ${sequenceId}`);
  await tx.query(sql`
    INSERT INTO sequence_steps (workspace_id, sequence_id, step_number, wait_days, template_id, template_context)
    SELECT ${workspaceId}, ${sequenceId}, v.n, v.wait_days, v.template_id, v.context
    FROM unnest(${steps.map((step) => step.waitDays)}::smallint[], ${steps.map((step) => step.templateId)}::uuid[],
      ${steps.map((step) => JSON.stringify(step.templateContext))}::jsonb[]) WITH ORDINALITY AS v (wait_days, template_id, context, n)`);
}

export async function setMailboxes(
  tx: Queryable,
  workspaceId: string,
  sequenceId: string,
  mailboxIds: readonly string[],
): Promise<void> {
  await tx.query(
    sql`DELETE FROM sequence_mailboxes WHERE workspace_id = ${workspaceId} AND sequence_id = ${sequenceId}`,
  );
  await tx.query(sql`
    INSERT INTO sequence_mailboxes (workspace_id, sequence_id, mailbox_id)
    SELECT ${workspaceId}, ${sequenceId}, id FROM unnest(${mailboxIds}::uuid[]) AS id`);
}

/** The frozen message of a step; null takes it back. */
export async function setStepMessage(
  tx: Queryable,
  workspaceId: string,
  sequenceId: string,
  stepNumber: number,
  messageId: string | null,
): Promise<void> {
  await tx.query(sql`
    UPDATE sequence_steps SET message_id = ${messageId}
    WHERE workspace_id = ${workspaceId} AND sequence_id = ${sequenceId} AND step_number = ${stepNumber}`);
}

/** Moves a sequence and its stream in one guarded statement. False: it is in no state that this leads from. */
export async function moveSequence(
  tx: Queryable,
  workspaceId: string,
  id: string,
  transition: { from: readonly SequenceStatus[]; to: SequenceStatus; stream: 'ACTIVE' | 'PAUSED' | 'CANCELLED' },
): Promise<boolean> {
  const count = await changed(
    tx,
    sql`WITH moved AS (
          UPDATE sequences SET status = ${transition.to}, version = version + 1, updated_at = sally_now()
          WHERE workspace_id = ${workspaceId} AND id = ${id} AND status = ANY (${transition.from}::text[])
          RETURNING stream_id)
        UPDATE streams SET state = ${transition.stream} FROM moved WHERE streams.id = moved.stream_id`,
  );
  return count === 1;
}
