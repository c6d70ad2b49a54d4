import type { SendWindow } from '../../domain/campaigns';
import { MAX_ATTEMPTS, SOURCES } from '../../domain/delivery';
import {
  type Demand,
  localDay,
  type NoSlotReason,
  PLAN_SEQUENCES_JOB,
  type PlannedMailbox,
  planDay,
  type Slot,
} from '../../domain/journeys';
import { canonicalTimeZone } from '../../domain/shared/zones';
import { many, type Queryable, sql } from '../../platform/postgres';
import { wakeLane } from '../delivery';
import { advanceEnrolments, stopUnreachable } from './advance';
import { alertEarlyQuotas } from './early-quota';
import { HOLDS_UNIT, workspaceDate } from './mailboxes';

/** Enrolments that one transaction plans; a workspace with more takes several. */
const PAGE = 2_000;

export interface PlanResult {
  date: string;
  planned: number;
  /** Enrolments whose last mail came to an end since. */
  advanced: number;
  /** Enrolments that are due and got no slot today, by reason. */
  unplanned: Partial<Record<NoSlotReason, number>>;
  /** Lanes that this transaction turned on; after its commit, start or wake their workflows. */
  wakeLaneIds: string[];
  /** Where to go on; null = everything that is due has been looked at. */
  next: PlanCursor | null;
}

export interface PlanCursor {
  enrolledAt: Date;
  id: string;
}

interface DueRow extends Record<string, unknown> {
  id: string;
  contact_id: string;
  enrolled_at: Date;
  due_at: Date;
  sequence_id: string;
  stream_id: string;
  lane_id: string;
  mailbox_id: string | null;
  step_number: number;
  message_id: string;
  send_window: SendWindow;
  use_contact_time_zone: boolean;
  several_per_day: boolean;
  contact_zone: string | null;
  mx_group: string;
  /** The row in the ledger, for a mail that has missed its slot. */
  delivery_id: string | null;
}

interface Day {
  date: string;
  now: Date;
  from: Date;
  to: Date;
}

/**
 * Plans the rest of the workspace's local day in the caller's transaction: takes note of what became of earlier mails,
 * frees what has missed its slot, and gives slots to what is due, oldest enrolments first (spec 002, "Nightly Scheduler
 * Service"). Plans of one workspace wait for each other, and units are rows: whatever runs at once, a mailbox's day
 * never exceeds its quota, and a second run inserts nothing.
 */
export async function planWorkspace(
  tx: Queryable,
  workspaceId: string,
  options: { only?: readonly string[]; after?: PlanCursor | null } = {},
): Promise<PlanResult> {
  await planLock(tx, workspaceId);
  const { date, zone, now } = await workspaceDate(tx, workspaceId);
  const day = { date, now, ...localDay(zone, now) };
  const result: PlanResult = { date, planned: 0, advanced: 0, unplanned: {}, wakeLaneIds: [], next: null };
  const whole = options.only === undefined;
  if (whole && !options.after) {
    result.advanced = await advanceEnrolments(tx, workspaceId);
    await stopUnreachable(tx, workspaceId, day.to);
    await releaseMissed(tx, workspaceId);
  }
  const mailboxes = await mailboxesOfDay(tx, workspaceId, date);
  const due = await dueEnrolments(tx, workspaceId, day, options);
  const last = due.at(-1);
  // Beyond a page in which every mailbox is full there is nothing to give.
  const isAnyFree = mailboxes.some((mailbox) => mailbox.taken < mailbox.quota);
  if (whole && due.length === PAGE && last && isAnyFree) result.next = { enrolledAt: last.enrolled_at, id: last.id };
  const allowed = await mailboxesOfMessages(tx, workspaceId, due);
  const earlier = await slotsOfContacts(tx, workspaceId, date, due);
  const demands = due.map((row) =>
    toDemand(row, day, allowed.get(row.message_id) ?? [], earlier.get(row.contact_id) ?? [], !whole),
  );
  const plan = planDay(day, mailboxes, demands);
  for (const { reason } of plan.unplanned) result.unplanned[reason] = (result.unplanned[reason] ?? 0) + 1;
  const byId = new Map(due.map((row) => [row.id, row]));
  const laneIds = await writeSlots(tx, workspaceId, day, plan.slots, byId);
  result.planned = plan.slots.length;
  await putOff(
    tx,
    plan.unplanned.flatMap(({ enrolmentId }) => byId.get(enrolmentId)?.delivery_id ?? []),
    due,
    day,
  );
  if (whole) {
    await alertEarlyQuotas(tx, workspaceId);
    await noteJob(tx, workspaceId, result);
  }
  // Last, since a drain that goes to sleep waits for these rows.
  for (const laneId of laneIds) if (await wakeLane(tx, laneId)) result.wakeLaneIds.push(laneId);
  return result;
}

/** One at a time, until the transaction ends: plans of a workspace, and whatever changes what they count on. */
export async function planLock(tx: Queryable, workspaceId: string): Promise<void> {
  await tx.query(sql`SELECT pg_advisory_xact_lock(hashtextextended(${`${PLAN_SEQUENCES_JOB} ${workspaceId}`}, 0))`);
}

function toDemand(row: DueRow, day: Day, mailboxIds: string[], contactSlots: Date[], immediate: boolean): Demand {
  const known = row.contact_zone === null ? null : canonicalTimeZone(row.contact_zone);
  const zone = (row.use_contact_time_zone ? known : null) ?? row.send_window.timezone;
  return {
    enrolmentId: row.id,
    contactId: row.contact_id,
    enrolledAt: row.enrolled_at,
    earliest: new Date(Math.max(row.due_at.getTime(), day.now.getTime())),
    window: { ...row.send_window, timezone: zone },
    zone: known ?? row.send_window.timezone,
    mailboxId: row.mailbox_id,
    mailboxIds,
    severalPerDay: row.several_per_day,
    contactSlots,
    immediate: immediate && row.step_number === 1,
  };
}

/** Mails whose window has closed on them, and those of mailboxes that are no longer in use, give their unit back. */
async function releaseMissed(tx: Queryable, workspaceId: string): Promise<void> {
  await tx.query(sql`
    UPDATE deliveries d SET mailbox_date = NULL, slot_until = least(d.slot_until, sally_now())
    FROM mailboxes b
    WHERE b.workspace_id = ${workspaceId} AND d.mailbox_id = b.id AND d.status = 'QUEUED' AND d.mailbox_date IS NOT NULL
      AND (d.slot_until <= sally_now() OR NOT b.is_active)`);
}

/** The mailboxes in use, with the units and slots that are taken on a date. */
export async function mailboxesOfDay(tx: Queryable, workspaceId: string, date: string): Promise<PlannedMailbox[]> {
  return many<PlannedMailbox & Record<string, unknown>>(
    tx,
    sql`SELECT b.id, b.daily_quota AS quota, b.send_window AS window, cardinality(units.slots) AS taken, units.slots
        FROM mailboxes b CROSS JOIN LATERAL (
          SELECT coalesce(array_agg(coalesce(d.sent_at, d.not_before)), '{}') AS slots FROM deliveries d
          WHERE d.mailbox_id = b.id AND d.mailbox_date = ${date} AND ${HOLDS_UNIT}) AS units
        WHERE b.workspace_id = ${workspaceId} AND b.is_active AND b.deleted_at IS NULL ORDER BY b.id`,
  );
}

/** What is due on the day and has an approved step before it: not planned yet, or planned and missed. */
function dueEnrolments(
  tx: Queryable,
  workspaceId: string,
  day: Day,
  options: { only?: readonly string[]; after?: PlanCursor | null },
): Promise<DueRow[]> {
  const only = options.only === undefined ? sql`` : sql`AND e.id = ANY (${options.only}::uuid[])`;
  const after = options.after
    ? sql`AND (e.enrolled_at, e.id) > (${options.after.enrolledAt}, ${options.after.id})`
    : sql``;
  return many<DueRow>(
    tx,
    sql`SELECT e.id, e.contact_id, e.enrolled_at, e.due_at, e.mailbox_id, n.step_number, f.id AS message_id, s.send_window,
          s.use_contact_time_zone, s.several_per_day, c.time_zone AS contact_zone, missed.id AS delivery_id,
          e.sequence_id, s.stream_id, t.lane_id, coalesce(g.mx_group, 'other') AS mx_group
        FROM sequence_enrolments e
        JOIN sequences s ON s.workspace_id = e.workspace_id AND s.id = e.sequence_id AND s.status = 'ACTIVE'
        JOIN streams t ON t.id = s.stream_id
        JOIN contacts c ON c.workspace_id = e.workspace_id AND c.id = e.contact_id
        LEFT JOIN mail_domains g ON g.domain = c.email_domain
        JOIN consents k ON k.workspace_id = e.workspace_id AND k.contact_id = e.contact_id AND k.channel = 'email'
          AND k.purpose_id = s.purpose_id AND k.status = 'granted'
        JOIN sequence_steps n ON n.workspace_id = e.workspace_id AND n.sequence_id = e.sequence_id
          AND n.step_number = e.step_number + CASE WHEN e.pending THEN 0 ELSE 1 END
        JOIN messages f ON f.workspace_id = n.workspace_id AND f.id = n.message_id AND f.approval = 'APPROVED'
        LEFT JOIN LATERAL (
          SELECT d.id FROM deliveries d WHERE e.pending AND d.source_id = e.id AND d.step_key = 'step-' || e.step_number
            AND d.status = 'QUEUED' AND d.mailbox_date IS NULL) AS missed ON true
        WHERE e.workspace_id = ${workspaceId} AND e.status = 'ACTIVE' AND e.due_at < ${day.to}
          AND (NOT e.pending OR missed.id IS NOT NULL) ${only} ${after}
        ORDER BY e.enrolled_at, e.id LIMIT ${PAGE}`,
  );
}

/** The mailboxes that each step's message may leave from: those of its sequence that its approval covers. */
async function mailboxesOfMessages(
  tx: Queryable,
  workspaceId: string,
  due: readonly DueRow[],
): Promise<Map<string, string[]>> {
  const sequences = new Map(due.map((row) => [row.message_id, row.sequence_id]));
  const rows = await many<{ message_id: string; mailbox_ids: string[] }>(
    tx,
    sql`SELECT v.message_id, array_agg(b.id ORDER BY b.id) AS mailbox_ids
        FROM unnest(${[...sequences.keys()]}::uuid[], ${[...sequences.values()]}::uuid[]) AS v (message_id, sequence_id)
        JOIN messages f ON f.workspace_id = ${workspaceId} AND f.id = v.message_id
        JOIN sequence_mailboxes m ON m.workspace_id = ${workspaceId} AND m.sequence_id = v.sequence_id
        JOIN mailboxes b ON b.workspace_id = ${workspaceId} AND b.id = m.mailbox_id AND b.email = ANY (f.permitted_senders)
        GROUP BY v.message_id`,
  );
  return new Map(rows.map((row) => [row.message_id, row.mailbox_ids]));
}

/** When sequence mail went, or will go, to these contacts around the day. */
async function slotsOfContacts(
  tx: Queryable,
  workspaceId: string,
  date: string,
  due: readonly DueRow[],
): Promise<Map<string, Date[]>> {
  const rows = await many<{ contact_id: string; slots: Date[] }>(
    tx,
    sql`SELECT d.contact_id, array_agg(coalesce(d.sent_at, d.not_before)) AS slots FROM deliveries d
        WHERE d.workspace_id = ${workspaceId} AND d.mailbox_id IS NOT NULL
          AND d.contact_id = ANY (${due.map((row) => row.contact_id)}::uuid[])
          AND d.mailbox_date BETWEEN ${date}::date - 2 AND ${date}::date + 1 AND ${HOLDS_UNIT}
        GROUP BY d.contact_id`,
  );
  return new Map(rows.map((row) => [row.contact_id, row.slots]));
}

interface PlannedRow extends Slot {
  row: DueRow;
}

/** Puts the planned mails into the ledger, or gives those that are there their new slot; the lanes that have them. */
async function writeSlots(
  tx: Queryable,
  workspaceId: string,
  day: Day,
  slots: readonly Slot[],
  due: ReadonlyMap<string, DueRow>,
): Promise<string[]> {
  const rows = slots.flatMap((slot): PlannedRow[] => {
    const row = due.get(slot.enrolmentId);
    return row ? [{ ...slot, row }] : [];
  });
  const moved = rows.filter(({ row }) => row.delivery_id !== null);
  const made = rows.filter(({ row }) => row.delivery_id === null);
  if (moved.length > 0) await moveRows(tx, day, moved);
  if (made.length > 0) await insertRows(tx, workspaceId, day, made);
  return [...new Set(rows.map(({ row }) => row.lane_id))].sort();
}

async function moveRows(tx: Queryable, day: Day, rows: readonly PlannedRow[]): Promise<void> {
  await tx.query(sql`
    UPDATE deliveries d SET not_before = v.at, slot_until = v.until, mailbox_date = ${day.date}, reason = NULL
    FROM unnest(${rows.map(({ row }) => row.id)}::uuid[], ${rows.map(({ row }) => row.delivery_id)}::uuid[],
      ${rows.map(({ at }) => at)}::timestamptz[], ${rows.map(({ until }) => until)}::timestamptz[]) AS v (source_id, id, at, until)
    WHERE d.source_id = v.source_id AND d.id = v.id AND d.status = 'QUEUED'`);
}

async function insertRows(tx: Queryable, workspaceId: string, day: Day, rows: readonly PlannedRow[]): Promise<void> {
  const source = SOURCES.SEQUENCE;
  const of = <Value>(value: (planned: PlannedRow) => Value): Value[] => rows.map(value);
  await tx.query(sql`
    WITH made AS (
      INSERT INTO deliveries (workspace_id, source_type, source_id, step_key, recipient_key, contact_id, message_id, lane_id,
        stream_id, mx_group, class, priority, not_before, max_attempts, mailbox_id, mailbox_date, slot_until)
      SELECT ${workspaceId}, 'SEQUENCE', v.source_id, 'step-' || v.step, v.contact_id::text, v.contact_id, v.message_id, v.lane_id,
        v.stream_id, v.mx_group, ${source.class}, ${source.priority}, v.at, ${MAX_ATTEMPTS}, v.mailbox_id, ${day.date}, v.until
      FROM unnest(${of(({ row }) => row.id)}::uuid[], ${of(({ row }) => row.step_number)}::smallint[],
        ${of(({ row }) => row.contact_id)}::uuid[], ${of(({ row }) => row.message_id)}::uuid[],
        ${of(({ row }) => row.lane_id)}::uuid[], ${of(({ row }) => row.stream_id)}::uuid[], ${of(({ row }) => row.mx_group)}::text[],
        ${of(({ mailboxId }) => mailboxId)}::uuid[], ${of(({ at }) => at)}::timestamptz[], ${of(({ until }) => until)}::timestamptz[])
        AS v (source_id, step, contact_id, message_id, lane_id, stream_id, mx_group, mailbox_id, at, until)
      ON CONFLICT DO NOTHING RETURNING stream_id)
    INSERT INTO run_counters AS r (workspace_id, stream_id, process_id, materialised, queued)
    SELECT ${workspaceId}, stream_id, '00000000-0000-0000-0000-000000000000', count(*), count(*) FROM made GROUP BY stream_id
    ON CONFLICT (stream_id, process_id, slot)
    DO UPDATE SET materialised = r.materialised + excluded.materialised, queued = r.queued + excluded.queued`);
  await tx.query(sql`
    UPDATE sequence_enrolments e SET pending = true, step_number = v.step, mailbox_id = v.mailbox_id
    FROM unnest(${of(({ row }) => row.id)}::uuid[], ${of(({ row }) => row.step_number)}::smallint[],
      ${of(({ mailboxId }) => mailboxId)}::uuid[]) AS v (id, step, mailbox_id)
    WHERE e.workspace_id = ${workspaceId} AND e.id = v.id`);
}

/** Missed mails without a slot today are not looked at by their lane before the next day's plan. */
async function putOff(tx: Queryable, deliveryIds: string[], due: readonly DueRow[], day: Day): Promise<void> {
  if (deliveryIds.length === 0) return;
  const sources = due.flatMap((row) => (row.delivery_id && deliveryIds.includes(row.delivery_id) ? [row.id] : []));
  await tx.query(sql`
    UPDATE deliveries SET not_before = greatest(not_before, ${day.to}::timestamptz), reason = 'SLOT_MISSED'
    WHERE source_id = ANY (${sources}::uuid[]) AND id = ANY (${deliveryIds}::uuid[]) AND status = 'QUEUED'`);
}

async function noteJob(tx: Queryable, workspaceId: string, result: PlanResult): Promise<void> {
  const details = JSON.stringify({ planned: result.planned, advanced: result.advanced, unplanned: result.unplanned });
  await tx.query(sql`
    INSERT INTO workspace_jobs (workspace_id, job, local_date, details) VALUES (${workspaceId}, ${PLAN_SEQUENCES_JOB}, ${result.date}, ${details})
    ON CONFLICT (workspace_id, job) DO UPDATE SET local_date = excluded.local_date, ran_at = sally_now(), details = excluded.details`);
}

/** Workspaces with active sequences and somebody in them, after an id: where there may be something to plan. */
export async function workspacesToPlan(db: Queryable, after: string | null, limit: number): Promise<string[]> {
  const rows = await many<{ id: string }>(
    db,
    sql`SELECT w.id FROM workspaces w
        WHERE (${after}::uuid IS NULL OR w.id > ${after}) AND EXISTS (
          SELECT 1 FROM sequences s WHERE s.workspace_id = w.id AND s.status = 'ACTIVE')
        ORDER BY w.id LIMIT ${limit}`,
  );
  return rows.map((row) => row.id);
}
