import type { SendWindow } from '../../domain/campaigns';
import { many, one, type Queryable, sql } from '../../platform/postgres';

/** A mailbox with its day: units of the workspace's local date. */
export interface MailboxRow {
  id: string;
  email: string;
  display_name: string;
  reply_to: string | null;
  provider_id: string;
  daily_quota: number;
  /** In the place of the windows of its sequences; null = theirs. */
  send_window: SendWindow | null;
  is_active: boolean;
  /** Mails of today that were begun: accepted, refused, or not known. */
  used: number;
  /** Mails that are planned for today. */
  reserved: number;
  version: number;
  created_at: Date;
  updated_at: Date;
}

/** Rows that hold a unit of their mailbox's day: all but what was cancelled, or refused before it was ever begun. */
export const HOLDS_UNIT = sql`d.status <> 'CANCELLED' AND NOT (d.status = 'FAILED' AND d.claim_id IS NULL)`;

const SELECT_MAILBOX = sql`
  SELECT b.id, b.email, b.display_name, b.reply_to, b.provider_id, b.daily_quota, b.send_window, b.is_active,
    units.used, units.reserved, b.version, b.created_at, b.updated_at
  FROM mailboxes b
  JOIN workspaces w ON w.id = b.workspace_id
  CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE d.status <> 'QUEUED')::int AS used, count(*) FILTER (WHERE d.status = 'QUEUED')::int AS reserved
    FROM deliveries d
    WHERE d.mailbox_id = b.id AND d.mailbox_date = (sally_now() AT TIME ZONE w.time_zone)::date AND ${HOLDS_UNIT}) AS units`;

export function findMailbox(db: Queryable, workspaceId: string, id: string): Promise<MailboxRow | null> {
  return one<MailboxRow & Record<string, unknown>>(
    db,
    sql`${SELECT_MAILBOX} WHERE b.workspace_id = ${workspaceId} AND b.id = ${id} AND b.deleted_at IS NULL`,
  );
}

/** Oldest first; up to `limit` after `after`. */
export function listMailboxes(
  db: Queryable,
  workspaceId: string,
  after: string | null,
  limit: number,
): Promise<MailboxRow[]> {
  return many<MailboxRow & Record<string, unknown>>(
    db,
    sql`${SELECT_MAILBOX} WHERE b.workspace_id = ${workspaceId} AND b.deleted_at IS NULL
          AND (${after}::uuid IS NULL OR b.id > ${after}) ORDER BY b.id LIMIT ${limit}`,
  );
}

/** Those of `ids` that are mailboxes of the workspace, with what an approval pins of them. */
export function mailboxesByIds(
  db: Queryable,
  workspaceId: string,
  ids: readonly string[],
): Promise<{ id: string; email: string; display_name: string; reply_to: string | null }[]> {
  return many(
    db,
    sql`SELECT id, email, display_name, reply_to FROM mailboxes
        WHERE workspace_id = ${workspaceId} AND id = ANY (${ids}::uuid[]) AND deleted_at IS NULL ORDER BY id`,
  );
}

export interface MailboxValues {
  displayName: string;
  replyTo: string | null;
  providerId: string;
  dailyQuota: number;
  sendWindow: SendWindow | null;
  isActive: boolean;
}

/** An address in use violates `mailboxes_email`, an unknown provider `mailboxes_provider`. */
export async function insertMailbox(
  tx: Queryable,
  workspaceId: string,
  email: string,
  values: MailboxValues,
  createdBy: string,
): Promise<string> {
  const row = await one<{ id: string }>(
    tx,
    sql`INSERT INTO mailboxes (workspace_id, email, display_name, reply_to, provider_id, daily_quota, send_window, is_active, created_by)
        VALUES (${workspaceId}, ${email}, ${values.displayName}, ${values.replyTo}, ${values.providerId},
          ${values.dailyQuota}, ${values.sendWindow && JSON.stringify(values.sendWindow)}, ${values.isActive}, ${createdBy}) RETURNING id`,
  );
  if (!row) throw new Error('a mailbox could not be made');
  return row.id;
}

export async function updateMailbox(
  tx: Queryable,
  workspaceId: string,
  id: string,
  values: MailboxValues,
): Promise<void> {
  await tx.query(sql`
    UPDATE mailboxes SET display_name = ${values.displayName}, reply_to = ${values.replyTo}, provider_id = ${values.providerId},
      daily_quota = ${values.dailyQuota}, send_window = ${values.sendWindow && JSON.stringify(values.sendWindow)}, is_active = ${values.isActive}, version = version + 1, updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${id}`);
}

/** Today's mails of every mailbox in use, of all workspaces, by what metrics show. */
export function mailboxGauges(
  db: Queryable,
): Promise<{ id: string; quota: number; planned: number; sent: number; failed: number; unconfirmed: number }[]> {
  return many(
    db,
    sql`SELECT b.id, b.daily_quota AS quota, n.planned, n.sent, n.failed, n.unconfirmed
        FROM mailboxes b JOIN workspaces w ON w.id = b.workspace_id
        CROSS JOIN LATERAL (
          SELECT count(*) FILTER (WHERE d.status = 'QUEUED')::int AS planned, count(*) FILTER (WHERE d.status = 'SENT')::int AS sent,
            count(*) FILTER (WHERE d.status = 'FAILED')::int AS failed,
            count(*) FILTER (WHERE d.status IN ('SENDING', 'UNCONFIRMED'))::int AS unconfirmed
          FROM deliveries d
          WHERE d.mailbox_id = b.id AND d.mailbox_date = (sally_now() AT TIME ZONE w.time_zone)::date AND ${HOLDS_UNIT}) AS n
        WHERE b.is_active AND b.deleted_at IS NULL`,
  );
}

/** What keeps a mailbox from being deleted. */
export async function mailboxInUse(
  tx: Queryable,
  workspaceId: string,
  id: string,
): Promise<{ planned: number; enrolments: number; sequences: number }> {
  const row = await one<{ planned: number; enrolments: number; sequences: number }>(
    tx,
    sql`SELECT
          (SELECT count(*)::int FROM deliveries WHERE mailbox_id = ${id} AND status IN ('QUEUED', 'SENDING')) AS planned,
          (SELECT count(*)::int FROM sequence_enrolments WHERE workspace_id = ${workspaceId} AND mailbox_id = ${id}
             AND status = 'ACTIVE') AS enrolments,
          (SELECT count(*)::int FROM sequence_mailboxes m JOIN sequences s ON s.workspace_id = m.workspace_id AND s.id = m.sequence_id
             WHERE m.workspace_id = ${workspaceId} AND m.mailbox_id = ${id} AND s.status <> 'ARCHIVED') AS sequences`,
  );
  if (!row) throw new Error('the use of a mailbox could not be counted');
  return row;
}

/** Takes a mailbox out of use for good; its row stays for the ledger's sake. */
export async function deleteMailbox(tx: Queryable, workspaceId: string, id: string): Promise<void> {
  await tx.query(sql`
    UPDATE mailboxes SET deleted_at = sally_now(), is_active = false, version = version + 1, updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${id}`);
}

/** The mails of a mailbox on a date, in the order of their slots. */
export interface ScheduledMail {
  delivery_id: string;
  source_id: string;
  sequence_id: string;
  contact_id: string | null;
  step_number: number;
  status: string;
  reason: string | null;
  slot_at: Date;
  sent_at: Date | null;
}

export function mailboxSchedule(
  db: Queryable,
  workspaceId: string,
  mailboxId: string,
  date: string,
): Promise<ScheduledMail[]> {
  return many<ScheduledMail & Record<string, unknown>>(
    db,
    sql`SELECT d.id AS delivery_id, d.source_id, e.sequence_id, d.contact_id, substr(d.step_key, 6)::int AS step_number,
          d.status, d.reason, d.not_before AS slot_at, d.sent_at
        FROM deliveries d JOIN sequence_enrolments e ON e.workspace_id = d.workspace_id AND e.id = d.source_id
        WHERE d.workspace_id = ${workspaceId} AND d.mailbox_id = ${mailboxId} AND d.mailbox_date = ${date} AND ${HOLDS_UNIT}
        ORDER BY d.not_before, d.id LIMIT 10000`,
  );
}

/** Today in the workspace's zone. */
export async function workspaceDate(
  db: Queryable,
  workspaceId: string,
): Promise<{ date: string; zone: string; now: Date }> {
  const row = await one<{ date: string; zone: string; now: Date }>(
    db,
    sql`SELECT ((sally_now() AT TIME ZONE time_zone)::date)::text AS date, time_zone AS zone, sally_now() AS now
        FROM workspaces WHERE id = ${workspaceId}`,
  );
  if (!row) throw new Error('no such workspace');
  return row;
}

/**
 * Takes the units of planned mails back: of one sequence, or of a mailbox beyond the `keep` earliest ones of today.
 * They wait, and the next plan gives them other slots. Returns how many there were.
 */
export async function releasePlanned(
  tx: Queryable,
  workspaceId: string,
  of: { sequenceId: string } | { mailboxId: string; keep: number },
): Promise<number> {
  const rows =
    'sequenceId' in of
      ? sql`SELECT d.source_id, d.id FROM sequence_enrolments e JOIN deliveries d ON d.source_id = e.id
            WHERE e.workspace_id = ${workspaceId} AND e.sequence_id = ${of.sequenceId} AND e.status = 'ACTIVE' AND e.pending
              AND d.status = 'QUEUED' AND d.mailbox_date IS NOT NULL`
      : sql`SELECT source_id, id FROM deliveries
            WHERE workspace_id = ${workspaceId} AND mailbox_id = ${of.mailboxId} AND mailbox_date IS NOT NULL AND status = 'QUEUED'
            ORDER BY not_before, id OFFSET ${of.keep}`;
  const released = await many<{ id: string }>(
    tx,
    sql`UPDATE deliveries d SET mailbox_date = NULL, slot_until = sally_now() FROM (${rows}) AS r
        WHERE d.source_id = r.source_id AND d.id = r.id AND d.status = 'QUEUED' RETURNING d.id`,
  );
  return released.length;
}

/** Units that every provider with a daily limit has taken today. */
export function providerQuotas(
  db: Queryable,
  workspaceId: string,
  date: string,
): Promise<{ id: string; name: string; limit: number; used: number }[]> {
  return many(
    db,
    sql`SELECT p.id, p.name, p.max_sends_per_day AS limit, coalesce(c.used, 0)::int AS used
        FROM providers p LEFT JOIN capacity c ON c.workspace_id = p.workspace_id AND c.kind = 'provider-day'
          AND c.resource_id = p.id AND c.window_key = ${date}
        WHERE p.workspace_id = ${workspaceId} AND p.max_sends_per_day IS NOT NULL ORDER BY p.id`,
  );
}
