import { type ProfileChanges, toSubmissionPayload } from '../../domain/contacts';
import { many, type Queryable, sql } from '../../platform/postgres';

export const SUBMISSION_ORIGINS = ['API', 'IMPORT', 'SIGN_UP', 'SYSTEM', 'MERGE', 'BULK_EDIT'] as const;
export type SubmissionOrigin = (typeof SUBMISSION_ORIGINS)[number];

/** Where a change of a profile came from. */
export interface ChangeOrigin {
  origin: SubmissionOrigin;
  /** Import job, sign-up request or API request. */
  originId: string | null;
  actorId: string | null;
}

export interface SubmissionRow {
  id: string;
  contact_id: string;
  origin: SubmissionOrigin;
  origin_id: string | null;
  origin_row: number | null;
  payload: Record<string, unknown>;
  actor_id: string | null;
  created_at: Date;
}

/**
 * Appends one change of a profile. Call it while the contact's row is locked: its id is minted now, and the ids' order
 * is the order of the fold.
 */
export async function appendSubmission(
  tx: Queryable,
  workspaceId: string,
  contactId: string,
  changes: ProfileChanges,
  from: ChangeOrigin,
): Promise<void> {
  await tx.query(sql`
    INSERT INTO submissions (workspace_id, contact_id, origin, origin_id, payload, actor_id)
    VALUES (${workspaceId}, ${contactId}, ${from.origin}, ${from.originId}, ${JSON.stringify(toSubmissionPayload(changes))},
      ${from.actorId})`);
}

/** Submissions of a contact and of those that were merged into it, newest first, one more than `limit`. */
export function listSubmissions(
  db: Queryable,
  workspaceId: string,
  contactId: string,
  page: { before: string | null; limit: number },
): Promise<SubmissionRow[]> {
  return many(
    db,
    sql`SELECT id, contact_id, origin, origin_id, origin_row, payload, actor_id, created_at FROM submissions
        WHERE workspace_id = ${workspaceId} AND contact_id IN (SELECT sally_contact_family(${workspaceId}, ${contactId}))
          AND (${page.before}::uuid IS NULL OR id < ${page.before}::uuid)
        ORDER BY id DESC LIMIT ${page.limit + 1}`,
  );
}
