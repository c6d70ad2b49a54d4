import type { GateFacts, GatePolicy, GateVerdict } from '../../domain/gates';
import { changed, many, one, type Queryable, sql } from '../../platform/postgres';

export type GrantStatus = 'GRANTED' | 'REFUSED' | 'REVOKED';
export type AccessOutcome = 'GIVEN' | 'EXPIRED' | 'USED_UP' | 'REVOKED' | 'CLOSED' | 'CONDITIONS';

export interface GrantRow {
  id: string;
  contact_id: string;
  status: GrantStatus;
  verdicts: GateVerdict[];
  uses: number;
  max_uses: number;
  expires_at: Date;
  created_at: Date;
  last_used_at: Date | null;
  revoked_at: Date | null;
}

/** What a visitor typed, checked. */
export type SubmittedProfile = Record<string, unknown>;

/** Names of the fields in it that have a value. */
function submittedNames(profile: SubmittedProfile): string[] {
  const { fields, ...builtIn } = profile;
  const own = typeof fields === 'object' && fields !== null ? Object.entries(fields) : [];
  return [...Object.entries(builtIn), ...own].flatMap(([name, value]) =>
    value === undefined || value === null || value === '' ? [] : [name],
  );
}

/** What is known of a contact that a policy asks for; null: it was erased. */
export async function gateFacts(
  db: Queryable,
  of: { workspaceId: string; contactId: string; policy: GatePolicy; submitted: SubmittedProfile },
): Promise<GateFacts | null> {
  const purposes = of.policy.conditions.flatMap((each) => (each.type === 'consent' ? [each.purposeId] : []));
  const audiences = of.policy.conditions.flatMap((each) => (each.type === 'audience' ? [each.audienceId] : []));
  const row = await one<{ consents: string[]; audiences: string[]; fields: string[] }>(
    db,
    sql`SELECT ARRAY(SELECT k.purpose_id::text FROM consents k WHERE k.workspace_id = c.workspace_id AND k.contact_id = c.id
            AND k.channel = 'email' AND k.status = 'granted' AND k.purpose_id = ANY (${purposes}::uuid[])) AS consents,
          ARRAY(SELECT m.audience_id::text FROM audience_members m WHERE m.workspace_id = c.workspace_id AND m.contact_id = c.id
            AND m.audience_id = ANY (${audiences}::uuid[])) AS audiences,
          ARRAY(SELECT key FROM jsonb_each_text(c.fields || jsonb_build_object('first_name', nullif(c.first_name, ''),
            'last_name', nullif(c.last_name, ''), 'locale', c.locale, 'time_zone', c.time_zone)) WHERE value <> '') AS fields
        FROM contacts c
        WHERE c.workspace_id = ${of.workspaceId} AND c.id = ${of.contactId} AND c.erased_at IS NULL`,
  );
  return (
    row && {
      consents: new Set(row.consents),
      audiences: new Set(row.audiences),
      fields: new Set([...row.fields, ...submittedNames(of.submitted)]),
    }
  );
}

/** Links for one contact and gate in any rolling 24 hours. */
const LINKS_PER_DAY = 3;

/** Whether another link may be mailed to a contact now; its row must be locked. */
export async function mayMailLink(
  tx: Queryable,
  workspaceId: string,
  gateId: string,
  contactId: string,
): Promise<boolean> {
  const row = await one<{ n: number }>(
    tx,
    sql`SELECT count(*) AS n FROM gate_grants WHERE workspace_id = ${workspaceId} AND contact_id = ${contactId}
          AND gate_id = ${gateId} AND status = 'GRANTED' AND created_at > sally_now() - interval '24 hours'`,
  );
  return (row?.n ?? 0) < LINKS_PER_DAY;
}

/** Records a grant or a refusal. */
export async function insertGrant(
  tx: Queryable,
  grant: {
    workspaceId: string;
    gateId: string;
    contactId: string;
    status: 'GRANTED' | 'REFUSED';
    verdicts: readonly GateVerdict[];
    submitted: SubmittedProfile;
    maxUses: number;
    linkSeconds: number;
  },
): Promise<{ id: string; expires_at: Date }> {
  const row = await one<{ id: string; expires_at: Date }>(
    tx,
    sql`INSERT INTO gate_grants (workspace_id, gate_id, contact_id, status, verdicts, submitted, max_uses, expires_at)
        VALUES (${grant.workspaceId}, ${grant.gateId}, ${grant.contactId}, ${grant.status}, ${JSON.stringify(grant.verdicts)},
          ${JSON.stringify(grant.submitted)}, ${grant.maxUses}, sally_now() + make_interval(secs => ${grant.linkSeconds}))
        RETURNING id, expires_at`,
  );
  if (!row) throw new Error('a grant could not be recorded');
  return row;
}

const COLUMNS = sql`id, contact_id, status, verdicts, uses, max_uses, expires_at, created_at, last_used_at, revoked_at`;

/** Grants and refusals of a gate, newest first, one more than `limit`. */
export function listGrants(
  db: Queryable,
  workspaceId: string,
  gateId: string,
  page: { before: string | null; limit: number },
): Promise<GrantRow[]> {
  return many<GrantRow & Record<string, unknown>>(
    db,
    sql`SELECT ${COLUMNS} FROM gate_grants WHERE workspace_id = ${workspaceId} AND gate_id = ${gateId}
          AND (${page.before}::uuid IS NULL OR id < ${page.before}::uuid) ORDER BY id DESC LIMIT ${page.limit + 1}`,
  );
}

export function findGrant(db: Queryable, workspaceId: string, gateId: string, id: string): Promise<GrantRow | null> {
  return one<GrantRow & Record<string, unknown>>(
    db,
    sql`SELECT ${COLUMNS} FROM gate_grants WHERE workspace_id = ${workspaceId} AND gate_id = ${gateId} AND id = ${id}`,
  );
}

/** GRANTED → REVOKED; false: it was not granted any more. */
export async function revokeGrant(tx: Queryable, workspaceId: string, id: string, by: string): Promise<boolean> {
  const revoked = await changed(
    tx,
    sql`UPDATE gate_grants SET status = 'REVOKED', revoked_at = sally_now(), revoked_by = ${by}
        WHERE workspace_id = ${workspaceId} AND id = ${id} AND status = 'GRANTED'`,
  );
  return revoked === 1;
}

/** A grant whose link is being used, held until the end of the transaction. */
export interface UsedGrant {
  id: string;
  gate_id: string;
  contact_id: string;
  status: GrantStatus;
  submitted: SubmittedProfile;
  uses: number;
  used_up: boolean;
  expired: boolean;
}

export function lockGrant(tx: Queryable, workspaceId: string, id: string): Promise<UsedGrant | null> {
  return one<UsedGrant & Record<string, unknown>>(
    tx,
    sql`SELECT id, gate_id, contact_id, status, submitted, uses, uses >= max_uses AS used_up, expires_at <= sally_now() AS expired
        FROM gate_grants WHERE workspace_id = ${workspaceId} AND id = ${id} AND status <> 'REFUSED' FOR UPDATE`,
  );
}

/** Records what came of using a link; GIVEN counts as a use. */
export async function recordAccess(
  tx: Queryable,
  workspaceId: string,
  grant: UsedGrant,
  outcome: AccessOutcome,
): Promise<void> {
  await tx.query(sql`
    INSERT INTO gate_accesses (workspace_id, gate_id, grant_id, outcome)
    VALUES (${workspaceId}, ${grant.gate_id}, ${grant.id}, ${outcome})`);
  if (outcome !== 'GIVEN') return;
  await tx.query(sql`
    UPDATE gate_grants SET uses = uses + 1, last_used_at = sally_now(), submitted = '{}'
    WHERE workspace_id = ${workspaceId} AND id = ${grant.id}`);
}
