import { mayAskForMail, type OptInState, type OptInStatus } from '../../domain/consent';
import { many, one, type Queryable, sql } from '../../platform/postgres';

/** What a visitor typed beside the address, checked and normalised; kept until the confirmation. */
export interface PendingProfile {
  first_name?: string;
  last_name?: string;
  locale?: string;
  time_zone?: string;
  fields?: Record<string, unknown>;
}

/** Where a statement came from, for the proof. */
export interface VisitorTrace {
  ipAddress: string | null;
  userAgent: string | null;
  /** The best of our languages that the browser asked for: of the mails, not of the proof. */
  language?: string | null;
}

/** The contact of a request; its row is locked first, so that everything about one contact happens in order. */
export interface OptInContact {
  id: string;
  emailHash: Buffer;
}

interface OpenRequestInput {
  workspaceId: string;
  contact: OptInContact;
  purpose: { id: string; wording_version: number };
  locale: string | null;
  profile: PendingProfile;
  visitor: VisitorTrace;
}

export interface OpenedRequest {
  requestId: string;
  /** False: an open request was used again. */
  opened: boolean;
  /** False: enough mails were asked for, or this was the same click twice. */
  mailRequested: boolean;
}

/** Locks a contact by id; null when it does not exist or was erased. */
export async function lockOptInContact(
  tx: Queryable,
  workspaceId: string,
  contactId: string,
): Promise<OptInContact | null> {
  const row = await one<{ id: string; email_hash: Buffer }>(
    tx,
    sql`SELECT id, email_hash FROM contacts
        WHERE workspace_id = ${workspaceId} AND id = ${contactId} AND erased_at IS NULL FOR UPDATE`,
  );
  return row && { id: row.id, emailHash: row.email_hash };
}

/**
 * Opens a request, or uses the open one again: the later profile and wording count, its time starts anew, and one
 * more mail goes out while the contact's limit allows. The contact's row must be locked.
 */
export async function openOptInRequest(tx: Queryable, input: OpenRequestInput): Promise<OpenedRequest> {
  const { workspaceId, contact, purpose, visitor } = input;
  // A request that the workflow has not closed yet (Temporal may be down) must not be used again.
  await tx.query(sql`UPDATE opt_in_requests SET status = 'EXPIRED', updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND contact_id = ${contact.id} AND status = 'OPEN' AND expires_at <= sally_now()`);
  // So must one whose links went to an address that the contact no longer has.
  await tx.query(sql`UPDATE opt_in_requests SET status = 'CANCELLED', updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND contact_id = ${contact.id} AND status = 'OPEN' AND email_hash <> ${contact.emailHash}`);
  const profile = JSON.stringify(input.profile);
  const open = await one<{ id: string }>(
    tx,
    sql`SELECT id FROM opt_in_requests WHERE workspace_id = ${workspaceId} AND contact_id = ${contact.id}
          AND channel = 'email' AND purpose_id = ${purpose.id} AND status = 'OPEN'`,
  );
  if (!open) {
    const made = await one<{ id: string }>(
      tx,
      sql`INSERT INTO opt_in_requests (workspace_id, contact_id, purpose_id, wording_version, locale, remind_at, expires_at,
            ip_address, user_agent, profile, email_hash, language)
          SELECT id, ${contact.id}, ${purpose.id}, ${purpose.wording_version}, ${input.locale},
            sally_now() + opt_in_reminder_after, sally_now() + opt_in_expires_after,
            ${visitor.ipAddress}, ${visitor.userAgent?.slice(0, 500) ?? null}, ${profile}, ${contact.emailHash},
            ${visitor.language ?? null}
          FROM workspaces WHERE id = ${workspaceId} RETURNING id`,
    );
    if (!made) throw new Error('the workspace is gone');
    return { requestId: made.id, opened: true, mailRequested: true };
  }
  const asked = await many<{ at: Date; now: Date }>(
    tx,
    sql`SELECT t.at, sally_now() AS now FROM opt_in_requests r, unnest(r.mails_requested_at) AS t (at)
        WHERE r.workspace_id = ${workspaceId} AND r.contact_id = ${contact.id} AND t.at > sally_now() - interval '24 hours'`,
  );
  const now = asked[0]?.now;
  const mailRequested =
    now === undefined ||
    mayAskForMail(
      asked.map((row) => row.at),
      now,
    );
  await tx.query(sql`
    UPDATE opt_in_requests r SET profile = r.profile || ${profile}::jsonb, wording_version = ${purpose.wording_version},
      locale = coalesce(${input.locale}, r.locale), language = coalesce(${visitor.language ?? null}, r.language), ip_address = ${visitor.ipAddress},
      user_agent = ${visitor.userAgent?.slice(0, 500) ?? null}, updated_at = sally_now()
    WHERE r.workspace_id = ${workspaceId} AND r.id = ${open.id}`);
  if (mailRequested) {
    await tx.query(sql`
      UPDATE opt_in_requests r SET mails_requested = r.mails_requested + 1,
        mails_requested_at = r.mails_requested_at || sally_now(),
        remind_at = sally_now() + w.opt_in_reminder_after, expires_at = sally_now() + w.opt_in_expires_after
      FROM workspaces w WHERE w.id = r.workspace_id AND r.workspace_id = ${workspaceId} AND r.id = ${open.id}`);
  }
  return { requestId: open.id, opened: false, mailRequested };
}

/** A request with what its page shows. */
export interface OptInRequestRow {
  id: string;
  contact_id: string;
  purpose_id: string;
  purpose_name: string;
  purpose_wording_version: number;
  workspace_name: string;
  workspace_locale: string;
  wording_version: number;
  wording: string;
  locale: string | null;
  /** OPEN only while it can still be confirmed. */
  status: OptInStatus;
  profile: PendingProfile;
  email_hash: Buffer;
}

/** The request; one whose time is over counts as EXPIRED even if no workflow has closed it yet. */
export function findOptInRequest(
  db: Queryable,
  workspaceId: string,
  requestId: string,
): Promise<OptInRequestRow | null> {
  return one(
    db,
    sql`SELECT r.id, r.contact_id, r.purpose_id, p.name AS purpose_name, p.wording_version AS purpose_wording_version,
          w.name AS workspace_name, w.default_locale AS workspace_locale, r.wording_version, r.locale,
          sally_wording(r.workspace_id, r.purpose_id, r.wording_version, r.locale, sally_now()) AS wording, r.profile, r.email_hash,
          CASE WHEN r.status = 'OPEN' AND r.expires_at <= sally_now() THEN 'EXPIRED'
               WHEN r.status = 'OPEN' AND (c.email_hash <> r.email_hash OR c.erased_at IS NOT NULL) THEN 'CANCELLED'
               ELSE r.status END AS status
        FROM opt_in_requests r
        JOIN workspaces w ON w.id = r.workspace_id
        JOIN contacts c ON c.workspace_id = r.workspace_id AND c.id = r.contact_id
        JOIN purposes p ON p.workspace_id = r.workspace_id AND p.id = r.purpose_id
        WHERE r.workspace_id = ${workspaceId} AND r.id = ${requestId}`,
  );
}

/** OPEN → CONFIRMED; false when it was not open any more. */
export async function closeAsConfirmed(tx: Queryable, workspaceId: string, requestId: string): Promise<boolean> {
  const row = await one(
    tx,
    sql`UPDATE opt_in_requests SET status = 'CONFIRMED', confirmed_at = sally_now(), updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${requestId} AND status = 'OPEN' AND expires_at > sally_now()
        RETURNING 1`,
  );
  return row !== null;
}

/** OPEN → EXPIRED or CANCELLED by the workflow; a confirmation that came first wins. */
export async function closeUnconfirmed(
  tx: Queryable,
  workspaceId: string,
  requestId: string,
  status: 'EXPIRED' | 'CANCELLED',
): Promise<boolean> {
  const row = await one(
    tx,
    sql`UPDATE opt_in_requests SET status = ${status}, updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${requestId} AND status = 'OPEN'
          AND (${status}::text = 'CANCELLED' OR expires_at <= sally_now())
        RETURNING 1`,
  );
  return row !== null;
}

/** What the workflow decides by, with the database's time; null when there is no such request. */
export async function readOptInState(
  db: Queryable,
  workspaceId: string,
  requestId: string,
): Promise<{ state: OptInState; now: Date } | null> {
  const row = await one<{
    status: OptInStatus;
    mails_requested: number;
    mails_enqueued: number;
    remind_at: Date | null;
    reminded_at: Date | null;
    expires_at: Date;
    address_changed: boolean;
    now: Date;
  }>(
    db,
    sql`SELECT r.status, r.mails_requested, r.mails_enqueued, r.remind_at, r.reminded_at, r.expires_at,
          c.email_hash <> r.email_hash OR c.erased_at IS NOT NULL AS address_changed, sally_now() AS now
        FROM opt_in_requests r JOIN contacts c ON c.workspace_id = r.workspace_id AND c.id = r.contact_id
        WHERE r.workspace_id = ${workspaceId} AND r.id = ${requestId}`,
  );
  if (!row) return null;
  return {
    state: {
      status: row.status,
      mailsRequested: row.mails_requested,
      mailsEnqueued: row.mails_enqueued,
      remindAt: row.remind_at,
      remindedAt: row.reminded_at,
      expiresAt: row.expires_at,
      addressChanged: row.address_changed,
    },
    now: row.now,
  };
}

/** The open request whose next mail is being enqueued, locked. */
export interface OptInMailRow {
  contact_id: string;
  email_domain: string;
  mails_requested: number;
  mails_enqueued: number;
  purpose_name: string;
  wording: string;
  expires_at: Date;
  /** In which the mail should be, the most wanted first. */
  locales: (string | null)[];
}

/** Locks a request for enqueueing its mail; null when it is not open any more. */
export function lockForMail(tx: Queryable, workspaceId: string, requestId: string): Promise<OptInMailRow | null> {
  return one(
    tx,
    sql`SELECT r.contact_id, c.email_domain, ARRAY[r.locale, c.locale, r.language, w.default_locale] AS locales, r.mails_requested, r.mails_enqueued, p.name AS purpose_name, r.expires_at,
          sally_wording(r.workspace_id, r.purpose_id, r.wording_version, r.locale, sally_now()) AS wording
        FROM opt_in_requests r
        JOIN workspaces w ON w.id = r.workspace_id
        JOIN contacts c ON c.workspace_id = r.workspace_id AND c.id = r.contact_id
        JOIN purposes p ON p.workspace_id = r.workspace_id AND p.id = r.purpose_id
        WHERE r.workspace_id = ${workspaceId} AND r.id = ${requestId} AND r.status = 'OPEN' FOR UPDATE OF r`,
  );
}

export async function markMailsEnqueued(
  tx: Queryable,
  workspaceId: string,
  requestId: string,
  mails: number,
): Promise<void> {
  await tx.query(sql`UPDATE opt_in_requests SET mails_enqueued = ${mails}, updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${requestId}`);
}

export async function markReminded(tx: Queryable, workspaceId: string, requestId: string): Promise<void> {
  await tx.query(sql`UPDATE opt_in_requests SET reminded_at = sally_now(), updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${requestId}`);
}

/** A run takes 10,000 signals at most; a request that stays due for all its week (a template is missing) sends fewer. */
const HINT_AGAIN_SECONDS = 120;

/**
 * Open requests, oldest first, for which something has been due for `graceSeconds`: their workflow is absent, or a
 * hint was lost, so the watchdog ensures it. Marks them as hinted. Requests with nothing due need no workflow yet. As
 * sally_worker.
 */
export async function dueOptInRequests(
  db: Queryable,
  limit = 500,
  graceSeconds = 10,
): Promise<{ workspaceId: string; requestId: string }[]> {
  const rows = await many<{ workspace_id: string; id: string }>(
    db,
    sql`UPDATE opt_in_requests SET hinted_at = sally_now()
        WHERE (workspace_id, id) IN (
          SELECT workspace_id, id FROM opt_in_requests
          WHERE status = 'OPEN' AND due_at <= sally_now() - make_interval(secs => ${graceSeconds})
            AND updated_at <= sally_now() - make_interval(secs => ${graceSeconds})
            AND (hinted_at IS NULL OR hinted_at <= sally_now() - make_interval(secs => ${HINT_AGAIN_SECONDS}))
          ORDER BY due_at LIMIT ${limit} FOR UPDATE SKIP LOCKED)
        RETURNING workspace_id, id`,
  );
  return rows.map((row) => ({ workspaceId: row.workspace_id, requestId: row.id }));
}
