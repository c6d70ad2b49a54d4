import type { EnrolmentStatus } from '../../domain/journeys';
import { many, one, type Queryable, type Statement, sql } from '../../platform/postgres';

export interface EnrolmentRow {
  id: string;
  sequence_id: string;
  contact_id: string;
  status: EnrolmentStatus;
  stop_reason: string | null;
  step_number: number;
  mailbox_id: string | null;
  /** Null while a mail of it is planned or under way. */
  due_at: Date | null;
  /** Status, slot and acceptance of the mail of `step_number`. */
  mail_status: string | null;
  slot_at: Date | null;
  sent_at: Date | null;
  enrolled_at: Date;
  ended_at: Date | null;
}

const SELECT_ENROLMENT = sql`
  SELECT e.id, e.sequence_id, e.contact_id, e.status, e.stop_reason, e.step_number, e.mailbox_id,
    CASE WHEN e.status = 'ACTIVE' AND NOT e.pending THEN e.due_at END AS due_at,
    d.status AS mail_status, d.not_before AS slot_at, d.sent_at, e.enrolled_at, e.ended_at
  FROM sequence_enrolments e
  LEFT JOIN deliveries d ON d.workspace_id = e.workspace_id AND d.source_id = e.id AND d.step_key = 'step-' || e.step_number`;

export function findEnrolment(
  db: Queryable,
  workspaceId: string,
  sequenceId: string,
  id: string,
): Promise<EnrolmentRow | null> {
  return one<EnrolmentRow & Record<string, unknown>>(
    db,
    sql`${SELECT_ENROLMENT} WHERE e.workspace_id = ${workspaceId} AND e.sequence_id = ${sequenceId} AND e.id = ${id}`,
  );
}

/** Oldest first; one more than `limit`, if there is one. */
export function listEnrolments(
  db: Queryable,
  workspaceId: string,
  sequenceId: string,
  filter: { status: EnrolmentStatus | null; after: string | null; limit: number },
): Promise<EnrolmentRow[]> {
  return many<EnrolmentRow & Record<string, unknown>>(
    db,
    sql`${SELECT_ENROLMENT} WHERE e.workspace_id = ${workspaceId} AND e.sequence_id = ${sequenceId}
          AND (${filter.status}::text IS NULL OR e.status = ${filter.status})
          AND (${filter.after}::uuid IS NULL OR e.id > ${filter.after}) ORDER BY e.id LIMIT ${filter.limit + 1}`,
  );
}

/** Contacts that were asked for and cannot be enrolled: not of this workspace, or erased. */
export async function unknownContacts(db: Queryable, workspaceId: string, ids: readonly string[]): Promise<string[]> {
  const rows = await many<{ id: string }>(
    db,
    sql`SELECT v.id FROM unnest(${ids}::uuid[]) AS v (id)
        WHERE NOT EXISTS (SELECT 1 FROM contacts c WHERE c.workspace_id = ${workspaceId} AND c.id = v.id AND c.erased_at IS NULL)`,
  );
  return rows.map((row) => row.id);
}

/** Whom to enrol: people, or all members that a list has now. */
export type Enrolled = { contactIds: readonly string[] } | { audienceId: string };

/**
 * Whether somebody may be enrolled: who is in the sequence may not; who has gone through it, if it lets people come back
 * and its days since the last end have passed. `s` is the sequence, `contactId` an SQL expression.
 */
export function mayBeEnrolled(contactId: Statement): Statement {
  return sql`NOT EXISTS (
    SELECT 1 FROM sequence_enrolments x WHERE x.workspace_id = s.workspace_id AND x.sequence_id = s.id
      AND x.contact_id = ${contactId}
      AND (x.status = 'ACTIVE' OR s.reenrol_after_days IS NULL
        OR x.ended_at > sally_now() - s.reenrol_after_days * interval '1 day'))`;
}

/**
 * Enrols everybody who may be; returns the new ones' ids. The first step is due at once, if it waits no days. The caller
 * holds the sequence, so that nobody is enrolled twice by two requests.
 */
export async function enrol(
  tx: Queryable,
  workspaceId: string,
  sequenceId: string,
  whom: Enrolled,
  by: string,
): Promise<{ id: string; contact_id: string }[]> {
  const contacts =
    'contactIds' in whom
      ? sql`SELECT id AS contact_id, position FROM unnest(${whom.contactIds}::uuid[]) WITH ORDINALITY AS v (id, position)`
      : sql`SELECT m.contact_id, row_number() OVER (ORDER BY m.contact_id) AS position FROM audience_members m
            JOIN contacts c ON c.workspace_id = m.workspace_id AND c.id = m.contact_id AND c.erased_at IS NULL
            WHERE m.workspace_id = ${workspaceId} AND m.audience_id = ${whom.audienceId}`;
  return many(
    tx,
    sql`INSERT INTO sequence_enrolments (workspace_id, sequence_id, contact_id, due_at, enrolled_at, enrolled_by)
        SELECT ${workspaceId}, ${sequenceId}, w.contact_id,
          CASE WHEN n.wait_days = 0 THEN sally_now()
            ELSE ((sally_now() AT TIME ZONE z.zone)::date + n.wait_days)::timestamp AT TIME ZONE z.zone END,
          sally_now(), ${by}
        FROM (${contacts}) AS w
        JOIN contacts c ON c.workspace_id = ${workspaceId} AND c.id = w.contact_id
        JOIN sequences s ON s.workspace_id = ${workspaceId} AND s.id = ${sequenceId}
        JOIN sequence_steps n ON n.workspace_id = s.workspace_id AND n.sequence_id = s.id AND n.step_number = 1
        CROSS JOIN LATERAL (SELECT coalesce(CASE WHEN s.use_contact_time_zone THEN c.time_zone END, s.send_window->>'timezone') AS zone) AS z
        WHERE ${mayBeEnrolled(sql`w.contact_id`)}
        ORDER BY w.position
        ON CONFLICT (workspace_id, sequence_id, contact_id) WHERE status = 'ACTIVE' DO NOTHING
        RETURNING id, contact_id`,
  );
}

/** Members that a list has. */
export async function audienceSize(db: Queryable, workspaceId: string, audienceId: string): Promise<number | null> {
  const row = await one<{ members: number }>(
    db,
    sql`SELECT (SELECT count(*) FROM audience_members m WHERE m.workspace_id = a.workspace_id AND m.audience_id = a.id)::int AS members
        FROM audiences a WHERE a.workspace_id = ${workspaceId} AND a.id = ${audienceId} AND a.archived_at IS NULL`,
  );
  return row?.members ?? null;
}

/** Ends active enrolments and cancels their planned mails; returns how many enrolments there were. */
export async function stopEnrolments(
  tx: Queryable,
  workspaceId: string,
  of: { enrolmentId: string } | { sequenceId: string },
  reason: string,
): Promise<number> {
  const which = 'enrolmentId' in of ? sql`id = ${of.enrolmentId}` : sql`sequence_id = ${of.sequenceId}`;
  const stopped = await many<{ id: string }>(
    tx,
    sql`UPDATE sequence_enrolments SET status = 'STOPPED', stop_reason = ${reason}, pending = false, ended_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND ${which} AND status = 'ACTIVE' RETURNING id`,
  );
  await tx.query(sql`
    WITH cancelled AS (
      UPDATE deliveries SET status = 'CANCELLED', reason = 'SOURCE_CLOSED'
      WHERE source_id = ANY (${stopped.map((row) => row.id)}::uuid[]) AND status = 'QUEUED' RETURNING stream_id)
    INSERT INTO run_counters AS r (workspace_id, stream_id, process_id, queued, cancelled)
    SELECT ${workspaceId}, stream_id, '00000000-0000-0000-0000-000000000000', -count(*), count(*) FROM cancelled GROUP BY stream_id
    ON CONFLICT (stream_id, process_id, slot)
    DO UPDATE SET queued = r.queued + excluded.queued, cancelled = r.cancelled + excluded.cancelled`);
  return stopped.length;
}
