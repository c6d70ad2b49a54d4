import { MockActivityEnvironment } from '@temporalio/testing';
import { NativeConnection, Worker } from '@temporalio/worker';
import { parse } from 'csv-parse/sync';
import { createConsentActivities } from '../../activities/consent';
import { runExportSlice } from '../../activities/contacts/export';
import { createRightsActivities } from '../../activities/contacts/rights';
import { FailureInterceptor } from '../../activities/runtime/failure-interceptor';
import { seedConsent } from '../../db/consent';
import { CONTROL_TASK_QUEUE } from '../../domain/shared/task-queues';
import { sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestRequest } from '../support/api';
import { temporalAddress, workflowBundle } from '../support/stack';

let api: TestApi;
let connection: NativeConnection;
let worker: Worker;
let running: Promise<void>;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'export contacts' });
  await seedConsent(api.db, api.workspace.id);
  connection = await NativeConnection.connect({ address: await temporalAddress() });
  const deps = { ...api.deps, db: api.db };
  worker = await Worker.create({
    connection,
    namespace: api.namespace,
    taskQueue: CONTROL_TASK_QUEUE,
    workflowBundle: await workflowBundle(),
    activities: { ...createRightsActivities(deps), ...createConsentActivities(deps) },
    interceptors: {
      activity: [(context) => ({ inbound: new FailureInterceptor(api.deps.log, context.info.activityType) })],
    },
  });
  running = worker.run();
});

afterAll(async () => {
  worker.shutdown();
  await running;
  await connection.close();
  await api.close();
});

const call = (method: string, path: string, request: TestRequest = {}) =>
  api.request(method, `/workspaces/{ws}${path}`, { token: api.tokens.marketer, ...request });

async function contact(body: object): Promise<string> {
  const made = await call('post', '/contacts', { body });
  expect(made.status).toBe(201);
  return made.body.id;
}

/** A list with those contacts whose first name is like that. */
async function audienceOf(name: string, firstName: string): Promise<string> {
  const made = await api.db.query<{ id: string }>(sql`
    INSERT INTO audiences (workspace_id, name) VALUES (${api.workspace.id}, ${name}) RETURNING id`);
  const id = made.rows[0]?.id ?? '';
  await api.db.query(sql`
    INSERT INTO audience_members (workspace_id, audience_id, contact_id)
    SELECT workspace_id, ${id}, id FROM contacts WHERE workspace_id = ${api.workspace.id} AND first_name LIKE ${firstName}`);
  return id;
}

/** Exports to the end; the export and its file. */
async function exported(path: string, body?: object) {
  const started = await call('post', path, { body });
  expect(started.status).toBe(202);
  await api.deps.temporal.workflow.getHandle(started.body.workflow.workflow_id).result();
  const { body: job } = await call('get', `/exports/${started.body.id}`);
  const file = await call('get', `/exports/${job.id}/file`);
  return { job, file };
}

describe('exports of contacts', () => {
  test('write all contacts as CSV that a spreadsheet reads and does not run', async () => {
    await call('post', '/contact-fields', { body: { name: 'plan', type: 'text' } });
    const ada = await contact({
      email: 'ada@export.example',
      first_name: 'Ada',
      fields: { plan: '=1+1' },
      tags: ['a', 'b'],
    });
    await contact({ email: 'gone@export.example' }).then((id) =>
      call('delete', `/contacts/${id}`, { token: api.tokens.owner }),
    );
    const { job, file } = await exported('/exports', { format: 'csv' });
    expect(job).toMatchObject({ status: 'DONE', kind: 'contacts', format: 'csv', rows: 1, removed: null });
    expect(Date.parse(job.expires_at)).toBeGreaterThan(Date.now() + 2.9 * 24 * 3600 * 1000);
    expect(file.status).toBe(200);
    expect(file.headers.get('content-type')).toBe('application/octet-stream');
    expect(file.headers.get('content-disposition')).toMatch(/^attachment; filename="export-.*\.csv"$/);
    expect(Number(file.headers.get('content-length'))).toBe(job.bytes);
    const rows: Record<string, string>[] = parse(file.text, { columns: true });
    expect(rows).toEqual([
      expect.objectContaining({
        id: ada,
        email: 'ada@export.example',
        tags: 'a;b',
        'fields.plan': "'=1+1",
        'consents.newsletter': '',
      }),
    ]);
  });

  test('write the contacts of a list as NDJSON, in pieces, and go on where a killed attempt stopped', async () => {
    await api.db.query(sql`
      INSERT INTO contacts (workspace_id, email, email_hash, first_name)
      SELECT ${api.workspace.id}, 'bulk' || n || '@export.example', sha256(('bulk' || n)::bytea), 'N' || n FROM generate_series(1, 2500) AS n`);
    const audienceId = await audienceOf('Bulk', 'N%');
    const inserted = await api.db.query<{ id: string }>(sql`
      INSERT INTO jobs (workspace_id, kind, input) VALUES (${api.workspace.id}, 'exportContacts',
        ${JSON.stringify({ format: 'ndjson', audienceId, fields: [], consents: [] })}) RETURNING id`);
    const jobId = inserted.rows[0]?.id ?? '';
    const deps = { ...api.deps, db: api.db };
    const slice = (budgetMs: number, pulse = () => {}) =>
      new MockActivityEnvironment().run(() =>
        runExportSlice(deps, { workspaceId: api.workspace.id, jobId }, { budgetMs, pulse }),
      );
    let pieces = 0;
    const killed = slice(60_000, () => {
      pieces += 1;
      if (pieces === 2) throw new Error('killed');
    });
    await expect(killed).rejects.toThrow('killed');
    // Two attempts at once: each piece is written by one of them.
    const ends = await Promise.allSettled([slice(60_000), slice(60_000)]);
    expect(ends).toContainEqual({
      status: 'fulfilled',
      value: expect.objectContaining({ state: 'DONE', rows: 2_500 }),
    });
    const file = await call('get', `/exports/${jobId}/file`);
    const emails = file.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).email);
    expect(emails).toHaveLength(2_500);
    expect(new Set(emails).size).toBe(2_500);
    expect(emails).not.toContain('ada@export.example');
  });

  test('can be stopped, are gone when their time is over, and answer clearly before they are complete', async () => {
    const [waiting, done] = await Promise.all([
      api.db.query<{
        id: string;
      }>(sql`INSERT INTO jobs (workspace_id, kind, input) VALUES (${api.workspace.id}, 'exportContacts',
        ${JSON.stringify({ format: 'csv', audienceId: null, fields: [], consents: [] })}) RETURNING id`),
      exported('/exports', {}),
    ]);
    const id = waiting.rows[0]?.id;
    expect((await call('get', `/exports/${id}/file`)).status).toBe(409);
    expect((await call('post', `/exports/${id}/cancel`)).body).toMatchObject({ status: 'CANCELLED' });
    expect((await call('post', `/exports/${id}/cancel`)).status).toBe(409);
    await api.db.query(sql`UPDATE jobs SET result = '{"expiresAt": "2020-01-01T00:00:00Z"}' WHERE id = ${done.job.id}`);
    expect((await call('get', `/exports/${done.job.id}/file`)).status).toBe(410);
    const foreign = await api.createWorkspace();
    const asked = await api.request('get', `/workspaces/${foreign.id}/exports/${done.job.id}/file`, {
      token: foreign.tokens.owner,
    });
    expect(asked.status).toBe(404);
    expect((await call('post', '/exports', { body: { audience_id: done.job.id } })).status).toBe(422);
    expect((await call('post', '/exports', { body: { format: 'xlsx' } })).status).toBe(422);
    expect((await call('post', '/exports', { token: api.tokens.viewer, body: {} })).status).toBe(403);
  });
});

test('the export of a person holds everything that is known of it', async () => {
  const id = await contact({ email: 'grace@export.example', first_name: 'Grace', last_name: 'Hopper' });
  await call('patch', `/contacts/${id}`, { body: { first_name: 'Amazing Grace' } });
  await audienceOf('Pioneers', 'Amazing%');
  await api.request('post', `/public/${api.workspace.slug}/sign-up`, { body: { email: 'grace@export.example' } });
  const { job, file } = await exported(`/contacts/${id}/export`);
  expect(job).toMatchObject({ status: 'DONE', kind: 'contact', format: 'json', contact_id: id });
  const document = JSON.parse(file.text);
  expect(Object.keys(document)).toEqual([
    'profiles',
    'external_ids',
    'submissions',
    'consents',
    'consent_events',
    'preferences',
    'opt_in_requests',
    'audiences',
    'suppressions',
    'messages',
    'events',
  ]);
  expect(document.profiles).toMatchObject([{ id, email: 'grace@export.example', first_name: 'Amazing Grace' }]);
  expect(document.submissions).toHaveLength(2);
  expect(document.consents).toMatchObject([{ purpose: 'newsletter', status: 'pending' }]);
  expect(document.consent_events).toMatchObject([
    { purpose: 'newsletter', wording: expect.stringContaining('newsletter') },
  ]);
  expect(document.opt_in_requests).toMatchObject([{ status: 'OPEN' }]);
  expect(document.audiences).toMatchObject([{ name: 'Pioneers' }]);
  expect(document.events.map((event: { type: string }) => event.type)).toContain('contact_created');
});
