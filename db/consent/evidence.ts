import { many, one, type Queryable, sql } from '../../platform/postgres';
import { type ConsentEventRow, listConsentEvents } from './consents';

/** Most statements of one pack; a person with more has the rest in the paged list. */
const MOST_STATEMENTS = 1_000;

/** The double opt-in behind a statement: when it was asked for, what was mailed, when it was confirmed. */
export interface OptInEvidence {
  id: string;
  status: string;
  created_at: Date;
  confirmed_at: Date | null;
  expires_at: Date;
  ip_address: string | null;
  user_agent: string | null;
  mails: { kind: string; status: string; sent_at: string | null; message_id: string | null }[];
}

/** What an import declared about its people. */
export interface ImportEvidence {
  import_job_id: string;
  statement: string;
  file_name: string;
  file_sha256: string | null;
  declared_by: string | null;
  declared_by_name: string | null;
  declared_at: Date;
}

export interface EvidenceRow extends ConsentEventRow {
  actor_name: string | null;
  opt_in: OptInEvidence | null;
  import_basis: ImportEvidence | null;
}

export interface EvidenceContact {
  id: string;
  email: string;
  first_name: string;
  last_name: string;
  status: string;
  created_at: Date;
  now: Date;
}

/** Whom a pack is about, with the moment of the database's clock; null for nobody (or somebody erased). */
export function findEvidenceContact(
  db: Queryable,
  workspaceId: string,
  contactId: string,
): Promise<EvidenceContact | null> {
  return one(
    db,
    sql`SELECT id, email, first_name, last_name, status, created_at, sally_now() AS now FROM contacts
        WHERE workspace_id = ${workspaceId} AND id = ${contactId} AND erased_at IS NULL`,
  );
}

/** Every statement of a contact about consent, oldest first, each with what proves it. */
export async function collectEvidence(db: Queryable, workspaceId: string, contactId: string): Promise<EvidenceRow[]> {
  const page = { before: null, limit: MOST_STATEMENTS - 1 };
  const events = (await listConsentEvents(db, workspaceId, contactId, page)).reverse();
  const ids = (pick: (event: ConsentEventRow) => string | null) => [
    ...new Set(events.map(pick).filter((id) => id !== null)),
  ];
  const requests = await many<OptInEvidence>(
    db,
    sql`SELECT r.id, r.status, r.created_at, r.confirmed_at, r.expires_at, host(r.ip_address) AS ip_address, r.user_agent,
          coalesce((SELECT jsonb_agg(jsonb_build_object('kind', d.step_key, 'status', d.status, 'sent_at', d.sent_at,
              'message_id', replace(d.source_id::text, '-', '') || '.' || replace(d.id::text, '-', '') || '@' || w.message_domain)
              ORDER BY d.id)
            FROM deliveries d WHERE d.workspace_id = r.workspace_id AND d.source_type = 'OPT_IN' AND d.source_id = r.id), '[]') AS mails
        FROM opt_in_requests r JOIN workspaces w ON w.id = r.workspace_id
        WHERE r.workspace_id = ${workspaceId} AND r.id = ANY (${ids((event) => event.opt_in_request_id)}::uuid[])`,
  );
  const bases = await many<ImportEvidence & { purpose_id: string }>(
    db,
    sql`SELECT b.import_job_id, b.purpose_id, b.statement, b.file_name, b.file_sha256, b.declared_by,
          u.name AS declared_by_name, b.declared_at
        FROM consent_bases b LEFT JOIN users u ON u.id = b.declared_by
        WHERE b.workspace_id = ${workspaceId} AND b.import_job_id = ANY (${ids((event) => event.import_job_id)}::uuid[])`,
  );
  const people = await many<{ id: string; name: string }>(
    db,
    sql`SELECT id, name FROM users WHERE id = ANY (${ids((event) => event.actor_id)}::uuid[])`,
  );
  return events.map((event) => {
    const basis = bases.find(
      (known) => known.import_job_id === event.import_job_id && known.purpose_id === event.purpose_id,
    );
    return {
      ...event,
      actor_name: people.find(({ id }) => id === event.actor_id)?.name ?? null,
      opt_in: requests.find(({ id }) => id === event.opt_in_request_id) ?? null,
      import_basis: basis ?? null,
    };
  });
}
