import { openingsBetween, type SendWindow } from '../../domain/campaigns';
import { isUsedUpEarly, localDay } from '../../domain/journeys';
import { many, type Queryable, type Statement, sql } from '../../platform/postgres';
import { HOLDS_UNIT } from './mailboxes';

interface FullMailbox extends Record<string, unknown> {
  workspace_id: string;
  id: string;
  quota: number;
  used: number;
  zone: string;
  now: Date;
  /** Its own window, else those of its active sequences. */
  windows: SendWindow[] | null;
}

/** Mailboxes whose quota of today is used up. */
function fullMailboxes(condition: Statement): Statement {
  return sql`
    SELECT b.workspace_id, b.id, b.daily_quota AS quota, units.used, w.time_zone AS zone, sally_now() AS now,
      CASE WHEN b.send_window IS NOT NULL THEN jsonb_build_array(b.send_window) ELSE (
        SELECT jsonb_agg(s.send_window) FROM sequence_mailboxes m
        JOIN sequences s ON s.workspace_id = m.workspace_id AND s.id = m.sequence_id AND s.status = 'ACTIVE'
        WHERE m.workspace_id = b.workspace_id AND m.mailbox_id = b.id) END AS windows
    FROM mailboxes b JOIN workspaces w ON w.id = b.workspace_id CROSS JOIN LATERAL (
      SELECT count(*)::int AS used FROM deliveries d
      WHERE d.mailbox_id = b.id AND d.mailbox_date = (sally_now() AT TIME ZONE w.time_zone)::date
        AND d.status <> 'QUEUED' AND ${HOLDS_UNIT}) AS units
    WHERE b.deleted_at IS NULL AND units.used >= b.daily_quota AND ${condition}`;
}

/** True: the alert of this mailbox is not open yet. */
const UNREPORTED = sql`NOT EXISTS (
  SELECT 1 FROM alerts a WHERE a.workspace_id = b.workspace_id AND a.kind = 'mailbox-quota-early'
    AND a.cause = b.id::text AND a.resolved_at IS NULL)`;

/**
 * Raises an alert for each mailbox of a workspace whose quota was used up before 60 % of its window has passed, and
 * resolves those of mailboxes that have units again. The window of a mailbox is its own, or else reaches from the first
 * opening of its active sequences on this day to the last closing.
 */
export async function alertEarlyQuotas(tx: Queryable, workspaceId: string): Promise<void> {
  const mailboxes = await many<FullMailbox>(tx, fullMailboxes(sql`b.workspace_id = ${workspaceId}`));
  await tx.query(sql`
    UPDATE alerts SET resolved_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND kind = 'mailbox-quota-early' AND resolved_at IS NULL
      AND cause <> ALL (${mailboxes.map((mailbox) => mailbox.id)}::text[])`);
  await raise(tx, mailboxes);
}

/** The same for all workspaces, without resolving: mailboxes fill up between two plans, too. One statement a round. */
export async function alertEarlyQuotasAnywhere(db: Queryable): Promise<void> {
  await raise(db, await many<FullMailbox>(db, fullMailboxes(sql`b.is_active AND ${UNREPORTED}`)));
}

async function raise(db: Queryable, mailboxes: readonly FullMailbox[]): Promise<void> {
  for (const mailbox of mailboxes) {
    const day = localDay(mailbox.zone, mailbox.now);
    const openings = (mailbox.windows ?? []).flatMap((window) => openingsBetween(window, day.from, day.to));
    if (openings.length === 0) continue;
    const opens = new Date(Math.min(...openings.map((opening) => opening.opens.getTime())));
    const closes = new Date(Math.max(...openings.map((opening) => opening.closes.getTime())));
    if (!isUsedUpEarly(mailbox, { opens, closes }, mailbox.now)) continue;
    await db.query(sql`
      SELECT sally_raise_alert(${mailbox.workspace_id}, 'mailbox-quota-early', ${mailbox.id}, 'warning',
        'A mailbox has used up its daily quota before 60 % of its window has passed: what is enrolled now waits until tomorrow.',
        jsonb_build_object('mailbox_id', ${mailbox.id}::text, 'quota', ${mailbox.quota}::int, 'used', ${mailbox.used}::int))`);
  }
}
