import { Client } from 'pg';
import { z } from 'zod';
import { sleep } from '../support/until';

const STATUSES = ['QUEUED', 'SENDING', 'SENT', 'FAILED', 'UNCONFIRMED', 'CANCELLED'] as const;

/** Rows and counters of every campaign run in ONE snapshot: a single statement. */
const SNAPSHOT = `
  WITH ledger AS (
    SELECT source_id, count(*)::int AS total,
      ${STATUSES.map((status) => `(count(*) FILTER (WHERE status = '${status}'))::int AS ${status.toLowerCase()}`).join(', ')}
    FROM deliveries WHERE source_type = 'CAMPAIGN' GROUP BY source_id),
  counters AS (
    SELECT stream_id, sum(materialised)::int AS total,
      ${STATUSES.map((status) => `sum(${status.toLowerCase()})::int AS ${status.toLowerCase()}`).join(', ')}
    FROM run_counters GROUP BY stream_id)
  SELECT r.id, r.phase, r.audience_size::int AS audience,
    ${['total', ...STATUSES.map((status) => status.toLowerCase())]
      .map((name) => `coalesce(l.${name}, 0) AS rows_${name}, coalesce(c.${name}, 0) AS counted_${name}`)
      .join(', ')}
  FROM campaign_runs r LEFT JOIN ledger l ON l.source_id = r.id LEFT JOIN counters c ON c.stream_id = r.stream_id`;

const snapshotSchema = z.array(z.record(z.string(), z.union([z.string(), z.number(), z.null()])));

export interface ConservationReport {
  polls: number;
  /** Snapshots in which something did not add up. */
  imbalances: string[];
}

/**
 * Looks every 50 ms from a connection of its own whether the ledger adds up: rows by status sum to the number that was
 * materialised, and the run counters say the same as the rows. Polls that Postgres did not answer are not counted.
 */
export class Conservation {
  private client: Client | null = null;
  private running = true;
  private readonly report: ConservationReport = { polls: 0, imbalances: [] };
  private readonly loop: Promise<void>;

  constructor(private readonly url: string) {
    this.loop = this.run();
  }

  /** Ends the polling. */
  async stop(): Promise<ConservationReport> {
    this.running = false;
    await this.loop;
    await this.client?.end().catch(() => undefined);
    this.client = null;
    return this.report;
  }

  private async run(): Promise<void> {
    while (this.running) {
      const began = performance.now();
      try {
        await this.poll();
      } catch {
        this.client?.end().catch(() => undefined);
        this.client = null;
      }
      await sleep(Math.max(0, 50 - (performance.now() - began)));
    }
  }

  private async poll(): Promise<void> {
    if (!this.client) {
      const client = new Client({
        connectionString: this.url,
        connectionTimeoutMillis: 2_000,
        query_timeout: 10_000,
        application_name: 'conservation',
      });
      client.on('error', () => undefined);
      await client.connect();
      this.client = client;
    }
    const { rows } = await this.client.query(SNAPSHOT);
    this.report.polls += 1;
    for (const row of snapshotSchema.parse(rows)) {
      const wrong = ['total', ...STATUSES.map((status) => status.toLowerCase())].filter(
        (name) => row[`rows_${name}`] !== row[`counted_${name}`],
      );
      const sum = STATUSES.reduce((total, status) => total + Number(row[`rows_${status.toLowerCase()}`]), 0);
      const incomplete = row.phase === 'MATERIALISED' && row.audience !== row.rows_total;
      if (wrong.length > 0 || incomplete || sum !== row.rows_total) this.report.imbalances.push(JSON.stringify(row));
    }
  }
}
