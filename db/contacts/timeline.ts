import { many, type Queryable, sql } from '../../platform/postgres';

export const TIMELINE_KINDS = ['submission', 'consent', 'membership', 'message', 'engagement'] as const;
export type TimelineKind = (typeof TIMELINE_KINDS)[number];

export interface TimelineRow {
  kind: TimelineKind;
  /** Of the record behind it. */
  id: string;
  at: Date;
  /** The same with microseconds, for cursors. */
  at_text: string;
  details: Record<string, unknown>;
}

/** Where a page begins: behind this moment and id. */
export interface TimelinePlace {
  at: string;
  id: string;
}

/**
 * What happened to a contact, and to those merged into it, newest first; one more than `limit`. Each kind gives its own
 * newest by its index of the contact, and the newest of all of them are taken.
 */
export function readTimeline(
  db: Queryable,
  workspaceId: string,
  contactId: string,
  page: { kinds: readonly TimelineKind[]; before: TimelinePlace | null; limit: number },
): Promise<TimelineRow[]> {
  const most = page.limit + 1;
  const { at, id } = page.before ?? { at: null, id: null };
  const wanted = (kind: TimelineKind) => sql`${page.kinds.includes(kind)}::boolean`;
  const whose = sql`workspace_id = ${workspaceId} AND contact_id = ANY (family.ids)`;
  const earlier = sql`(${at}::timestamptz IS NULL OR (x.at, x.id) < (${at}::timestamptz, ${id}::uuid))`;
  const newest = sql`ORDER BY x.at DESC, x.id DESC LIMIT ${most}`;
  return many<TimelineRow & Record<string, unknown>>(
    db,
    sql`
    WITH family AS MATERIALIZED (
      SELECT ARRAY(SELECT f FROM sally_contact_family(${workspaceId}, ${contactId}) AS f) AS ids)
    SELECT x.kind, x.id, x.at, to_char(x.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at_text, x.details FROM (
      (SELECT x.* FROM family, LATERAL (
        SELECT 'submission' AS kind, id, created_at AS at, jsonb_build_object('origin', origin, 'origin_id', origin_id,
          'payload', payload, 'actor_id', actor_id) AS details FROM submissions WHERE ${whose}) x
       WHERE ${wanted('submission')} AND ${earlier} ${newest})
      UNION ALL
      (SELECT x.* FROM family, LATERAL (
        SELECT 'consent', e.id, e.occurred_at AS at, jsonb_build_object('purpose_id', e.purpose_id,
          'purpose', (SELECT p.key FROM purposes p WHERE p.workspace_id = e.workspace_id AND p.id = e.purpose_id),
          'channel', e.channel, 'status', e.status, 'source', e.source, 'wording_version', e.wording_version) AS details
        FROM consent_events e WHERE ${whose}) x
       WHERE ${wanted('consent')} AND ${earlier} ${newest})
      UNION ALL
      (SELECT x.* FROM family, LATERAL (
        SELECT 'membership', event_id AS id, created_at AS at, payload AS details FROM marketing_events
        WHERE ${whose} AND event_type = 'segment_membership_changed') x
       WHERE ${wanted('membership')} AND ${earlier} ${newest})
      UNION ALL
      (SELECT x.* FROM family, LATERAL (
        SELECT 'message', d.id, d.created_at AS at, jsonb_build_object('source_type', d.source_type, 'source_id', d.source_id,
          'class', d.class, 'status', d.status, 'reason', d.reason, 'sent_at', d.sent_at, 'message_id', d.message_id,
          'campaign_id', (SELECT r.campaign_id FROM campaign_runs r WHERE r.workspace_id = d.workspace_id AND r.id = d.source_id),
          'subject', (SELECT m.subject FROM messages m WHERE m.workspace_id = d.workspace_id AND m.id = d.message_id)) AS details
        FROM deliveries d WHERE ${whose}) x
       WHERE ${wanted('message')} AND ${earlier} ${newest})
      UNION ALL
      (SELECT x.* FROM family, LATERAL (
        SELECT 'engagement', e.id, e.occurred_at AS at, jsonb_build_object('kind', e.kind, 'actor', e.actor,
          'delivery_id', e.delivery_id, 'source_id', e.source_id,
          'link', (SELECT l.url FROM links l WHERE l.workspace_id = d.workspace_id AND l.message_id = d.message_id
            AND l.position = e.link_position)) AS details
        FROM (SELECT * FROM deliveries WHERE ${whose}) d
        JOIN engagements e ON e.workspace_id = d.workspace_id AND e.source_id = d.source_id AND e.delivery_id = d.id) x
       WHERE ${wanted('engagement')} AND ${earlier} ${newest})) x
    ORDER BY x.at DESC, x.id DESC LIMIT ${most}`,
  );
}
