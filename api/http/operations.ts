import type { Express } from 'express';
import { metricsRegistry } from '../../platform/metrics';
import type { ApiDependencies } from '../dependencies';
import { DOCS_SCRIPT, DOCS_STYLE } from './docs/assets';
import { docsPage } from './docs/page';
import { openApiDocument } from './openapi';
import type { AnyRoute } from './route';

const PROBE_MS = 2_000;

/** Resolves to whether `work` succeeds in time. */
async function succeeds(work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), PROBE_MS);
  });
  const done = work.then(
    () => true,
    () => false,
  );
  const result = await Promise.race([done, late]);
  clearTimeout(timer);
  return result;
}

/**
 * What is not an operation of the API: probes, metrics and its own documents.
 *
 * /readyz asks Postgres alone, for without Temporal the API still answers and takes effect (design, section 7);
 * Temporal's state is told beside it.
 */
export function mountOperations(app: Express, deps: ApiDependencies, routes: AnyRoute[]): void {
  app.get('/healthz', (_request, response) => {
    response.json({ status: 'ok' });
  });
  app.get('/readyz', async (_request, response) => {
    const [postgres, temporal] = await Promise.all([
      succeeds(deps.db.query('SELECT 1')),
      succeeds(deps.temporal.connection.ensureConnected()),
    ]);
    response.status(postgres ? 200 : 503).json({
      status: postgres ? 'ready' : 'not ready',
      postgres: postgres ? 'up' : 'down',
      temporal: temporal ? 'up' : 'down',
    });
  });
  app.get('/metrics', async (_request, response) => {
    response.type(metricsRegistry.contentType).send(await metricsRegistry.metrics());
  });

  const document = openApiDocument(routes, deps.config.PUBLIC_URL);
  const page = docsPage(document);
  app.get('/openapi.json', (_request, response) => {
    response.json(document);
  });
  app.get('/docs', (_request, response) => {
    response.type('html').send(page);
  });
  app.get('/docs/style.css', (_request, response) => {
    response.type('css').send(DOCS_STYLE);
  });
  app.get('/docs/filter.js', (_request, response) => {
    response.type('js').send(DOCS_SCRIPT);
  });
}
