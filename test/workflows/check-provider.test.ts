import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import { NativeConnection, Worker } from '@temporalio/worker';
import { FailureInterceptor } from '../../activities/runtime/failure-interceptor';
import { createSenderActivities } from '../../activities/senders';
import { CONTROL_TASK_QUEUE } from '../../domain/shared/task-queues';
import { startTestApi, type TestApi } from '../support/api';
import { API_RIGS } from '../support/provider-rigs';
import { ScriptedHttpServer } from '../support/scripted-http-server';
import { type Answer, ScriptedSmtpServer, type StepContext } from '../support/scripted-smtp-server';
import { temporalAddress, workflowBundle } from '../support/stack';

const BASE = '/workspaces/{ws}/email-infrastructure/providers';
const LOGIN = { username: 'sally@relay.example', password: 'p4ssw0rd-that-must-not-show' };

let api: TestApi;
let connection: NativeConnection;
let stopWorker: () => Promise<void>;
/** Whether the activities may connect to loopback; the API is told at its start. */
let allowPrivate = true;
let counter = 0;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'check provider', env: { ALLOW_PRIVATE_SMTP: 'true' } });
  connection = await NativeConnection.connect({ address: await temporalAddress() });
  const config = new Proxy(api.deps.config, {
    get: (target, name) => (name === 'ALLOW_PRIVATE_SMTP' ? allowPrivate : Reflect.get(target, name)),
  });
  const worker = await Worker.create({
    connection,
    namespace: api.namespace,
    taskQueue: CONTROL_TASK_QUEUE,
    workflowBundle: await workflowBundle(),
    activities: createSenderActivities({ ...api.deps, config, db: api.db }),
    interceptors: {
      activity: [(context) => ({ inbound: new FailureInterceptor(api.deps.log, context.info.activityType) })],
    },
  });
  const running = worker.run();
  stopWorker = async () => {
    worker.shutdown();
    await running;
  };
});

afterAll(async () => {
  await stopWorker();
  await connection.close();
  await api.close();
});

/** Makes a provider, runs its check to the end and reads it. */
async function checked(provider: { settings: object; credentials?: object }) {
  counter += 1;
  const body = { name: `Relay ${counter}`, provider_type: 'SMTP', ...provider };
  const made = await api.request('post', BASE, { token: api.tokens.operator, body });
  expect(made.status).toBe(201);
  const started = await api.request('post', `${BASE}/${made.body.id}/test`, { token: api.tokens.operator });
  expect(started.status).toBe(202);
  const { workflow_id, run_id, ui_url } = started.body.workflow;
  expect(workflow_id).toBe(`job/${started.body.job_id}`);
  expect(ui_url).toContain(encodeURIComponent(workflow_id));
  const handle = api.deps.temporal.workflow.getHandle(workflow_id, run_id);
  const result = await handle.result();
  const read = await api.request('get', `${BASE}/${made.body.id}`, { token: api.tokens.viewer });
  const history = decoded(await handle.fetchHistory());
  return { result, provider: read.body, text: read.text, history, jobId: started.body.job_id };
}

/** A history as text, with the base64 of its payloads opened. */
function decoded(history: Parameters<typeof historyToJSON>[0]): string {
  return historyToJSON(history).replace(/"data": "([A-Za-z0-9+/=]+)"/g, (_all, data: string) =>
    Buffer.from(data, 'base64').toString('utf8'),
  );
}

async function withServer<T>(
  options: ConstructorParameters<typeof ScriptedSmtpServer>[0],
  work: (server: ScriptedSmtpServer) => Promise<T>,
): Promise<T> {
  const server = await ScriptedSmtpServer.start(options);
  try {
    return await work(server);
  } finally {
    await server.stop();
  }
}

const at = (step: StepContext['step'], answer: Answer) => (context: StepContext) =>
  context.step === step ? answer : undefined;

describe('checkProvider', () => {
  test('logs in, sends nothing and stores that it works', async () => {
    await withServer({ login: LOGIN }, async (server) => {
      const { result, provider, history, jobId } = await checked({
        settings: { host: '127.0.0.1', port: server.port },
        credentials: LOGIN,
      });
      expect(result).toEqual({ status: 'OK', cause: null });
      expect(provider).toMatchObject({ last_check_status: 'OK', last_error: null, version: 1 });
      expect(Date.parse(provider.last_check_at)).toBeGreaterThan(0);
      expect(server.transcript.join('\n')).not.toContain('MAIL');
      expect(history).not.toContain(LOGIN.password);
      expect(history).toContain(jobId);
      expect(history).not.toContain('relay.example');
      const job = await api.db.query('SELECT status, finished_at, result FROM jobs WHERE id = $1', [jobId]);
      expect(job.rows).toEqual([
        { status: 'DONE', finished_at: expect.any(Date), result: { status: 'OK', cause: null } },
      ]);
    });
  });

  test('stores a refused log-in without what the server echoes', async () => {
    const reply = `535 5.7.8 ${LOGIN.username} with ${LOGIN.password} refused; write to postmaster@relay.example`;
    await withServer({ login: LOGIN, script: at('auth', reply) }, async (server) => {
      const { result, provider, text, history } = await checked({
        settings: { host: '127.0.0.1', port: server.port },
        credentials: LOGIN,
      });
      expect(result).toEqual({ status: 'FAILED', cause: 'authentication' });
      expect(provider.last_check_status).toBe('FAILED');
      expect(provider.last_error).toMatch(/^The server refused the log-in\. .*refused/);
      for (const words of [text, history]) {
        expect(words).not.toContain(LOGIN.password);
        expect(words).not.toContain('relay.example');
      }
    });
  });

  test.each([
    ['nobody listens', 'connect', null],
    ['the certificate is not trusted', 'tls', { certificate: 'localhost' as const }],
    ['the server talks nonsense', 'protocol', { script: at('greeting', 'HTTP/1.1 400 Bad Request') }],
    ['the server is busy', 'throttled', { script: at('greeting', '421 too busy') }],
  ])('says when %s', async (_what, cause, options) => {
    const port = options === null ? 1 : null;
    await withServer(options ?? {}, async (server) => {
      const { result, provider } = await checked({ settings: { host: '127.0.0.1', port: port ?? server.port } });
      expect(result).toEqual({ status: 'FAILED', cause });
      expect(provider.last_error).not.toBeNull();
    });
  });

  test('refuses private targets by name and by address where they are not allowed', async () => {
    await withServer({}, async (server) => {
      allowPrivate = false;
      try {
        for (const host of ['localhost', '127.0.0.1']) {
          const { result, provider } = await checked({ settings: { host, port: server.port } });
          expect(result).toEqual({ status: 'FAILED', cause: 'connect' });
          expect(provider.last_error).toContain('private');
        }
        expect(server.connections).toBe(0);
      } finally {
        allowPrivate = true;
      }
    });
  });

  test.each(API_RIGS.map((rig) => [rig.name, rig] as const))(
    'asks the API of %s, and stores neither key nor echo',
    async (_name, rig) => {
      const server = await ScriptedHttpServer.start();
      try {
        const provider = rig.provider(server.url);
        server.reply = () => rig.checks(true);
        const good = await checked(provider);
        expect(good.result).toEqual({ status: 'OK', cause: null });
        expect(good.provider).toMatchObject({ last_check_status: 'OK', last_error: null });
        const secrets = Object.values(provider.credentials);
        server.reply = () => ({
          status: 403,
          json: { message: `no ${secrets.join(' ')} for postmaster@relay.example` },
        });
        const bad = await checked(provider);
        expect(bad.result).toEqual({ status: 'FAILED', cause: 'authentication' });
        expect(bad.provider.last_error).toMatch(/^The server refused the log-in\. .*no \[secret\]/);
        for (const words of [good.text, good.history, bad.text, bad.history]) {
          for (const secret of secrets) expect(words).not.toContain(secret);
          expect(words).not.toContain('relay.example');
        }
        expect(server.requests.every((request) => request.method === 'GET')).toBe(true);
      } finally {
        await server.stop();
      }
    },
  );

  test('is harmless when its activity runs again', async () => {
    await withServer({}, async (server) => {
      const { jobId, provider } = await checked({ settings: { host: '127.0.0.1', port: server.port } });
      const connections = server.connections;
      const activities = createSenderActivities({ ...api.deps, db: api.db });
      const again = await activities.checkProviderConnection({ workspaceId: api.workspace.id, jobId });
      expect(again).toEqual({ status: 'OK', cause: null });
      expect(server.connections).toBe(connections);
      const read = await api.request('get', `${BASE}/${provider.id}`, { token: api.tokens.viewer });
      expect(read.body.last_check_at).toBe(provider.last_check_at);
    });
  });
});
