import {
  applySubmission,
  EMPTY_PROFILE,
  fromSubmissionPayload,
  type Profile,
  toSubmissionPayload,
} from '../../domain/contacts';
import { many, type Queryable, sql } from '../../platform/postgres';

/** What a dry run's earlier rows would have written, by hash of the address in hex. */
export async function readDryRunProfiles(
  db: Queryable,
  workspaceId: string,
  jobId: string,
  hashes: readonly Buffer[],
): Promise<Map<string, Profile>> {
  const rows = await many<{ hash: string; profile: unknown }>(
    db,
    sql`SELECT encode(p.email_hash, 'hex') AS hash, p.profile
        FROM unnest(${hashes.map((hash) => hash.toString('hex'))}::text[]) AS given (hash)
        JOIN import_dry_run_profiles p ON p.workspace_id = ${workspaceId} AND p.job_id = ${jobId}
          AND p.email_hash = decode(given.hash, 'hex')`,
  );
  return new Map(
    rows.map(({ hash, profile }) => [hash, applySubmission(EMPTY_PROFILE, fromSubmissionPayload(profile))]),
  );
}

/** Remembers what a batch would have written. A profile is stored as the one submission that makes it. */
export async function writeDryRunProfiles(
  tx: Queryable,
  workspaceId: string,
  jobId: string,
  profiles: readonly { emailHash: Buffer; profile: Profile }[],
): Promise<void> {
  const stored = profiles.map(({ emailHash, profile }) => ({
    hash: emailHash.toString('hex'),
    profile: toSubmissionPayload({
      email: profile.email ?? undefined,
      firstName: profile.firstName,
      lastName: profile.lastName,
      locale: profile.locale,
      timeZone: profile.timeZone,
      tags: { set: profile.tags },
      fields: profile.fields,
    }),
  }));
  await tx.query(sql`
    INSERT INTO import_dry_run_profiles (workspace_id, job_id, email_hash, profile)
    SELECT ${workspaceId}, ${jobId}, decode(p.hash, 'hex'), p.profile
    FROM jsonb_to_recordset(${JSON.stringify(stored)}::jsonb) AS p (hash text, profile jsonb)
    ON CONFLICT (workspace_id, job_id, email_hash) DO UPDATE SET profile = excluded.profile`);
}

/** A dry run has ended: what it would have written is nobody's business any more. */
export async function deleteDryRunProfiles(tx: Queryable, workspaceId: string, jobId: string): Promise<void> {
  await tx.query(sql`DELETE FROM import_dry_run_profiles WHERE workspace_id = ${workspaceId} AND job_id = ${jobId}`);
}
