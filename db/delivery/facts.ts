import type { SendWindow } from '../../domain/campaigns';
import type {
  AddressStatus,
  ConsentStatus,
  Facts,
  Frequency,
  MessageClass,
  SourceType,
  StreamState,
} from '../../domain/delivery';
import { canonicalTimeZone } from '../../domain/shared/zones';
import type { FrequencyRow } from './frequency';

/**
 * The columns and joins that turn rows named `row` into facts. One text for the claim (locked rows) and for
 * explanations (a real or hypothetical row), so that both decide by the same facts (design, section 4 "Verdicts").
 * The query around it provides `row` with the columns of `FactsRowInput`.
 */
export const FACTS_COLUMNS = `
  row.class AS message_class, row.source_type,
  s.state AS stream_state, s.send_window,
  least(row.expires_at, s.expires_at) AS expires_at,
  CASE WHEN row.source_type NOT IN ('CAMPAIGN', 'SEQUENCE') THEN 'not-needed'
       WHEN m.approval = 'APPROVED' AND (r.sha256 IS NULL OR r.sha256 = m.sha256) THEN 'valid'
       ELSE 'void' END AS approval,
  CASE WHEN row.source_type = 'OPT_IN' THEN coalesce(q.status = 'OPEN', false)
       WHEN row.source_type = 'SEQUENCE' THEN EXISTS (
         SELECT 1 FROM sequence_enrolments e JOIN sequences sq ON sq.workspace_id = e.workspace_id AND sq.id = e.sequence_id
         WHERE e.workspace_id = row.workspace_id AND e.id = row.source_id AND e.status = 'ACTIVE' AND NOT EXISTS (
           SELECT 1 FROM audience_members g WHERE g.workspace_id = e.workspace_id AND g.audience_id = sq.goal_audience_id
             AND g.contact_id = e.contact_id))
       ELSE true END AS source_open,
  row.slot_until,
  row.contact_id IS NOT NULL AS has_contact,
  c.erased_at IS NOT NULL AS contact_erased, c.status AS contact_status, c.version AS contact_version,
  coalesce(c.email, row.address) AS email, c.first_name, c.last_name, row.recipient_name,
  coalesce(c.email_hash, row.address_hash) AS email_hash,
  k.status AS consent,
  coalesce(p.subscribed, true) AS category_subscribed,
  CASE WHEN p.frequency <> 'IMMEDIATE' AND row.class IN ('journey', 'bulk') THEN (
    SELECT jsonb_build_object('limit', p.frequency, 'zone', coalesce(c.time_zone, w.time_zone), 'category_id', m.category_id,
      'last_ms', (SELECT extract(epoch FROM max(f.taken_at)) * 1000 FROM frequency_units f
        WHERE f.workspace_id = row.workspace_id AND f.contact_id = row.contact_id AND f.category_id = m.category_id
          AND f.delivery_id IS DISTINCT FROM row.id))
    FROM workspaces w WHERE w.id = row.workspace_id) END AS frequency,
  sa.reason AS address_suppression, sd.reason AS domain_suppression,
  CASE WHEN row.class = 'opt-in' THEN ARRAY(
    SELECT taken_at FROM opt_in_mails o WHERE o.workspace_id = row.workspace_id
      AND o.address_hash = coalesce(c.email_hash, row.address_hash)
      AND o.delivery_id IS DISTINCT FROM row.id
      AND o.taken_at > sally_now() - interval '24 hours' ORDER BY taken_at) END AS opt_in_mails`;

export const FACTS_JOINS = `
  JOIN streams s ON s.id = row.stream_id
  JOIN messages m ON m.workspace_id = row.workspace_id AND m.id = row.message_id
  LEFT JOIN campaign_runs r ON row.source_type = 'CAMPAIGN' AND r.workspace_id = row.workspace_id AND r.id = row.source_id
  LEFT JOIN opt_in_requests q ON row.source_type = 'OPT_IN' AND q.workspace_id = row.workspace_id AND q.id = row.source_id
  LEFT JOIN contacts c ON c.workspace_id = row.workspace_id AND c.id = row.contact_id
  LEFT JOIN consents k ON k.workspace_id = row.workspace_id AND k.contact_id = row.contact_id
    AND k.channel = row.channel AND k.purpose_id = m.purpose_id
  LEFT JOIN category_preferences p ON p.workspace_id = row.workspace_id AND p.contact_id = row.contact_id
    AND p.category_id = m.category_id
  LEFT JOIN suppressions sa ON sa.workspace_id = row.workspace_id
    AND sa.address_hash = coalesce(c.email_hash, row.address_hash) AND sa.state = 'ACTIVE'
  LEFT JOIN suppressions sd ON sd.workspace_id = row.workspace_id
    AND sd.domain = split_part(coalesce(c.email, row.address), '@', -1) AND sd.state = 'ACTIVE'`;

/** One row of a query made with FACTS_COLUMNS. */
export interface FactsRow {
  message_class: MessageClass;
  source_type: SourceType;
  stream_state: StreamState;
  send_window: SendWindow | null;
  expires_at: Date | null;
  approval: Facts['approval'];
  source_open: boolean;
  has_contact: boolean;
  contact_erased: boolean;
  contact_status: AddressStatus | null;
  contact_version: number | null;
  email: string | null;
  first_name: string | null;
  last_name: string | null;
  recipient_name: string | null;
  email_hash: Buffer | null;
  consent: ConsentStatus | null;
  category_subscribed: boolean;
  frequency: FrequencyRow | null;
  address_suppression: 'BOUNCE' | 'COMPLAINT' | 'MANUAL' | null;
  domain_suppression: 'BOUNCE' | 'COMPLAINT' | 'MANUAL' | null;
  slot_until: Date | null;
  opt_in_mails: Date[] | null;
}

/** A limit in the words of the rules. A zone that the runtime does not know counts as UTC. */
export function toFrequency({ limit, zone, last_ms }: FrequencyRow): Frequency {
  return { limit, zone: canonicalTimeZone(zone) ?? 'UTC', lastAt: last_ms === null ? null : new Date(last_ms) };
}

/** The facts in the words of the rules. */
export function toFacts(row: FactsRow): Facts {
  return {
    messageClass: row.message_class,
    source: { stream: row.stream_state, window: row.send_window, open: row.source_open },
    expiresAt: row.expires_at,
    approval: row.approval,
    // A contact that cannot be found any more counts as erased: nothing may be sent to it.
    contact: row.has_contact
      ? { erased: row.contact_erased || row.contact_status === null, status: row.contact_status ?? 'ACTIVE' }
      : null,
    suppression: row.address_suppression
      ? { scope: 'address', reason: row.address_suppression }
      : row.domain_suppression
        ? { scope: 'domain', reason: row.domain_suppression }
        : null,
    consent: row.consent,
    categorySubscribed: row.category_subscribed,
    frequency: row.frequency && toFrequency(row.frequency),
    slotUntil: row.slot_until,
    optInMails: row.opt_in_mails ?? [],
  };
}
