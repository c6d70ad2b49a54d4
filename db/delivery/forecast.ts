import {
  capacityKey,
  type Facts,
  type ForecastBreaker,
  firstRollingHour,
  routeKey,
  type Throttle,
} from '../../domain/delivery';
import type { PermittedRouting, RouteRequest } from '../../domain/senders';
import { localDate } from '../../domain/shared/zones';
import { many, one, type Queryable, type Statement, sql } from '../../platform/postgres';
import { openBreakers } from './breakers';
import { type ExplainedCampaign, hypotheticalRows } from './explain';
import { FACTS_COLUMNS, FACTS_JOINS, type FactsRow, toFacts } from './facts';
import { loadThrottles } from './throttles';

/** What limits a workspace's senders at this moment. Times are milliseconds since 1970 on the rules' clock. */
export interface SendingState {
  now: number;
  zone: string;
  /** Units taken of limits, by `capacityKey`: of today, and of the last 24 hours. */
  used: Map<string, number>;
  /** Next free slot of paced providers. */
  nextSlotAt: Map<string, number>;
  breakers: ForecastBreaker[];
  /** By `${routeKey} ${mxGroup}`. */
  throttles: Map<string, Throttle>;
}

/** Reads the workspace's clock, limits, breakers and throttles as claims find them. */
export async function sendingState(db: Queryable, workspaceId: string): Promise<SendingState> {
  const clock = await one<{ now: Date; time_zone: string }>(
    db,
    sql`SELECT sally_now() AS now, time_zone FROM workspaces WHERE id = ${workspaceId}`,
  );
  if (!clock) throw new Error('a forecast of a workspace that does not exist');
  const now = clock.now.getTime();
  const today = localDate(clock.time_zone, clock.now);
  const units = await many<{ kind: string; resource_id: string; window_key: string; used: number }>(
    db,
    sql`SELECT kind, resource_id, window_key, used FROM capacity
        WHERE workspace_id = ${workspaceId} AND used <> 0 AND CASE WHEN kind = 'provider-hour'
          THEN window_key >= ${firstRollingHour(clock.now)} ELSE window_key = ${today} END`,
  );
  const slots = await many<{ resource_id: string; next_slot_at: Date }>(
    db,
    sql`SELECT resource_id, next_slot_at FROM rate_slots WHERE workspace_id = ${workspaceId} AND kind = 'provider-second'`,
  );
  const breakers = await openBreakers(db, workspaceId);
  return {
    now,
    zone: clock.time_zone,
    used: new Map(units.map((row) => [capacityKey(row.kind, row.resource_id, row.window_key), row.used])),
    nextSlotAt: new Map(slots.map((row) => [row.resource_id, row.next_slot_at.getTime()])),
    breakers: breakers.map(({ providerId, fromEmail, ipId, reason, probeAt }) => ({
      ...{ providerId, fromEmail, ipId, reason },
      until: Math.max(now, probeAt?.getTime() ?? now),
    })),
    throttles: await throttlesByRoute(db, workspaceId, now),
  };
}

async function throttlesByRoute(db: Queryable, workspaceId: string, now: number): Promise<Map<string, Throttle>> {
  const throttles = await loadThrottles(db, workspaceId, now);
  if (throttles.size === 0) return throttles;
  const routes = await many<{ id: string; provider_id: string; email: string; ip_id: string | null }>(
    db,
    sql`SELECT r.id, r.provider_id, i.email, r.ip_id FROM routes r
        JOIN sending_identities i ON i.workspace_id = r.workspace_id AND i.id = r.identity_id
        WHERE r.workspace_id = ${workspaceId}`,
  );
  const keys = new Map(routes.map((row) => [row.id, routeKey(row.provider_id, row.email, row.ip_id)]));
  return new Map(
    [...throttles].map(([key, throttle]) => {
      const [routeId = '', mxGroup = ''] = key.split(' ');
      return [`${keys.get(routeId) ?? routeId} ${mxGroup}`, throttle];
    }),
  );
}

/** A message of the queue, or of a campaign that has none yet, with what decides when it goes. */
export interface QueuedMessage {
  deliveryId: string;
  mxGroup: string;
  /** By the domain's MX records, where they have been looked up. */
  routingGroup: string;
  facts: Facts;
}

/** A message of the queue; in a sample one of many. */
export interface WaitingMessage extends QueuedMessage {
  streamId: string;
  laneId: string;
  notBefore: Date;
  request: RouteRequest;
  /** Messages it stands for. */
  weight: number;
}

const raw = (text: string): Statement => ({ text, values: [] });

/** Look-ups of MX records hold for a day, as for claims. */
const ROUTING_GROUP = `CASE WHEN row.mx_group <> 'other' THEN row.mx_group ELSE coalesce((
    SELECT x.mx_group FROM mx_lookups x WHERE x.domain = split_part(coalesce(c.email, row.address), '@', -1)
      AND x.looked_up_at > sally_now() - interval '24 hours'), 'other') END AS routing_group`;

interface WaitingRow extends FactsRow, Record<string, unknown> {
  id: string;
  stream_id: string;
  lane_id: string;
  mx_group: string;
  routing_group: string;
  not_before: Date;
  from_email: string;
  routing: PermittedRouting | null;
  mailbox_email: string | null;
  mailbox_provider: string | null;
  pair_size: number;
}

/**
 * What waits on all active streams of a workspace and on the stream `own`, whatever its state. Of pairs of stream and
 * mailbox-provider group that are too many a sample by hash; `most.own` and `most.others` rows at most, about.
 */
export async function waitingMessages(
  db: Queryable,
  workspaceId: string,
  own: string | null,
  most: { own: number; others: number },
): Promise<WaitingMessage[]> {
  const rows = await many<WaitingRow>(
    db,
    sql`
    WITH pairs AS MATERIALIZED (
      SELECT s.lane_id, s.id AS stream_id, d.mx_group, count(*) AS pair_size, s.id IS NOT DISTINCT FROM ${own}::uuid AS is_own
      FROM streams s JOIN deliveries d ON d.lane_id = s.lane_id AND d.stream_id = s.id AND d.status = 'QUEUED'
      WHERE s.workspace_id = ${workspaceId} AND NOT s.idle AND (s.state = 'ACTIVE' OR s.id = ${own}::uuid)
      GROUP BY 1, 2, 3),
    shares AS (
      SELECT *, ceil(pair_size::numeric / greatest(20,
        CASE WHEN is_own THEN ${most.own}::int ELSE ${most.others}::int END / count(*) OVER (PARTITION BY is_own)))::int AS one_of
      FROM pairs),
    row AS MATERIALIZED (
      SELECT picked.*, shares.pair_size FROM shares CROSS JOIN LATERAL (
        SELECT d.workspace_id, d.source_type, d.source_id, d.id, d.contact_id, d.address, d.recipient_name, d.address_hash,
          d.message_id, d.lane_id, d.stream_id, d.channel, d.class, d.expires_at, d.slot_until, d.mx_group, d.not_before,
          d.mailbox_id
        FROM deliveries d
        WHERE d.lane_id = shares.lane_id AND d.stream_id = shares.stream_id AND d.mx_group = shares.mx_group
          AND d.status = 'QUEUED' AND (shares.one_of = 1 OR (uuid_hash(d.id) & 2147483647) % shares.one_of = 0)) AS picked)
    SELECT row.id, row.stream_id, row.lane_id, row.mx_group, row.not_before, row.pair_size, ${raw(ROUTING_GROUP)},
      m.from_email, m.routing, b.email AS mailbox_email, b.provider_id AS mailbox_provider, ${raw(FACTS_COLUMNS)}
    FROM row ${raw(FACTS_JOINS)}
    LEFT JOIN mailboxes b ON b.workspace_id = row.workspace_id AND b.id = row.mailbox_id
    ORDER BY row.not_before, row.id`,
  );
  const found = new Map<string, number>();
  const pairOf = (row: WaitingRow) => `${row.stream_id} ${row.mx_group}`;
  for (const row of rows) found.set(pairOf(row), (found.get(pairOf(row)) ?? 0) + 1);
  return rows.map((row) => ({
    deliveryId: row.id,
    mxGroup: row.mx_group,
    routingGroup: row.routing_group,
    facts: toFacts(row),
    streamId: row.stream_id,
    laneId: row.lane_id,
    notBefore: row.not_before,
    request: {
      fromEmail: row.mailbox_email ?? row.from_email,
      fixedProviderId: row.mailbox_provider,
      routing: row.routing,
    },
    weight: row.pair_size / (found.get(pairOf(row)) ?? 1),
  }));
}

/** The messages that a campaign would make of these contacts, in their order. */
export async function hypotheticalMessages(
  db: Queryable,
  of: Omit<ExplainedCampaign, 'contactId'>,
  contactIds: readonly string[],
): Promise<QueuedMessage[]> {
  const rows = await many<
    FactsRow & Record<string, unknown> & { contact_id: string; mx_group: string; routing_group: string }
  >(
    db,
    sql`
    WITH ${hypotheticalRows(of, sql`contact.id = ANY (${contactIds}::uuid[])`)},
    found AS MATERIALIZED (
      SELECT row.*, coalesce(d.mx_group, 'other') AS mx_group
      FROM row JOIN contacts o ON o.workspace_id = row.workspace_id AND o.id = row.contact_id
      LEFT JOIN mail_domains d ON d.domain = o.email_domain)
    SELECT row.contact_id, row.mx_group, ${raw(ROUTING_GROUP)}, ${raw(FACTS_COLUMNS)}
    FROM found AS row ${raw(FACTS_JOINS)}
    ORDER BY row.contact_id`,
  );
  return rows.map((row) => ({
    // Its id is random, and not known yet: any other deals routes out as well.
    deliveryId: row.contact_id,
    mxGroup: row.mx_group,
    routingGroup: row.routing_group,
    facts: toFacts(row),
  }));
}
