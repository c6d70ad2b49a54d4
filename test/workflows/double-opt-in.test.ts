import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import { NativeConnection, Worker } from '@temporalio/worker';
import { Client as PostgresClient } from 'pg';
import { createConsentActivities } from '../../activities/consent';
import { FailureInterceptor } from '../../activities/runtime/failure-interceptor';
import { dueOptInRequests } from '../../db/consent';
import { OPT_IN_STEP_QUERY, type OptInStep, optInWorkflow, optInWorkflowId } from '../../domain/consent';
import { CONTROL_TASK_QUEUE } from '../../domain/shared/task-queues';
import { many, one, sql } from '../../platform/postgres';
import { ensureWorkflow, SallyStatus } from '../../platform/temporal';
import { startTestApi, type TestApi, type TestWorkspace } from '../support/api';
import { confirmToken, consentWorkspace, requestsOf } from '../support/consent-world';
import { temporalAddress, workflowBundle } from '../support/stack';
import { fastForward } from '../support/time-skipping';
import { readUntil } from '../support/until';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

let api: TestApi;
/** The same database, but nothing listens where this one looks for Temporal. */
let withoutTemporal: TestApi;
let workspace: TestWorkspace;
let owner: PostgresClient;
let connection: NativeConnection;
let stopWorker: () => Promise<void>;
let counter = 0;

beforeAll(async () => {
  const env = { PUBLIC_REQUESTS_PER_MINUTE: '100000' };
  api = await startTestApi({ databaseName: 'double opt-in', env });
  const { SALLY_SECRETS, SALLY_SUPPRESSION_KEY } = api.deps.config;
  withoutTemporal = await startTestApi({
    databaseName: 'double opt-in',
    database: api.database,
    temporal: 'absent',
    env: { ...env, SALLY_SECRETS, SALLY_SUPPRESSION_KEY },
  });
  owner = new PostgresClient(api.database.ownerUrl);
  await owner.connect();
  connection = await NativeConnection.connect({ address: await temporalAddress() });
  const worker = await Worker.create({
    connection,
    namespace: api.namespace,
    taskQueue: CONTROL_TASK_QUEUE,
    workflowBundle: await workflowBundle(),
    activities: createConsentActivities({ ...api.deps, db: api.db }),
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

beforeEach(async () => {
  workspace = await consentWorkspace(api);
  await owner.query('DELETE FROM test_clock');
});

afterAll(async () => {
  await stopWorker();
  await connection.close();
  await owner.end();
  await withoutTemporal.close();
  await api.close();
});

function address(): string {
  counter += 1;
  return `visitor-${counter}@visitors.example`;
}

async function signUp(email: string, through = api) {
  const response = await through.request('post', `/public/${workspace.slug}/sign-up`, {
    body: { email, first_name: 'Persephone' },
  });
  expect(response.status).toBe(202);
  const request = (await requestsOf(api, workspace.id, email)).at(-1);
  if (!request) throw new Error('no request');
  return request;
}

const link = async (requestId: string) => `/confirm/${await confirmToken(api, workspace.id, requestId)}`;

const run = (requestId: string) => api.deps.temporal.workflow.getHandle(optInWorkflowId(requestId));

/** What the ledger holds for a request, in order. */
const mails = async (requestId: string) =>
  (
    await many<{ step_key: string }>(
      api.db,
      sql`SELECT step_key FROM deliveries WHERE source_id = ${requestId} ORDER BY id`,
    )
  ).map((row) => row.step_key);

const statusOf = async (requestId: string) =>
  (await one<{ status: string }>(api.db, sql`SELECT status FROM opt_in_requests WHERE id = ${requestId}`))?.status;

/** Waits until the run sleeps. */
async function sleeping(requestId: string, what: 'reminder' | 'expiry'): Promise<void> {
  const step = await readUntil(
    () =>
      run(requestId)
        .query<OptInStep | null>(OPT_IN_STEP_QUERY)
        .catch(() => null),
    (value) => value?.kind === 'wait' && value.for === what,
  );
  expect(step).toMatchObject({ kind: 'wait', for: what });
}

let moved = 0;
/** Moves the database's clock and the run's own by the same time. */
async function later(requestId: string, milliseconds: number): Promise<void> {
  const { rows } = await owner.query<{ moved: number }>(
    `SELECT coalesce((SELECT extract(epoch FROM moved_by) * 1000 FROM test_clock), 0)::float AS moved`,
  );
  moved = Math.round((rows[0]?.moved ?? 0) + milliseconds);
  await clock(`${moved} milliseconds`);
  await fastForward(api.deps.temporal, optInWorkflowId(requestId), milliseconds);
}

const clock = (by: string) =>
  owner.query(
    'INSERT INTO test_clock (moved_by) VALUES ($1) ON CONFLICT (only_row) DO UPDATE SET moved_by = excluded.moved_by',
    [by],
  );

/** The history as text, with the payloads opened. */
async function historyText(requestId: string): Promise<string> {
  return historyToJSON(await run(requestId).fetchHistory()).replace(
    /"data": "([A-Za-z0-9+/=]+)"/g,
    (_all, data: string) => Buffer.from(data, 'base64').toString('utf8'),
  );
}

describe('doubleOptIn', () => {
  test('sends the confirmation, and ends with the confirmation', async () => {
    const email = address();
    const { id, contact_id } = await signUp(email);
    await sleeping(id, 'reminder');
    const delivery = await one<Record<string, unknown>>(
      api.db,
      sql`SELECT d.step_key, d.status, d.class, d.contact_id, d.address, d.context, m.subject, abs(extract(epoch FROM d.expires_at - r.expires_at)) < 0.001 AS same_expiry
          FROM deliveries d JOIN messages m ON m.id = d.message_id JOIN opt_in_requests r ON r.id = d.source_id
          WHERE d.source_id = ${id}`,
    );
    expect(delivery).toMatchObject({
      step_key: 'mail-1',
      status: 'QUEUED',
      class: 'opt-in',
      contact_id,
      address: null,
      same_expiry: true,
      subject: expect.stringContaining('Please confirm'),
    });
    // Neither a link that confirms nor what the stranger typed.
    expect(JSON.stringify(delivery)).not.toMatch(/confirm\/|Persephone/);
    const described = await run(id).describe();
    expect(described.typedSearchAttributes.get(SallyStatus)).toBe('OPEN');
    expect(await described.staticSummary()).toContain('Double opt-in');

    expect((await api.request('post', await link(id))).status).toBe(200);
    await run(id).result();
    expect((await run(id).describe()).typedSearchAttributes.get(SallyStatus)).toBe('CONFIRMED');
    expect(await mails(id)).toEqual(['mail-1']);
  });

  test('reminds after 2 days and expires after 7; a late click says so', async () => {
    const { id } = await signUp(address());
    await sleeping(id, 'reminder');
    await later(id, 2 * DAY - HOUR);
    expect(await mails(id)).toEqual(['mail-1']);
    await later(id, HOUR + 60_000);
    await sleeping(id, 'expiry');
    expect(await mails(id)).toEqual(['mail-1', 'reminder']);
    await later(id, 5 * DAY);
    await run(id).result();
    expect(await statusOf(id)).toBe('EXPIRED');
    expect((await run(id).describe()).typedSearchAttributes.get(SallyStatus)).toBe('EXPIRED');
    expect((await api.request('post', await link(id))).status).toBe(410);
    expect(await mails(id)).toEqual(['mail-1', 'reminder']);
  });

  test('the new mail offered on an expired link starts a new run that can be confirmed', async () => {
    const email = address();
    const { id } = await signUp(email);
    await sleeping(id, 'reminder');
    await later(id, 8 * DAY);
    await run(id).result();
    await api.request('post', `${await link(id)}/renew`);
    const renewed = (await requestsOf(api, workspace.id, email)).at(-1);
    expect(renewed?.status).toBe('OPEN');
    await sleeping(renewed?.id ?? '', 'reminder');
    expect(await mails(renewed?.id ?? '')).toEqual(['mail-1']);
    await api.request('post', await link(renewed?.id ?? ''));
    await run(renewed?.id ?? '').result();
    expect(await statusOf(renewed?.id ?? '')).toBe('CONFIRMED');
  });

  test("the workspace's own times count", async () => {
    await api.db.query(
      sql`UPDATE workspaces SET opt_in_reminder_after = '1 hour', opt_in_expires_after = '3 hours' WHERE id = ${workspace.id}`,
    );
    const { id } = await signUp(address());
    await sleeping(id, 'reminder');
    await later(id, HOUR + 1_000);
    await sleeping(id, 'expiry');
    await later(id, 2 * HOUR);
    await run(id).result();
    expect(await statusOf(id)).toBe('EXPIRED');
  });

  test('a confirmation on day 3 comes after the reminder and ends the run', async () => {
    const { id } = await signUp(address());
    await sleeping(id, 'reminder');
    await later(id, 3 * DAY);
    await sleeping(id, 'expiry');
    expect((await api.request('post', await link(id))).status).toBe(200);
    await run(id).result();
    expect(await statusOf(id)).toBe('CONFIRMED');
  });

  test('a second sign-up uses the same request and run, and sends one more mail', async () => {
    const email = address();
    const { id } = await signUp(email);
    await sleeping(id, 'reminder');
    const before = (await run(id).describe()).runId;
    await later(id, HOUR);
    expect((await signUp(email)).id).toBe(id);
    expect(
      await readUntil(
        () => mails(id),
        (keys) => keys.length === 2,
      ),
    ).toEqual(['mail-1', 'mail-2']);
    expect((await run(id).describe()).runId).toBe(before);
    // The reminder is counted from the later mail.
    await later(id, 2 * DAY - 2 * HOUR);
    expect(await mails(id)).toEqual(['mail-1', 'mail-2']);
    await later(id, 3 * HOUR);
    await sleeping(id, 'expiry');
    expect(await mails(id)).toEqual(['mail-1', 'mail-2', 'reminder']);
  });

  test('confirmed while Temporal is down: no reminder is sent, and the run notices at its next step', async () => {
    const { id } = await signUp(address());
    await sleeping(id, 'reminder');
    expect((await withoutTemporal.request('post', await link(id))).status).toBe(200);
    expect(await statusOf(id)).toBe('CONFIRMED');
    await later(id, 2 * DAY + HOUR);
    await run(id).result();
    expect(await mails(id)).toEqual(['mail-1']);
  });

  test('a sign-up while Temporal is down is found by the watchdog’s query and then served', async () => {
    const { id } = await signUp(address(), withoutTemporal);
    await expect(run(id).describe()).rejects.toThrow();
    // As if it had been this moment: on a busy machine it was some seconds ago.
    await api.db.query(sql`UPDATE opt_in_requests SET updated_at = sally_now() WHERE id = ${id}`);
    expect(await dueOptInRequests(api.db)).not.toContainEqual({ workspaceId: workspace.id, requestId: id });
    await clock('1 minute');
    const due = await dueOptInRequests(api.db);
    expect(due).toContainEqual({ workspaceId: workspace.id, requestId: id });
    // Not at every look: a run takes 10,000 signals.
    expect(await dueOptInRequests(api.db)).not.toContainEqual({ workspaceId: workspace.id, requestId: id });
    await clock('4 minutes');
    expect(await dueOptInRequests(api.db)).toContainEqual({ workspaceId: workspace.id, requestId: id });
    await ensureWorkflow(api.deps.temporal, optInWorkflow({ workspaceId: workspace.id, requestId: id }));
    await sleeping(id, 'reminder');
    expect(await mails(id)).toEqual(['mail-1']);
    expect(await dueOptInRequests(api.db)).not.toContainEqual({ workspaceId: workspace.id, requestId: id });
  });

  test('a run for a request that is closed, or started twice, does nothing more', async () => {
    const { id } = await signUp(address());
    await sleeping(id, 'reminder');
    await api.request('post', await link(id));
    await run(id).result();
    await ensureWorkflow(api.deps.temporal, optInWorkflow({ workspaceId: workspace.id, requestId: id }));
    await run(id).result();
    expect(await mails(id)).toEqual(['mail-1']);
  });

  test('an address that changes meanwhile cancels the request', async () => {
    const { id, contact_id } = await signUp(address());
    await sleeping(id, 'reminder');
    const moved = address();
    await api.db.query(
      sql`UPDATE contacts SET email = ${moved}, email_hash = ${api.deps.addressHasher.hash(moved)} WHERE id = ${contact_id}`,
    );
    await later(id, 2 * DAY + HOUR);
    await run(id).result();
    expect(await statusOf(id)).toBe('CANCELLED');
    expect(await mails(id)).toEqual(['mail-1']);
  });

  test('a missing template raises an alert; the mail goes out when it is back', async () => {
    await api.db.query(sql`UPDATE templates SET is_active = false WHERE workspace_id = ${workspace.id}`);
    const { id } = await signUp(address());
    const alerts = () =>
      many(
        api.db,
        sql`SELECT 1 FROM alerts WHERE workspace_id = ${workspace.id} AND kind = 'opt-in-template-missing' AND resolved_at IS NULL`,
      );
    expect(await readUntil(alerts, (rows) => rows.length > 0)).toHaveLength(1);
    expect(await mails(id)).toEqual([]);
    await api.db.query(sql`UPDATE templates SET is_active = true WHERE workspace_id = ${workspace.id}`);
    await fastForward(api.deps.temporal, optInWorkflowId(id), 120_000);
    await sleeping(id, 'reminder');
    expect(await mails(id)).toEqual(['mail-1']);
  });

  test('histories hold no personal data and replay', async () => {
    const email = address();
    const { id } = await signUp(email);
    await sleeping(id, 'reminder');
    await later(id, 2 * DAY + HOUR);
    await sleeping(id, 'expiry');
    await api.request('post', await link(id));
    await run(id).result();
    const text = await historyText(id);
    expect(text).toContain(id);
    for (const secret of [email, 'visitors.example', 'Persephone', '/confirm/', 'Consent & Co']) {
      expect(text).not.toContain(secret);
    }
    await Worker.runReplayHistory(
      { workflowBundle: await workflowBundle() },
      await run(id).fetchHistory(),
      optInWorkflowId(id),
    );
  });
});
