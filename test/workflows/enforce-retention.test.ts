import { NativeConnection, Worker } from '@temporalio/worker';
import { runRetention } from '../../activities/contacts/retention';
import { createRightsActivities } from '../../activities/contacts/rights';
import { ENFORCE_RETENTION_WORKFLOW } from '../../domain/contacts/contract';
import { CONTROL_TASK_QUEUE } from '../../domain/shared/task-queues';
import { uuidv7 } from '../../platform/ids';
import { one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { noonToday, setClock } from '../support/sequence-world';
import { temporalAddress, workflowBundle } from '../support/stack';

let api: TestApi;
let connection: NativeConnection;
let worker: Worker;
let running: Promise<void>;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'retention' });
  // Each workspace is done once a day, and this is one day.
  await setClock(api, noonToday());
  connection = await NativeConnection.connect({ address: await temporalAddress() });
  worker = await Worker.create({
    connection,
    namespace: api.namespace,
    taskQueue: CONTROL_TASK_QUEUE,
    workflowBundle: await workflowBundle(),
    activities: createRightsActivities({ ...api.deps, db: api.db }),
  });
  running = worker.run();
});

afterAll(async () => {
  worker.shutdown();
  await running;
  await connection.close();
  await api.close();
});

const enforce = () => runRetention({ db: api.db, log: api.deps.log }, () => {});
const count = async (table: string, where = 'true') =>
  (await one<{ n: number }>(api.db, { text: `SELECT count(*) AS n FROM ${table} WHERE ${where}`, values: [] }))?.n;
/** Lets the duty be due again, as on another day. */
const nextDay = () =>
  api.db.query(`UPDATE workspace_jobs SET local_date = local_date - 1 WHERE job = 'enforce-retention'`);

/** One thing of each kind that is `days` old. */
async function leave(days: number): Promise<void> {
  const ws = api.workspace.id;
  const at = sql`sally_now() - make_interval(days => ${days}::integer)`;
  await api.db.query(sql`
    INSERT INTO uploads (workspace_id, filename, content_type, created_at) VALUES (${ws}, 'x.csv', 'text/csv', ${at})`);
  await api.db.query(sql`
    WITH job AS (INSERT INTO jobs (workspace_id, kind, status, input, finished_at)
      VALUES (${ws}, 'importContacts', 'DONE', '{}', ${at}) RETURNING id)
    INSERT INTO import_rejections (workspace_id, job_id, row_number, code, message, cells)
    SELECT ${ws}, id, n, 'X', 'x', '[]' FROM job, generate_series(1, 2500) AS n`);
  await api.db.query(sql`
    INSERT INTO idempotency_keys (workspace_id, operation, key, request_hash, response_status, created_at)
    VALUES (${ws}, 'x', ${uuidv7()}, ''::bytea, 200, ${at})`);
  await api.db.query(sql`
    INSERT INTO delivery_attempts (workspace_id, source_id, delivery_id, claim_id, attempt, outcome, diagnostic, at)
    VALUES (${ws}, ${uuidv7()}, ${uuidv7()}, ${uuidv7()}, 1, 'x', '452 full', ${at})`);
  await api.db.query(sql`
    INSERT INTO event_keys (workspace_id, client_event_id, event_id, received_at)
    SELECT ${ws}, ${`order-${days}-`} || n, ${uuidv7()}, ${at} FROM generate_series(1, 2100) AS n
    ON CONFLICT DO NOTHING`);
  await api.db.query(sql`
    WITH job AS (INSERT INTO jobs (workspace_id, kind, status, input, finished_at, result)
      VALUES (${ws}, 'exportContacts', 'DONE', '{}', ${at}, jsonb_build_object('expiresAt', ${at} + interval '3 days')) RETURNING id)
    INSERT INTO export_chunks (workspace_id, job_id, position, data) SELECT ${ws}, id, 0, 'x'::bytea FROM job`);
}

test('what has been kept for its time goes, what is younger stays, and each workspace is done once a day', async () => {
  await leave(1);
  expect(await enforce()).toMatchObject({ failed: 0, removed: 0 });
  await leave(100);
  expect(await enforce()).toEqual({ workspaces: 0, failed: 0, removed: 0 });
  await nextDay();
  const done = await api.deps.temporal.workflow.execute(ENFORCE_RETENTION_WORKFLOW, {
    workflowId: 'enforce-retention-test',
    taskQueue: CONTROL_TASK_QUEUE,
    staticSummary: 'A tick',
  });
  expect(done).toEqual({ workspaces: 1, failed: 0, removed: 4_604 });
  expect(await count('uploads')).toBe(1);
  expect(await count('import_rejections')).toBe(2_500);
  expect(await count('idempotency_keys')).toBe(1);
  expect(await count('event_keys')).toBe(2_100);
  expect(await count('export_chunks')).toBe(1);
  expect(await count('jobs', `result->>'removed' = 'EXPIRED'`)).toBe(1);
  expect(await count('delivery_attempts', 'diagnostic IS NULL')).toBe(1);
  const audit = await one<{ new_values: unknown }>(
    api.db,
    sql`SELECT new_values FROM audit_log WHERE action = 'retention.enforce'`,
  );
  expect(audit?.new_values).toEqual({
    exports: 1,
    uploads: 1,
    import_rejections: 2_500,
    idempotency_keys: 1,
    delivery_diagnostics: 1,
    event_keys: 2_100,
  });
  const job = await one<{ details: unknown }>(
    api.db,
    sql`SELECT details FROM workspace_jobs WHERE job = 'enforce-retention'`,
  );
  expect(job?.details).toEqual(audit?.new_values);
});

test('a workspace chooses its periods, and an upload that a job waits for stays', async () => {
  const call = (method: string, body?: unknown, token = api.tokens.owner) =>
    api.request(method, '/workspaces/{ws}/retention', { token, body });
  const changed = await call('patch', { days: { uploads: 400, idempotency_keys: null, delivery_addresses: 20 } });
  expect(changed.body.items).toContainEqual({ kind: 'uploads', days: 400, default_days: 7 });
  expect(changed.body.items).toContainEqual({ kind: 'idempotency_keys', days: null, default_days: 7 });
  expect((await call('get')).body).toEqual(changed.body);
  for (const body of [{ days: { uploads: 0 } }, { days: { secrets: 3 } }, { days: { uploads: 1.5 } }, {}]) {
    expect((await call('patch', body)).status).toBe(422);
  }
  expect((await call('patch', { days: {} }, api.tokens.marketer)).status).toBe(403);
  for (const [status, age] of [
    ['SENT', 25],
    ['QUEUED', 25],
    ['SENT', 5],
  ] as const) {
    await api.db.query(sql`
      INSERT INTO deliveries (workspace_id, source_type, source_id, step_key, recipient_key, address, message_id, lane_id,
        stream_id, mx_group, class, priority, status, not_before, created_at)
      SELECT ${api.workspace.id}, 'TRANSACTIONAL', sally_uuid_v7_floor(at), 'send', ${uuidv7()}, 'old@kept.example', ${uuidv7()},
        ${uuidv7()}, ${uuidv7()}, 'other', 'transactional', 1, ${status}, at, at
      FROM (SELECT sally_now() - make_interval(days => ${age}::integer) AS at) AS moment`);
  }
  await leave(100);
  await nextDay();
  await enforce();
  expect(await count('deliveries', 'address IS NULL')).toBe(1);
  expect(await count('uploads')).toBe(2);
  expect(await count('idempotency_keys')).toBe(2);
  await call('patch', { days: { uploads: 7 } });
  await api.db.query(sql`
    INSERT INTO jobs (workspace_id, kind, status, input)
    SELECT workspace_id, 'importContacts', 'QUEUED', jsonb_build_object('uploadId', id::text) FROM uploads
    WHERE created_at < sally_now() - interval '50 days'`);
  await nextDay();
  await enforce();
  expect(await count('uploads')).toBe(2);
});
