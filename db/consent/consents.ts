import { many, one, type Queryable, sql } from '../../platform/postgres';
import { appendEvent } from '../events';

export type ConsentStatus = 'granted' | 'denied' | 'pending';
/** Channels that people can consent to; Sally sends e-mail, the others are recorded for whoever sends there. */
export const CONSENT_CHANNELS = ['email', 'sms', 'push', 'whatsapp', 'telegram'] as const;
export type ConsentChannel = (typeof CONSENT_CHANNELS)[number];
export type ConsentSource = 'sign_up' | 'double_opt_in' | 'import' | 'api' | 'unsubscribe' | 'manual';

export interface ConsentRow {
  purpose_id: string;
  purpose_key: string;
  channel: string;
  status: ConsentStatus;
  granted_at: Date | null;
  revoked_at: Date | null;
  source: string;
  updated_at: Date;
}

export interface ConsentEventRow {
  id: string;
  purpose_id: string;
  purpose_key: string;
  channel: string;
  status: ConsentStatus;
  source: ConsentSource;
  wording_version: number | null;
  wording: string | null;
  locale: string | null;
  ip_address: string | null;
  user_agent: string | null;
  opt_in_request_id: string | null;
  import_job_id: string | null;
  import_row: number | null;
  actor_id: string | null;
  occurred_at: Date;
}

/** The current consents of a contact. */
export function listConsents(db: Queryable, workspaceId: string, contactId: string): Promise<ConsentRow[]> {
  return many(
    db,
    sql`SELECT c.purpose_id, p.key AS purpose_key, c.channel, c.status, c.granted_at, c.revoked_at, c.source, c.updated_at
        FROM consents c JOIN purposes p ON p.workspace_id = c.workspace_id AND p.id = c.purpose_id
        WHERE c.workspace_id = ${workspaceId} AND c.contact_id = ${contactId} ORDER BY c.purpose_id, c.channel`,
  );
}

/**
 * The consents of a contact as they were at a moment, out of the proof: the last statement counts, a pending one only
 * where the person had not spoken yet. For the present moment it says what `listConsents` says.
 */
export function listConsentsAsOf(
  db: Queryable,
  workspaceId: string,
  contactId: string,
  asOf: Date,
): Promise<ConsentRow[]> {
  return many(
    db,
    sql`WITH said AS (
          SELECT purpose_id, channel, status, source, occurred_at, id, open,
            lag(status) OVER (PARTITION BY purpose_id, channel, open ORDER BY occurred_at, id) AS before
          FROM consent_events
          -- A sign-up asks; a pending state that somebody set (a merge) is one.
          CROSS JOIN LATERAL (SELECT status = 'pending' AND actor_id IS NULL AS open) asked
          -- What another contact had said counts from its merge on; before, it was somebody else's word.
          WHERE workspace_id = ${workspaceId} AND occurred_at <= ${asOf} AND (contact_id = ${contactId} OR contact_id IN (
            SELECT id FROM contacts
            WHERE workspace_id = ${workspaceId} AND merged_into = ${contactId} AND erased_at <= ${asOf}))),
        turns AS (
          SELECT DISTINCT ON (purpose_id, channel) purpose_id, channel, status, source, occurred_at,
            max(occurred_at) FILTER (WHERE status = 'granted') OVER w AS granted_at,
            max(occurred_at) FILTER (WHERE status = 'denied') OVER w AS revoked_at
          FROM said WHERE before IS DISTINCT FROM status
          WINDOW w AS (PARTITION BY purpose_id, channel)
          ORDER BY purpose_id, channel, open, occurred_at DESC, id DESC)
        SELECT t.purpose_id, p.key AS purpose_key, t.channel, t.status, t.granted_at,
          CASE WHEN t.status = 'denied' THEN t.revoked_at END AS revoked_at, t.source, t.occurred_at AS updated_at
        FROM turns t JOIN purposes p ON p.workspace_id = ${workspaceId} AND p.id = t.purpose_id
        ORDER BY t.purpose_id, t.channel`,
  );
}

/** The proof of a contact, newest first, with the wording as it was shown; one more than `limit`. */
export function listConsentEvents(
  db: Queryable,
  workspaceId: string,
  contactId: string,
  page: { before: string | null; limit: number },
): Promise<ConsentEventRow[]> {
  return many(
    db,
    sql`SELECT e.id, e.purpose_id, p.key AS purpose_key, e.channel, e.status, e.source, e.wording_version,
          sally_wording(e.workspace_id, e.purpose_id, e.wording_version, e.locale, e.occurred_at) AS wording, e.locale, host(e.ip_address) AS ip_address, e.user_agent, e.opt_in_request_id, e.import_job_id, e.import_row,
          e.actor_id, e.occurred_at
        FROM consent_events e
        JOIN purposes p ON p.workspace_id = e.workspace_id AND p.id = e.purpose_id
        WHERE e.workspace_id = ${workspaceId}
          AND e.contact_id IN (SELECT sally_contact_family(${workspaceId}, ${contactId}))
          AND (${page.before}::uuid IS NULL OR e.id < ${page.before}::uuid)
        ORDER BY e.id DESC LIMIT ${page.limit + 1}`,
  );
}

/** A statement of a person about a purpose, and how it is proved. */
export interface ConsentStatement {
  workspaceId: string;
  contactId: string;
  purposeId: string;
  channel?: ConsentChannel;
  status: ConsentStatus;
  source: ConsentSource;
  wordingVersion: number | null;
  locale?: string | null;
  ipAddress?: string | null;
  userAgent?: string | null;
  optInRequestId?: string | null;
  actorId?: string | null;
}

/** Longest user agent that the proof keeps. */
const MAX_USER_AGENT = 500;

/**
 * Records a statement: the proof always, the current state when it differs, and the event consent_granted or
 * consent_revoked with it. "pending" never replaces a state: who only signs up has not spoken yet.
 * @returns whether the state changed
 */
export async function recordConsent(tx: Queryable, statement: ConsentStatement): Promise<boolean> {
  const { workspaceId, contactId, purposeId, status, source, channel = 'email' } = statement;
  const written = await one(
    tx,
    sql`WITH said AS (
          INSERT INTO consent_events (workspace_id, contact_id, channel, purpose_id, status, source, wording_version, locale,
            ip_address, user_agent, opt_in_request_id, actor_id)
          VALUES (${workspaceId}, ${contactId}, ${channel}, ${purposeId}, ${status}, ${source}, ${statement.wordingVersion},
            ${statement.locale ?? null}, ${statement.ipAddress ?? null},
            ${statement.userAgent?.slice(0, MAX_USER_AGENT) ?? null}, ${statement.optInRequestId ?? null},
            ${statement.actorId ?? null})
          RETURNING occurred_at)
        INSERT INTO consents AS c (workspace_id, contact_id, channel, purpose_id, status, granted_at, revoked_at, source, updated_at)
        SELECT ${workspaceId}, ${contactId}, ${channel}, ${purposeId}, ${status},
          CASE WHEN ${status}::text = 'granted' THEN occurred_at END,
          CASE WHEN ${status}::text = 'denied' THEN occurred_at END, ${source}, occurred_at FROM said
        ON CONFLICT (workspace_id, contact_id, channel, purpose_id) DO UPDATE SET
          status = excluded.status, source = excluded.source, updated_at = excluded.updated_at,
          granted_at = coalesce(excluded.granted_at, c.granted_at),
          revoked_at = CASE WHEN excluded.status = 'granted' THEN NULL ELSE excluded.revoked_at END
        WHERE excluded.status <> 'pending' AND c.status <> excluded.status
        RETURNING 1`,
  );
  if (written === null || status === 'pending') return written !== null;
  const type = status === 'granted' ? 'consent_granted' : 'consent_revoked';
  await appendEvent(tx, { workspaceId, type, contactId, payload: { purpose_id: purposeId, channel, source } });
  return true;
}
