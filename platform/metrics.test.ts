import { Counter, Registry } from 'prom-client';
import { metricsRegistry, type OperationsServer, serveOperations } from './metrics';

describe('serveOperations', () => {
  let ready: () => Promise<boolean> = async () => true;
  let operations: OperationsServer;
  beforeAll(async () => {
    const registry = new Registry();
    new Counter({ name: 'things_total', help: 'Things', registers: [registry] }).inc(3);
    operations = await serveOperations({ port: 0, registry, ready: () => ready() });
  });
  afterAll(() => operations.close());
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${operations.port}${path}`);
    return { status: response.status, text: await response.text() };
  };

  test('answers probes and metrics, and nothing else', async () => {
    expect(await get('/healthz')).toEqual({ status: 200, text: 'ok\n' });
    expect(await get('/readyz')).toEqual({ status: 200, text: 'ready\n' });
    const metrics = await get('/metrics?now');
    expect(metrics.status).toBe(200);
    expect(metrics.text).toContain('things_total 3');
    expect((await get('/other')).status).toBe(404);
  });

  test('is not ready where readiness says so or fails, and lives all the same', async () => {
    for (const answer of [async () => false, () => Promise.reject(new Error('no'))]) {
      ready = answer;
      expect(await get('/readyz')).toEqual({ status: 503, text: 'not ready\n' });
      expect((await get('/healthz')).status).toBe(200);
    }
  });
});

test('metrics have the names, kinds and labels of spec 001', async () => {
  const text = await metricsRegistry.metrics();
  expect(text).toContain('# TYPE campaign_delivery_duration_seconds histogram');
  expect(text).toContain('# TYPE marketing_events_ingested_total counter');
});
