import type { SendWindow } from '../../domain/campaigns';
import type { DrainShare, MessageClass, SourceType } from '../../domain/delivery';
import { many, type Queryable, sql } from '../../platform/postgres';

/** An active stream of a lane; small enough to be read at every look. */
export interface ActiveStream {
  id: string;
  source_type: SourceType;
  /** The campaign run: names the partition. Null for streams whose rows have sources of their own. */
  run_id: string | null;
  priority: number;
  send_window: SendWindow | null;
  /** The rules' clock at the read. */
  now: Date;
}

/** The streams of a lane that may send now, most urgent first. */
export function activeStreams(db: Queryable, laneId: string): Promise<ActiveStream[]> {
  return many<ActiveStream>(
    db,
    sql`SELECT s.id, s.source_type, r.id AS run_id, s.priority, s.send_window, sally_now() AS now
        FROM streams s LEFT JOIN campaign_runs r ON r.stream_id = s.id
        WHERE s.lane_id = ${laneId} AND s.state = 'ACTIVE' AND NOT s.idle
        ORDER BY s.priority, s.id`,
  );
}

/** Where to look for due rows: one mailbox-provider group of one stream. */
export interface ReadAheadPair {
  streamId: string;
  runId: string | null;
  sourceType: SourceType;
  mxGroup: string;
  limit: number;
  /** Rows due before this were seen in this drain; skips index entries of rows that have left the queue. */
  from: Date | null;
}

/** A due row with what rendering needs; not locked, so nothing here decides anything. */
export interface DueRow {
  workspace_id: string;
  source_type: SourceType;
  source_id: string;
  id: string;
  stream_id: string;
  mx_group: string;
  message_id: string;
  contact_id: string | null;
  class: MessageClass;
  attempts: number;
  max_attempts: number;
  data_drops: number;
  not_before: Date;
  expires_at: Date | null;
  context: Record<string, unknown> | null;
  address: string | null;
  recipient_name: string | null;
  contact_version: number | null;
  email: string | null;
  first_name: string | null;
  last_name: string | null;
  locale: string | null;
  time_zone: string | null;
  tags: string[] | null;
  fields: Record<string, unknown> | null;
  /** Of a sequence's row: the mailbox that it was planned for. Null: it is gone. */
  mailbox?: { id: string; email: string; name: string; reply_to: string | null; provider_id: string } | null;
  /** Message-IDs of the mails that came before in the thread, oldest first. */
  thread?: string[];
}

const SOURCE_FILTER = {
  run: 'd.source_id = p.run_id',
  any: "d.source_id >= sally_uuid_v7_floor(sally_now() - interval '60 days')",
  // An enrolment may wait for months.
  enrolment: 'true',
};

// Where the provider replaced the Message-ID, replies refer to the one that was finally used. Rows that Amazon SES took
// before that was stored: it makes one of the id that it answers with and its region.
const MAILBOX_COLUMNS = `,
      (SELECT jsonb_build_object('id', b.id, 'email', b.email, 'name', b.display_name, 'reply_to', b.reply_to, 'provider_id', b.provider_id)
       FROM mailboxes b WHERE b.workspace_id = d.workspace_id AND b.id = d.mailbox_id) AS mailbox,
      ARRAY(SELECT coalesce(btrim(e.rfc_message_id, '<>'),
          CASE WHEN p.provider_type = 'SES' THEN e.provider_message_id || '@'
            || CASE p.settings->>'region' WHEN 'us-east-1' THEN 'email' ELSE p.settings->>'region' END || '.amazonses.com' END,
          replace(e.source_id::text, '-', '') || '.' || replace(e.id::text, '-', '') || '@' || w.message_domain)
        FROM deliveries e JOIN workspaces w ON w.id = e.workspace_id
        LEFT JOIN routes r ON r.id = e.route_id
        LEFT JOIN providers p ON p.workspace_id = e.workspace_id AND p.id = r.provider_id
        WHERE e.source_id = d.source_id AND e.status = 'SENT' ORDER BY e.sent_at) AS thread`;

function readAheadText(source: keyof typeof SOURCE_FILTER, parted: boolean): string {
  return `
    SELECT d.workspace_id, d.source_type, d.source_id, d.id, d.stream_id, d.mx_group, d.message_id, d.contact_id, d.class,
      d.attempts, d.max_attempts, d.data_drops, d.not_before, d.expires_at, d.context, d.address, d.recipient_name,
      c.version AS contact_version, c.email, c.first_name, c.last_name, c.locale, c.time_zone, c.tags, c.fields
      ${source === 'enrolment' ? MAILBOX_COLUMNS : ''}
    FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::int[], $6::timestamptz[]) AS p (stream_id, run_id, mx_group, rows, after)
    CROSS JOIN LATERAL (
      SELECT * FROM deliveries d
      WHERE d.lane_id = $1 AND d.stream_id = p.stream_id AND d.mx_group = p.mx_group AND d.status = 'QUEUED'
        AND d.not_before <= sally_now() AND d.not_before >= p.after AND ${SOURCE_FILTER[source]}
        ${parted ? 'AND (uuid_hash(d.id) & 2147483647) % $7 = $8' : ''}
      ORDER BY d.not_before LIMIT p.rows
    ) AS d
    LEFT JOIN contacts c ON c.workspace_id = d.workspace_id AND c.id = d.contact_id`;
}

function sourceOf(pair: ReadAheadPair): keyof typeof SOURCE_FILTER {
  if (pair.runId !== null) return 'run';
  return pair.sourceType === 'SEQUENCE' ? 'enrolment' : 'any';
}

/** Reads due rows without locks, a fair share of every pair. */
export async function readAhead(
  db: Queryable,
  laneId: string,
  pairs: ReadAheadPair[],
  share: DrainShare,
): Promise<DueRow[]> {
  const found: DueRow[] = [];
  for (const source of ['run', 'any', 'enrolment'] as const) {
    const chosen = pairs.filter((pair) => sourceOf(pair) === source);
    if (chosen.length === 0) continue;
    const parted = share.of > 1;
    const { rows } = await db.query<DueRow>({
      name: `read-ahead-${source}-${parted ? 'part' : 'all'}`,
      text: readAheadText(source, parted),
      values: [
        laneId,
        chosen.map((pair) => pair.streamId),
        chosen.map((pair) => pair.runId),
        chosen.map((pair) => pair.mxGroup),
        chosen.map((pair) => pair.limit),
        chosen.map((pair) => pair.from ?? '-infinity'),
        ...(parted ? [share.of, share.part] : []),
      ],
    });
    found.push(...rows);
  }
  return found;
}

/** When a lane needs attention again, and whether any row waits at all. */
export async function laneOutlook(
  db: Queryable,
  laneId: string,
): Promise<{ queued: boolean; dueRows: number; nextDueInMs: number | null }> {
  const [row] = await many<{ queued: boolean; due_rows: number; next_due_in_ms: number | null }>(
    db,
    sql`SELECT EXISTS (SELECT 1 FROM deliveries WHERE lane_id = ${laneId} AND status = 'QUEUED') AS queued,
          (SELECT count(*) FROM (SELECT 1 FROM deliveries d JOIN streams s ON s.id = d.stream_id AND s.state = 'ACTIVE'
             WHERE d.lane_id = ${laneId} AND d.status = 'QUEUED' AND d.not_before <= sally_now() LIMIT 2001) AS due) AS due_rows,
          (SELECT greatest(0, extract(epoch FROM min(next.not_before) - sally_now()) * 1000)::float8
           FROM streams s CROSS JOIN LATERAL (
             SELECT min(d.not_before) AS not_before FROM deliveries d
             WHERE d.lane_id = s.lane_id AND d.stream_id = s.id AND d.status = 'QUEUED') AS next
           WHERE s.lane_id = ${laneId} AND s.state = 'ACTIVE' AND NOT s.idle) AS next_due_in_ms`,
  );
  if (!row) throw new Error('the lane outlook gave no row');
  return { queued: row.queued, dueRows: row.due_rows, nextDueInMs: row.next_due_in_ms };
}
