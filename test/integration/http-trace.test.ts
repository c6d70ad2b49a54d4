import { sendRequest, startTestApi, type TestApi } from '../support/api';
import { exampleWorld } from '../support/examples';
import { type OtlpSink, startOtlpSink } from '../support/otlp-sink';
import { ScriptedSmtpServer } from '../support/scripted-smtp-server';
import { spawnApi, spawnWorker, stopTestProcesses } from '../support/stack';
import { exampleOf, sendExample, workspaceOperations } from '../support/walk';

let sink: OtlpSink;
let api: TestApi;
/** The same API as a process of its own, which traces. */
let traced: TestApi;
let smtp: ScriptedSmtpServer;
beforeAll(async () => {
  sink = await startOtlpSink();
  api = await startTestApi({ databaseName: 'http-trace' });
  smtp = await ScriptedSmtpServer.start();
  const env = {
    ...api.environment,
    OTEL_EXPORTER_OTLP_ENDPOINT: sink.endpoint,
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=off`,
  };
  const [{ url }] = await Promise.all([
    spawnApi({ env }),
    spawnWorker({ role: 'control', env }),
    spawnWorker({ role: 'delivery', env }),
  ]);
  traced = { ...api, url, request: (method, path, request) => sendRequest(url, method, path, request) };
});
afterAll(async () => {
  await stopTestProcesses();
  await api.close();
  await sink.close();
  await smtp.stop();
});

test('one trace runs from the caller through HTTP and the workflow into its activity', async () => {
  const world = await exampleWorld(api);
  const route = workspaceOperations.find(({ operationId }) => operationId === 'testProvider');
  if (!route) throw new Error('testProvider is gone; take another operation that starts a workflow');
  const example = await exampleOf(route, world);
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
  const caller = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
  const response = await sendExample(traced, route, world, { ...example, headers: caller });
  expect(response.status).toBe(202);

  const ours = () => sink.spans.filter((span) => span.traceId === traceId);
  const activity = await sink.waitFor(
    () => ours().find((span) => span.service === 'sally-worker-control'),
    'activity of the trace',
  );
  const http = await sink.waitFor(() => ours().find((span) => span.service === 'sally-api'), 'request of the trace');
  expect(http).toMatchObject({ name: `POST ${route.path}`, parentSpanId: '00f067aa0ba902b7' });
  expect(http.attributes).toMatchObject({ 'http.response.status_code': 202, 'http.route': route.path });
  expect(activity).toMatchObject({ parentSpanId: http.spanId, name: expect.stringMatching(/^activity \w+$/) });
  expect(activity.attributes).toMatchObject({ 'temporal.workflow.id': response.body.workflow.workflow_id });
});

test('the trace of a message goes on to its delivery, with the spans of the specification', async () => {
  const world = await exampleWorld(api);
  const route = workspaceOperations.find(({ operationId }) => operationId === 'sendTransactionalMessage');
  if (!route) throw new Error('sendTransactionalMessage is gone');
  const example = await exampleOf(route, world);
  const traceId = '7af92f3577b34da6a3ce929d0e0e4736';
  const response = await sendExample(traced, route, world, {
    ...example,
    headers: { traceparent: `00-${traceId}-00f067aa0ba902b7-01` },
  });
  expect(response.status).toBe(202);

  const send = await sink.waitFor(
    (spans) => spans.find((span) => span.traceId === traceId && span.name === 'send_campaign_message'),
    'delivery of the trace',
  );
  expect(send.service).toBe('sally-worker-delivery');
  for (const name of ['renderTemplate', 'checkConsent', 'deliverMessage']) {
    const child = await sink.waitFor(
      (spans) => spans.find((span) => span.name === name && span.parentSpanId === send.spanId),
      name,
    );
    expect(child.traceId).toBe(traceId);
  }
  expect(send.attributes).toMatchObject({ 'delivery.outcome': 'accepted', 'delivery.id': response.body.delivery_id });
}, 400_000);

test('a span of a failed request has no text in it', async () => {
  const email = 'somebody@people.example';
  await traced.request('POST', '/auth/sessions', { body: { email, password: 'wrong' } });
  await sink.waitFor((spans) => spans.find((span) => span.name === 'POST /auth/sessions'), 'sign-in');
  expect(sink.raw.filter((text) => text.includes('@'))).toEqual([]);
});
