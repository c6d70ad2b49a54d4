import { openingsBetween, type SendWindow } from '../../domain/campaigns';
import { isUsedUpEarly } from '../../domain/journeys';
import { many, type Queryable, sql } from '../../platform/postgres';
import { HOLDS_UNIT } from './mailboxes';

/**
 * Raises an alert for each mailbox whose quota was used up before 60 % of its window has passed, and resolves those of
 * mailboxes that have units again. The window of a mailbox reaches from the first opening of its active sequences on
 * this day to the last closing.
 */
export async function alertEarlyQuotas(
  tx: Queryable,
  workspaceId: string,
  day: { date: string; now: Date; from: Date; to: Date },
): Promise<void> {
  const mailboxes = await many<{ id: string; quota: number; used: number; windows: SendWindow[] }>(
    tx,
    sql`SELECT b.id, b.daily_quota AS quota, units.used,
          (SELECT jsonb_agg(s.send_window) FROM sequence_mailboxes m
           JOIN sequences s ON s.workspace_id = m.workspace_id AND s.id = m.sequence_id AND s.status = 'ACTIVE'
           WHERE m.workspace_id = b.workspace_id AND m.mailbox_id = b.id) AS windows
        FROM mailboxes b CROSS JOIN LATERAL (
          SELECT count(*)::int AS used FROM deliveries d
          WHERE d.mailbox_id = b.id AND d.mailbox_date = ${day.date} AND d.status <> 'QUEUED' AND ${HOLDS_UNIT}) AS units
        WHERE b.workspace_id = ${workspaceId} AND b.deleted_at IS NULL AND units.used >= b.daily_quota`,
  );
  await tx.query(sql`
    UPDATE alerts SET resolved_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND kind = 'mailbox-quota-early' AND resolved_at IS NULL
      AND cause <> ALL (${mailboxes.map((mailbox) => mailbox.id)}::text[])`);
  for (const mailbox of mailboxes) {
    const openings = (mailbox.windows ?? []).flatMap((window) => openingsBetween(window, day.from, day.to));
    if (openings.length === 0) continue;
    const opens = new Date(Math.min(...openings.map((opening) => opening.opens.getTime())));
    const closes = new Date(Math.max(...openings.map((opening) => opening.closes.getTime())));
    if (!isUsedUpEarly(mailbox, { opens, closes }, day.now)) continue;
    await tx.query(sql`
      SELECT sally_raise_alert(${workspaceId}, 'mailbox-quota-early', ${mailbox.id}, 'warning',
        'A mailbox has used up its daily quota before 60 % of its window has passed: what is enrolled now waits until tomorrow.',
        jsonb_build_object('mailbox_id', ${mailbox.id}::text, 'quota', ${mailbox.quota}::int, 'used', ${mailbox.used}::int))`);
  }
}
