import { createServer, type Server } from 'node:http';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** Everything that this process measures; served as /metrics. No label ever holds an address or a name. */
export const metricsRegistry = new Registry();
const registers = [metricsRegistry];

/** Seconds from a campaign run's start to its end (spec 001, "Key Metrics"); observed when a run closes. */
export const campaignDeliveryDuration = new Histogram({
  name: 'campaign_delivery_duration_seconds',
  help: 'Time to deliver campaign messages',
  labelNames: ['campaign_id', 'channel'],
  buckets: [1, 5, 15, 60, 300, 900, 3_600, 14_400, 43_200, 86_400],
  registers,
});

/** Events appended to the event store (spec 001, "Key Metrics"). */
export const marketingEventsIngested = new Counter({
  name: 'marketing_events_ingested_total',
  help: 'Total marketing events processed',
  labelNames: ['event_type'],
  registers,
});

/** Seconds from a request's arrival to its answer, by operation of the OpenAPI document. */
export const httpRequestDuration = new Histogram({
  name: 'sally_http_request_duration_seconds',
  help: 'Time to answer HTTP requests',
  labelNames: ['operation', 'method', 'status'],
  buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  registers,
});

/** Outcomes of sending, by class (opt-in, transactional, bulk, test) and outcome (SENT, FAILED, QUEUED, UNCONFIRMED). */
export const deliveriesTotal = new Counter({
  name: 'sally_deliveries_total',
  help: 'Settled delivery attempts',
  labelNames: ['class', 'outcome'],
  registers,
});

/** Rows of a lane kind that are QUEUED. */
export const laneDepth = new Gauge({
  name: 'sally_lane_depth',
  help: 'Messages waiting on a lane',
  labelNames: ['lane'],
  registers,
});

/** Age in seconds of the oldest row of a lane kind that is due; 0 when nothing is due. */
export const oldestDue = new Gauge({
  name: 'sally_oldest_due_seconds',
  help: 'Age of the oldest message that is due',
  labelNames: ['lane'],
  registers,
});

/** 0 closed, 1 half open, 2 open; by provider and, for the breaker of a sender or an IP at it, identity or dedicated IP. */
export const breakerState = new Gauge({
  name: 'sally_breaker_state',
  help: 'Circuit breaker of a provider, or of a sender or dedicated IP at it: 0 closed, 1 half open, 2 open',
  labelNames: ['provider_id', 'identity_id', 'dedicated_ip_id'],
  registers,
});

/** A mailbox's local day: its quota, what is planned, and what was begun by outcome. */
export const mailboxMails = new Gauge({
  name: 'sally_mailbox_mails',
  help: 'Mails of a mailbox on its local day: quota, planned, sent, failed, unconfirmed',
  labelNames: ['mailbox_id', 'state'],
  registers,
});

/** Seconds for which the oldest open transaction has been known to hold back consumers of events: they read below it. */
export const horizonLag = new Gauge({
  name: 'sally_horizon_lag_seconds',
  help: 'Time for which one open transaction has held back the reading of events',
  registers,
});

export interface OperationsServer {
  server: Server;
  /** The port it listens on, also when 0 was asked for. */
  port: number;
  close(): Promise<void>;
}

/**
 * The small server of a worker: /healthz (the process lives), /readyz (`ready` resolves to true), /metrics.
 * `host` defaults to loopback.
 */
export async function serveOperations(options: {
  port: number;
  host?: string;
  registry?: Registry;
  ready: () => Promise<boolean>;
}): Promise<OperationsServer> {
  const registry = options.registry ?? metricsRegistry;
  const server = createServer((request, response) => {
    const answer = async (): Promise<{ status: number; type: string; text: string }> => {
      switch (request.url?.split('?')[0]) {
        case '/healthz':
          return { status: 200, type: 'text/plain', text: 'ok\n' };
        case '/readyz': {
          const ready = await options.ready();
          return { status: ready ? 200 : 503, type: 'text/plain', text: ready ? 'ready\n' : 'not ready\n' };
        }
        case '/metrics':
          return { status: 200, type: registry.contentType, text: await registry.metrics() };
        default:
          return { status: 404, type: 'text/plain', text: 'Here are /healthz, /readyz and /metrics.\n' };
      }
    };
    answer()
      .catch(() => ({ status: 503, type: 'text/plain', text: 'not ready\n' }))
      .then(({ status, type, text }) => response.writeHead(status, { 'Content-Type': type }).end(text));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host ?? '127.0.0.1', resolve);
  });
  const address = server.address();
  return {
    server,
    port: typeof address === 'object' && address ? address.port : options.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
