import { createServer as createHttpServer, type Server } from 'node:http';
import type { ApiDependencies } from './api/dependencies';
import { createApplication } from './api/http/application';
import { mountOperations } from './api/http/operations';
import { routes } from './api/routes';
import { createTracking } from './api/tracking';
import { createContentSandbox } from './domain/content';
import { type Configuration, ConfigurationError, readConfiguration } from './platform/config';
import { AddressHasher, Keyring } from './platform/crypto';
import { createLogger, type Logger } from './platform/log';
import { Database } from './platform/postgres';
import { createTemporalClient } from './platform/temporal';
import { startTracing } from './platform/tracing';

/** Longest wait for requests that are being answered when the process is asked to stop. */
const DRAIN_MS = 10_000;

/** The API over HTTP: every route, probes, metrics and documents. Listening and closing are the caller's. */
export function createServer(deps: ApiDependencies): Server {
  const app = createApplication(deps, routes, (pages) => mountOperations(pages, deps, routes));
  return createHttpServer((request, response) => {
    if (!deps.tracking.handle(request, response)) app(request, response);
  });
}

/** Makes what the handlers need. Nothing is connected yet: both clients connect at their first use. */
export function createDependencies(
  config: Configuration,
  log: Logger,
): { deps: ApiDependencies; close(): Promise<void> } {
  if (!config.DATABASE_URL_API) {
    throw new ConfigurationError('DATABASE_URL_API is not set: the API connects as sally_api (docs/configuration.md).');
  }
  const db = new Database({
    url: config.DATABASE_URL_API,
    applicationName: 'sally-api',
    connections: 20,
    onIdleError: (error) => log.warn({ err: error }, 'an idle database connection broke'),
  });
  const temporal = createTemporalClient({
    address: config.TEMPORAL_ADDRESS,
    namespace: config.TEMPORAL_NAMESPACE,
    fair: config.SALLY_WITHOUT !== 'engine-fairness',
  });
  const keyring = new Keyring(config.SALLY_SECRETS);
  const addressHasher = new AddressHasher(config.SALLY_SUPPRESSION_KEY);
  const contentSandbox = createContentSandbox();
  const tracking = createTracking({ config, log, db, keyring, addressHasher });
  return {
    deps: { config, log, db, temporal: temporal.client, keyring, addressHasher, contentSandbox, tracking },
    close: async () => {
      await tracking.close();
      await Promise.allSettled([db.close(), temporal.close(), contentSandbox.close()]);
    },
  };
}

/** Stops accepting, lets running requests finish for at most DRAIN_MS, then cuts what is left. */
export function stopServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
    // A connection that is kept alive after its last answer would hold the process until then.
    const sweep = setInterval(() => server.closeIdleConnections(), 50);
    server.close(() => {
      clearTimeout(timer);
      clearInterval(sweep);
      resolve();
    });
    server.closeIdleConnections();
  });
}

async function main(): Promise<void> {
  const config = readConfiguration(process.env);
  const log = createLogger({ name: 'sally-api', level: config.LOG_LEVEL });
  const tracing = startTracing({ service: 'sally-api', endpoint: config.OTEL_EXPORTER_OTLP_ENDPOINT });
  const { deps, close } = createDependencies(config, log);
  const server = createServer(deps);
  let stopping = false;
  const stop = async (reason: string, exitCode: number): Promise<void> => {
    if (stopping) return;
    stopping = true;
    log.info({ reason }, 'stopping');
    await stopServer(server);
    await close();
    await tracing.close();
    process.exit(exitCode);
  };
  process.on('SIGTERM', () => void stop('SIGTERM', 0));
  process.on('SIGINT', () => void stop('SIGINT', 0));
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'unhandled rejection'));
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'uncaught exception');
    void stop('uncaught exception', 1);
  });
  server.on('error', (error) => {
    log.fatal({ err: error }, 'cannot listen');
    process.exit(1);
  });
  server.listen(config.PORT, config.HOST, () => {
    log.info({ host: config.HOST, port: config.PORT, publicUrl: config.PUBLIC_URL }, 'API is listening');
  });
}

if (require.main === module) {
  main().catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  });
}
