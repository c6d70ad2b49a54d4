import { many, type Queryable, sql } from '../../platform/postgres';

/** Counts of a campaign's newest run, as the spec names them. */
export interface CampaignStats {
  run_id: string;
  total_recipients: number;
  pending: number;
  sent: number;
  failed: number;
  unconfirmed: number;
  cancelled: number;
  opens: number;
  unique_opens: number;
  clicks: number;
  unique_clicks: number;
  unsubscribes: number;
}

/** Stats of several runs at once; opens and clicks of machines are left out. */
export function runStats(db: Queryable, runs: { runId: string; streamId: string }[]): Promise<CampaignStats[]> {
  return many<CampaignStats>(
    db,
    sql`SELECT run.id AS run_id, c.total_recipients, c.pending, c.sent, c.failed, c.unconfirmed, c.cancelled,
          e.opens, e.unique_opens, e.clicks, e.unique_clicks, e.unsubscribes
        FROM unnest(${runs.map((run) => run.runId)}::uuid[], ${runs.map((run) => run.streamId)}::uuid[]) AS run (id, stream_id)
        CROSS JOIN LATERAL (
          SELECT coalesce(sum(materialised), 0)::bigint AS total_recipients,
            coalesce(sum(queued + sending), 0)::bigint AS pending, coalesce(sum(sent), 0)::bigint AS sent,
            coalesce(sum(failed), 0)::bigint AS failed, coalesce(sum(unconfirmed), 0)::bigint AS unconfirmed,
            coalesce(sum(cancelled), 0)::bigint AS cancelled
          FROM run_counters WHERE stream_id = run.stream_id) AS c
        CROSS JOIN LATERAL (
          SELECT count(*) FILTER (WHERE kind = 'OPEN' AND actor <> 'machine') AS opens,
            count(DISTINCT delivery_id) FILTER (WHERE kind = 'OPEN' AND actor <> 'machine') AS unique_opens,
            count(*) FILTER (WHERE kind = 'CLICK' AND actor <> 'machine') AS clicks,
            count(DISTINCT delivery_id) FILTER (WHERE kind = 'CLICK' AND actor <> 'machine') AS unique_clicks,
            count(DISTINCT delivery_id) FILTER (WHERE kind = 'UNSUBSCRIBE') AS unsubscribes
          FROM engagements WHERE source_id = run.id) AS e`,
  );
}
