import { applySubmission, EMPTY_PROFILE, fromSubmissionPayload, type Profile } from '../../domain/contacts';
import { many, type Queryable, sql } from '../../platform/postgres';

/** Submissions read at once. */
const PAGE = 1_000;

/**
 * The profile that a contact's submissions make. `complete` is false where some of them were emptied or removed
 * (erasure, retention), so that the fold says less than the profile did.
 */
export async function foldSubmissions(
  db: Queryable,
  workspaceId: string,
  contactId: string,
): Promise<{ profile: Profile; submissions: number; complete: boolean }> {
  let profile = EMPTY_PROFILE;
  let submissions = 0;
  let complete = true;
  for (let after: string | null = null; ; ) {
    const rows: { id: string; payload: unknown }[] = await many(
      db,
      sql`SELECT id, payload FROM submissions WHERE workspace_id = ${workspaceId} AND contact_id = ${contactId}
            AND (${after}::uuid IS NULL OR id > ${after}::uuid) ORDER BY id LIMIT ${PAGE}`,
    );
    for (const { payload } of rows) {
      const changes = fromSubmissionPayload(payload);
      // The first one brings the address; one that says nothing was emptied.
      if (submissions === 0 ? changes.email === undefined : JSON.stringify(payload) === '{}') complete = false;
      profile = applySubmission(profile, changes);
      submissions += 1;
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE)
      return { profile, submissions, complete: complete && submissions > 0 };
    after = last.id;
  }
}

/** Writes a rebuilt profile; no submission, since it is what they say already. The contact must be locked. */
export async function restoreProfile(
  tx: Queryable,
  workspaceId: string,
  contactId: string,
  profile: Profile,
): Promise<void> {
  await tx.query(sql`
    UPDATE contacts SET first_name = ${profile.firstName ?? ''}, last_name = ${profile.lastName ?? ''},
      locale = ${profile.locale}, time_zone = ${profile.timeZone}, tags = ${profile.tags},
      fields = ${JSON.stringify(profile.fields)}, version = version + 1, updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${contactId}`);
}
