import type { SendWindow } from '../../domain/campaigns';
import type { ForecastEnrolment } from '../../domain/journeys';
import { canonicalTimeZone } from '../../domain/shared/zones';
import { many, type Queryable, sql } from '../../platform/postgres';
import { mayBeEnrolled } from './enrolments';

interface ForecastRow extends Record<string, unknown> {
  id: string;
  sequence_id: string;
  contact_id: string;
  enrolled_at: Date;
  due_at: Date;
  step_number: number;
  mailbox_id: string | null;
  mail_status: string | null;
  mail_at: Date | null;
  has_slot: boolean;
  send_window: SendWindow;
  use_contact_time_zone: boolean;
  several_per_day: boolean;
  contact_zone: string | null;
}

/** What enrolments a forecast has to reckon with, and those it cannot say anything about. */
export interface ForecastInput {
  enrolments: ForecastEnrolment[];
  /** Of the sequence: enrolments without a granted consent, and held ones. */
  withoutConsent: number;
  unconfirmed: number;
  /** True: more enrolments than `most`. */
  tooMany: boolean;
}

/**
 * The active enrolments of all active sequences of the workspace, whose mail shares the mailboxes, and of this one in
 * whatever state it is; `audienceId`: also its members, as if they were enrolled now.
 */
export async function forecastInput(
  tx: Queryable,
  workspaceId: string,
  of: { sequenceId: string; audienceId: string | null },
  most: number,
): Promise<ForecastInput> {
  const known = sql`
    SELECT e.id, e.sequence_id, e.contact_id, e.enrolled_at, e.due_at, e.step_number, e.mailbox_id, d.status AS mail_status,
      coalesce(d.sent_at, d.not_before) AS mail_at, d.mailbox_date IS NOT NULL AS has_slot
    FROM sequence_enrolments e
    LEFT JOIN deliveries d ON e.pending AND d.source_id = e.id AND d.step_key = 'step-' || e.step_number
    WHERE e.workspace_id = ${workspaceId} AND e.status = 'ACTIVE'`;
  const hypothetical = sql`
    SELECT m.contact_id, ${of.sequenceId}::uuid, m.contact_id, sally_now(), sally_now(), 0::smallint, NULL::uuid, NULL, NULL::timestamptz, false
    FROM audience_members m JOIN sequences s ON s.workspace_id = m.workspace_id AND s.id = ${of.sequenceId}
    WHERE m.workspace_id = ${workspaceId} AND m.audience_id = ${of.audienceId}::uuid AND ${mayBeEnrolled(sql`m.contact_id`)}`;
  const rows = await many<ForecastRow & { consented: boolean }>(
    tx,
    sql`SELECT e.*, s.send_window, s.use_contact_time_zone, s.several_per_day, c.time_zone AS contact_zone,
          coalesce(k.status = 'granted', false) AS consented
        FROM (${known} UNION ALL ${hypothetical}) AS e
        JOIN sequences s ON s.workspace_id = ${workspaceId} AND s.id = e.sequence_id AND (s.status = 'ACTIVE' OR s.id = ${of.sequenceId})
        JOIN contacts c ON c.workspace_id = ${workspaceId} AND c.id = e.contact_id AND c.status = 'ACTIVE' AND c.erased_at IS NULL
        LEFT JOIN consents k ON k.workspace_id = ${workspaceId} AND k.contact_id = e.contact_id AND k.channel = 'email' AND k.purpose_id = s.purpose_id
        ORDER BY e.enrolled_at, e.id LIMIT ${most + 1}`,
  );
  const sequences = await partsOfSequences(tx, workspaceId);
  const own = rows.filter((row) => row.sequence_id === of.sequenceId);
  const reckoned = rows.filter((row) => row.consented && row.mail_status !== 'UNCONFIRMED' && !isOver(row));
  return {
    enrolments: reckoned.map((row) =>
      toEnrolment(row, sequences.get(row.sequence_id) ?? { waits: [], mailboxIds: [] }),
    ),
    withoutConsent: own.filter((row) => !row.consented).length,
    unconfirmed: own.filter((row) => row.mail_status === 'UNCONFIRMED').length,
    tooMany: rows.length > most,
  };
}

function isOver(row: ForecastRow): boolean {
  return row.mail_status === 'FAILED' || row.mail_status === 'CANCELLED';
}

interface SequenceParts {
  waits: number[];
  mailboxIds: string[];
}

async function partsOfSequences(tx: Queryable, workspaceId: string): Promise<Map<string, SequenceParts>> {
  const rows = await many<{ id: string; waits: number[]; mailbox_ids: string[] }>(
    tx,
    sql`SELECT s.id,
          ARRAY(SELECT n.wait_days::int FROM sequence_steps n WHERE n.workspace_id = s.workspace_id AND n.sequence_id = s.id ORDER BY n.step_number) AS waits,
          ARRAY(SELECT m.mailbox_id FROM sequence_mailboxes m WHERE m.workspace_id = s.workspace_id AND m.sequence_id = s.id) AS mailbox_ids
        FROM sequences s WHERE s.workspace_id = ${workspaceId} AND s.status <> 'ARCHIVED'`,
  );
  return new Map(rows.map((row) => [row.id, { waits: row.waits, mailboxIds: row.mailbox_ids }]));
}

function toEnrolment(row: ForecastRow, sequence: SequenceParts): ForecastEnrolment {
  const known = row.contact_zone === null ? null : canonicalTimeZone(row.contact_zone);
  const missed = row.mail_status === 'QUEUED' && !row.has_slot;
  const planned = row.mail_status !== null && !missed;
  return {
    enrolmentId: row.id,
    sequenceId: row.sequence_id,
    contactId: row.contact_id,
    enrolledAt: row.enrolled_at,
    window: { ...row.send_window, timezone: (row.use_contact_time_zone ? known : null) ?? row.send_window.timezone },
    zone: known ?? row.send_window.timezone,
    mailboxId: row.mailbox_id,
    mailboxIds: sequence.mailboxIds,
    severalPerDay: row.several_per_day,
    contactSlots: planned && row.mail_at ? [row.mail_at] : [],
    stepNumber: missed ? row.step_number - 1 : row.step_number,
    dueAt: planned ? null : row.due_at,
    plannedAt: planned ? row.mail_at : null,
    waits: sequence.waits,
  };
}
