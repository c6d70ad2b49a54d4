import type { DeliveryStatus, Facts } from '../../domain/delivery';
import { many, one, type Queryable, type Statement, sql } from '../../platform/postgres';
import { isTrueFor } from '../audiences';
import { FACTS_COLUMNS, FACTS_JOINS, type FactsRow, toFacts } from './facts';

/** What an explanation is about: a contact, and a campaign with its newest run. */
export interface ExplainedCampaign {
  workspaceId: string;
  contactId: string;
  campaignId: string;
  /** Null: the campaign was never scheduled nor sent. */
  runId: string | null;
}

/** The facts of a row that is in the ledger, or of the row that the campaign would make. */
export interface ExplainedFacts {
  facts: Facts;
  /** The database's clock at the reading. */
  now: Date;
  /** Null: no such row is there, and the facts are those of a hypothetical one. */
  row: { sourceId: string; deliveryId: string; status: DeliveryStatus; reason: string | null } | null;
}

interface ExplainRow extends FactsRow {
  now: Date;
  source_id: string | null;
  id: string | null;
  status: DeliveryStatus | null;
  reason: string | null;
}

const text = (value: string): Statement => ({ text: value, values: [] });
/** Planning eleven joins costs more than running them. */
const prepared = (name: string, statement: Statement): Statement => ({ ...statement, name });

/**
 * Gathers the facts of a contact for a campaign: by the claim's own columns and joins over the row of the campaign's
 * newest run, else over the row that the run, or the campaign if it were sent now, would make. Null: no such contact.
 */
export async function explainFacts(db: Queryable, of: ExplainedCampaign): Promise<ExplainedFacts | null> {
  const real =
    of.runId === null ? null : await one<ExplainRow & Record<string, unknown>>(db, overRealRow(of, of.runId));
  const found = real ?? (await one<ExplainRow & Record<string, unknown>>(db, overHypotheticalRow(of)));
  if (!found) return null;
  const { source_id: sourceId, id: deliveryId, status, reason } = found;
  return {
    facts: toFacts(found),
    now: found.now,
    row: sourceId && deliveryId && status ? { sourceId, deliveryId, status, reason } : null,
  };
}

function overRealRow(of: ExplainedCampaign, runId: string): Statement {
  return prepared(
    'explain-row',
    sql`
    WITH row AS MATERIALIZED (
      SELECT * FROM deliveries WHERE workspace_id = ${of.workspaceId} AND source_type = 'CAMPAIGN' AND source_id = ${runId}
        AND recipient_key = ${of.contactId}::text)
    SELECT row.source_id, row.id, row.status, row.reason, ${text(FACTS_COLUMNS)}, sally_now() AS now
    FROM row ${text(FACTS_JOINS)}`,
  );
}

function overHypotheticalRow(of: ExplainedCampaign): Statement {
  return prepared(
    'explain-hypothetical-row',
    sql`
    WITH ${hypotheticalRows(of, sql`contact.id = ${of.contactId}`)}
    SELECT row.source_id, row.id, NULL AS status, NULL AS reason, ${text(FACTS_COLUMNS)}, sally_now() AS now
    FROM row ${text(FACTS_JOINS)}`,
  );
}

/**
 * The rows that a campaign's newest run would make of contacts (a condition on `contact`), as the CTE `row` with what it
 * needs. What does not exist yet stands in for itself: a campaign without a run has no stream, one that was never
 * submitted no frozen message. Tables of those names are hidden by CTEs, so that the joins stay the claim's.
 */
export function hypotheticalRows(of: Omit<ExplainedCampaign, 'contactId'>, contacts: Statement): Statement {
  const nil = '00000000-0000-0000-0000-000000000000';
  return sql`
    campaign AS MATERIALIZED (
      SELECT c.workspace_id, c.id, c.send_window, c.expires_at, c.purpose_id, c.category_id, c.channel,
        coalesce(r.message_id, c.message_id) AS message_id, r.id AS run_id, r.stream_id
      FROM campaigns c LEFT JOIN campaign_runs r ON r.workspace_id = c.workspace_id AND r.id = ${of.runId}::uuid
      WHERE c.workspace_id = ${of.workspaceId} AND c.id = ${of.campaignId}),
    messages AS MATERIALIZED (
      SELECT m.workspace_id, m.id, m.approval, m.sha256, m.purpose_id, m.category_id
      FROM campaign JOIN messages m ON m.workspace_id = campaign.workspace_id AND m.id = campaign.message_id
      UNION ALL
      SELECT workspace_id, ${nil}::uuid, 'NONE', '', purpose_id, category_id FROM campaign WHERE message_id IS NULL),
    streams AS MATERIALIZED (
      SELECT s.id, s.state, s.send_window, s.expires_at FROM campaign JOIN streams s ON s.id = campaign.stream_id
      UNION ALL
      SELECT ${nil}::uuid, 'ACTIVE', send_window, expires_at FROM campaign WHERE stream_id IS NULL),
    row AS MATERIALIZED (
      SELECT c.workspace_id, 'CAMPAIGN' AS source_type, coalesce(c.run_id, ${nil}::uuid) AS source_id, NULL::uuid AS id,
        contact.id AS contact_id, NULL::text AS address, NULL::text AS recipient_name, NULL::bytea AS address_hash,
        coalesce(c.message_id, ${nil}::uuid) AS message_id, coalesce(c.stream_id, ${nil}::uuid) AS stream_id, c.channel,
        'bulk' AS class, NULL::timestamptz AS expires_at, NULL::timestamptz AS slot_until
      FROM campaign c JOIN contacts contact ON contact.workspace_id = c.workspace_id AND ${contacts})`;
}

/** Whether a contact is in the campaign's audience now: the frozen message's, else as the campaign stands. */
export async function isInAudience(db: Queryable, of: ExplainedCampaign): Promise<boolean> {
  const row = await one<{ member: boolean; conditions: unknown }>(
    db,
    sql`WITH audience AS (
          SELECT coalesce(m.purpose_id, c.purpose_id) AS purpose_id,
            coalesce((m.audience->>'allConsented')::boolean, c.all_consented) AS all_consented,
            CASE WHEN m.audience IS NULL THEN c.include_audiences
              ELSE ARRAY(SELECT jsonb_array_elements_text(m.audience->'include')::uuid) END AS include,
            CASE WHEN m.audience IS NULL THEN c.exclude_audiences
              ELSE ARRAY(SELECT jsonb_array_elements_text(m.audience->'exclude')::uuid) END AS exclude,
            CASE WHEN m.audience IS NULL THEN c.audience_conditions ELSE m.audience->'conditions' END AS conditions
          FROM campaigns c
          LEFT JOIN campaign_runs r ON r.workspace_id = c.workspace_id AND r.id = ${of.runId}::uuid
          LEFT JOIN messages m ON m.workspace_id = c.workspace_id AND m.id = coalesce(r.message_id, c.message_id)
          WHERE c.workspace_id = ${of.workspaceId} AND c.id = ${of.campaignId})
        SELECT CASE WHEN a.all_consented THEN EXISTS (
              SELECT 1 FROM consents k WHERE k.workspace_id = ${of.workspaceId} AND k.contact_id = ${of.contactId}
                AND k.purpose_id = a.purpose_id AND k.status = 'granted' AND k.channel = 'email')
            ELSE (cardinality(a.include) = 0 AND a.conditions IS NOT NULL) OR EXISTS (
              SELECT 1 FROM audience_members i WHERE i.workspace_id = ${of.workspaceId} AND i.contact_id = ${of.contactId}
                AND i.audience_id = ANY (a.include)) END
          AND NOT EXISTS (
            SELECT 1 FROM audience_members x WHERE x.workspace_id = ${of.workspaceId} AND x.contact_id = ${of.contactId}
              AND x.audience_id = ANY (a.exclude)) AS member, a.conditions
        FROM audience a`,
  );
  if (!row?.member) return false;
  return row.conditions === null || isTrueFor(db, of.workspaceId, row.conditions, of.contactId);
}

/** Records that a check went by; each may be looked up by its id. */
export interface Evidence {
  address_suppression: { id: string; reason: string; created_at: Date } | null;
  domain_suppression: { id: string; reason: string; created_at: Date } | null;
  consent: { event_id: string | null; status: string; source: string; wording_version: number | null; at: Date } | null;
  category: { category_id: string; subscribed: boolean; source: string; at: Date } | null;
  approval: {
    message_id: string;
    approval_id: string | null;
    decision: string;
    decided_by: string | null;
    at: Date | null;
  } | null;
}

/** The records behind the facts of a campaign's message. */
export function explainEvidence(db: Queryable, of: ExplainedCampaign): Promise<Evidence> {
  return evidenceOver(db, of.workspaceId, campaignBase(of));
}

function campaignBase(of: ExplainedCampaign): Statement {
  return sql`SELECT c.id AS contact_id, c.email_hash, c.email_domain, m.id AS message_id, m.approval,
      coalesce(m.purpose_id, g.purpose_id) AS purpose_id, coalesce(m.category_id, g.category_id) AS category_id
    FROM contacts c
    JOIN campaigns g ON g.workspace_id = c.workspace_id AND g.id = ${of.campaignId}
    LEFT JOIN campaign_runs r ON r.workspace_id = g.workspace_id AND r.id = ${of.runId}::uuid
    LEFT JOIN messages m ON m.workspace_id = g.workspace_id AND m.id = coalesce(r.message_id, g.message_id)
    WHERE c.workspace_id = ${of.workspaceId} AND c.id = ${of.contactId}`;
}

/**
 * The records behind the facts of the one row of `base`, which has contact_id, email_hash, email_domain, message_id,
 * approval, purpose_id and category_id.
 */
export async function evidenceOver(db: Queryable, workspaceId: string, base: Statement): Promise<Evidence> {
  const suppression = (by: Statement) => sql`
    SELECT s.id, s.reason, s.created_at FROM base JOIN suppressions s ON ${by}
    WHERE s.workspace_id = ${workspaceId} AND s.state = 'ACTIVE'`;
  const records = <Row extends Record<string, unknown>>(statement: Statement): Promise<Row | null> =>
    one<Row>(db, sql`WITH base AS (${base}) ${statement}`);
  return {
    address_suppression: await records(suppression(sql`s.address_hash = base.email_hash`)),
    domain_suppression: await records(suppression(sql`s.domain = base.email_domain`)),
    consent: await records(sql`
      SELECT e.id AS event_id, k.status, k.source, e.wording_version, k.updated_at AS at
      FROM base JOIN consents k ON k.workspace_id = ${workspaceId} AND k.contact_id = base.contact_id
        AND k.channel = 'email' AND k.purpose_id = base.purpose_id
      LEFT JOIN LATERAL (
        SELECT id, wording_version FROM consent_events WHERE workspace_id = ${workspaceId}
          AND contact_id = base.contact_id AND channel = k.channel AND purpose_id = k.purpose_id
        ORDER BY id DESC LIMIT 1) e ON true`),
    category: await records(sql`
      SELECT p.category_id, p.subscribed, p.source, p.updated_at AS at
      FROM base JOIN category_preferences p ON p.workspace_id = ${workspaceId} AND p.contact_id = base.contact_id
        AND p.category_id = base.category_id`),
    approval: await records(sql`
      SELECT base.message_id, a.id AS approval_id, base.approval AS decision, a.decided_by, a.decided_at AS at
      FROM base LEFT JOIN LATERAL (
        SELECT id, decided_by, decided_at FROM approvals WHERE workspace_id = ${workspaceId}
          AND message_id = base.message_id ORDER BY id DESC LIMIT 1) a ON true
      WHERE base.message_id IS NOT NULL`),
  };
}

export interface AttemptRow {
  attempt: number;
  outcome: string;
  smtp_code: number | null;
  enhanced_code: string | null;
  diagnostic: string | null;
  at: Date;
}

/** What was not accepted at first try, oldest first. */
export function attemptsOf(
  db: Queryable,
  workspaceId: string,
  key: { sourceId: string; deliveryId: string },
): Promise<AttemptRow[]> {
  return many<AttemptRow & Record<string, unknown>>(
    db,
    sql`SELECT attempt, outcome, smtp_code, enhanced_code, diagnostic, at FROM delivery_attempts
        WHERE workspace_id = ${workspaceId} AND source_id = ${key.sourceId} AND delivery_id = ${key.deliveryId} ORDER BY at`,
  );
}
