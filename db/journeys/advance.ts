import { advance, dueAfter } from '../../domain/journeys';
import { canonicalTimeZone } from '../../domain/shared/zones';
import { changed, many, type Queryable, sql } from '../../platform/postgres';

/** Enrolments that one plan takes note of; more wait a quarter of an hour. */
const MOST = 20_000;

interface EndedMail extends Record<string, unknown> {
  id: string;
  status: 'SENT' | 'FAILED' | 'CANCELLED';
  reason: string | null;
  sent_at: Date | null;
  zone: string | null;
  window_zone: string;
  next_wait_days: number | null;
}

/**
 * Takes note of what became of the mails that were planned: accepted mails make the next step due, counted in local
 * calendar days from the acceptance; failed and cancelled ones end the enrolment. Returns how many there were.
 */
export async function advanceEnrolments(tx: Queryable, workspaceId: string): Promise<number> {
  const mails = await many<EndedMail>(
    tx,
    sql`SELECT e.id, d.status, d.reason, d.sent_at, c.time_zone AS zone, s.send_window->>'timezone' AS window_zone,
          n.wait_days AS next_wait_days
        FROM sequence_enrolments e
        JOIN sequences s ON s.workspace_id = e.workspace_id AND s.id = e.sequence_id
        JOIN contacts c ON c.workspace_id = e.workspace_id AND c.id = e.contact_id
        JOIN deliveries d ON d.source_id = e.id AND d.step_key = 'step-' || e.step_number AND d.status IN ('SENT', 'FAILED', 'CANCELLED')
        LEFT JOIN sequence_steps n ON n.workspace_id = e.workspace_id AND n.sequence_id = e.sequence_id AND n.step_number = e.step_number + 1
        WHERE e.workspace_id = ${workspaceId} AND e.status = 'ACTIVE' AND e.pending
        LIMIT ${MOST}`,
  );
  const outcomes = mails.map((mail) => ({ id: mail.id, outcome: advance(mail, nextDue(mail)) }));
  const next = outcomes.flatMap(({ id, outcome }) => (outcome.kind === 'next' ? [{ id, dueAt: outcome.dueAt }] : []));
  const ended = outcomes.flatMap(({ id, outcome }) => (outcome.kind === 'end' ? [{ id, ...outcome }] : []));
  if (next.length > 0) {
    await tx.query(sql`
      UPDATE sequence_enrolments e SET pending = false, due_at = v.due_at
      FROM unnest(${next.map((one) => one.id)}::uuid[], ${next.map((one) => one.dueAt)}::timestamptz[]) AS v (id, due_at)
      WHERE e.workspace_id = ${workspaceId} AND e.id = v.id AND e.status = 'ACTIVE'`);
  }
  if (ended.length > 0) {
    await tx.query(sql`
      UPDATE sequence_enrolments e SET pending = false, status = v.status, stop_reason = v.reason, ended_at = sally_now()
      FROM unnest(${ended.map((one) => one.id)}::uuid[], ${ended.map((one) => one.status)}::text[],
        ${ended.map((one) => one.reason)}::text[]) AS v (id, status, reason)
      WHERE e.workspace_id = ${workspaceId} AND e.id = v.id AND e.status = 'ACTIVE'`);
  }
  return mails.length;
}

function nextDue(mail: EndedMail): Date | null {
  if (mail.next_wait_days === null || mail.sent_at === null) return null;
  const zone = (mail.zone === null ? null : canonicalTimeZone(mail.zone)) ?? mail.window_zone;
  return dueAfter(zone, mail.sent_at, mail.next_wait_days);
}

/** Ends the enrolments of people who are due and may not be written to any more, or have reached the goal. */
export function stopUnreachable(tx: Queryable, workspaceId: string, dueBefore: Date): Promise<number> {
  return changed(
    tx,
    sql`WITH found AS (
          SELECT e.id, CASE
              WHEN c.erased_at IS NOT NULL THEN 'CONTACT_ERASED'
              WHEN c.status <> 'ACTIVE' THEN c.status
              WHEN k.status = 'denied' THEN 'UNSUBSCRIBED'
              WHEN p.subscribed = false THEN 'CATEGORY_UNSUBSCRIBED'
              WHEN EXISTS (SELECT 1 FROM suppressions x WHERE x.workspace_id = e.workspace_id AND x.state = 'ACTIVE'
                AND (x.address_hash = c.email_hash OR x.domain = c.email_domain)) THEN 'SUPPRESSED'
              WHEN EXISTS (SELECT 1 FROM audience_members g WHERE g.workspace_id = e.workspace_id
                AND g.audience_id = s.goal_audience_id AND g.contact_id = e.contact_id) THEN 'GOAL'
            END AS reason
          FROM sequence_enrolments e
          JOIN sequences s ON s.workspace_id = e.workspace_id AND s.id = e.sequence_id
          JOIN contacts c ON c.workspace_id = e.workspace_id AND c.id = e.contact_id
          LEFT JOIN consents k ON k.workspace_id = e.workspace_id AND k.contact_id = e.contact_id AND k.channel = 'email'
            AND k.purpose_id = s.purpose_id
          LEFT JOIN category_preferences p ON p.workspace_id = e.workspace_id AND p.contact_id = e.contact_id
            AND p.category_id = s.category_id
          WHERE e.workspace_id = ${workspaceId} AND e.status = 'ACTIVE' AND NOT e.pending AND e.due_at < ${dueBefore})
        UPDATE sequence_enrolments e SET status = 'STOPPED', stop_reason = found.reason, ended_at = sally_now()
        FROM found WHERE e.workspace_id = ${workspaceId} AND e.id = found.id AND found.reason IS NOT NULL`,
  );
}
