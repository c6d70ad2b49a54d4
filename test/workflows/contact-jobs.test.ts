import { NativeConnection, Worker } from '@temporalio/worker';
import { Client } from 'pg';
import { createContactActivities } from '../../activities/contacts';
import { FailureInterceptor } from '../../activities/runtime/failure-interceptor';
import { insertContactJob, switchFieldIndex } from '../../db/contacts';
import { CONTROL_TASK_QUEUE } from '../../domain/shared/task-queues';
import { many, sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestWorkspace } from '../support/api';
import { rebuiltProfiles, storedProfiles } from '../support/imports';
import { temporalAddress, workflowBundle } from '../support/stack';

let api: TestApi;
let connection: NativeConnection;
let worker: Worker;
let running: Promise<void>;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'contact jobs' });
  connection = await NativeConnection.connect({ address: await temporalAddress() });
  worker = await Worker.create({
    connection,
    namespace: api.namespace,
    taskQueue: CONTROL_TASK_QUEUE,
    workflowBundle: await workflowBundle(),
    activities: createContactActivities({ ...api.deps, db: api.db }),
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

function call(workspace: TestWorkspace, method: string, path: string, body?: unknown) {
  return api.request(method, `/workspaces/${workspace.id}/${path}`, { token: workspace.tokens.marketer, body });
}

async function defineField(workspace: TestWorkspace, name: string, type: string, more: object = {}): Promise<string> {
  const made = await call(workspace, 'post', 'contact-fields', { name, type, ...more });
  expect(made.status).toBe(201);
  return made.body.id;
}

/** Contacts with a score and a colour, except every third. */
async function manyContacts(workspace: TestWorkspace, count: number): Promise<void> {
  await api.db.query(sql`
    WITH made AS (
      INSERT INTO contacts (workspace_id, email, email_hash, fields)
      SELECT ${workspace.id}, 'c' || i || '@jobs.example', sha256(convert_to(i::text, 'UTF8')),
        CASE WHEN i % 3 = 0 THEN '{}'::jsonb ELSE jsonb_build_object('score', i, 'colour', 'c' || i % 7) END
      FROM generate_series(1, ${count}) AS i RETURNING id, email, fields)
    INSERT INTO submissions (workspace_id, contact_id, origin, payload)
    SELECT ${workspace.id}, id, 'SYSTEM', jsonb_build_object('email', email, 'fields', fields) FROM made`);
}

/** Index rows that should be there and are not, or the other way round. */
async function differences(workspace: TestWorkspace, fieldId: string): Promise<unknown[]> {
  return many(
    api.db,
    sql`SELECT c.id, c.fields, to_jsonb(a) AS attribute, d.name FROM contact_field_definitions d
        JOIN contacts c ON c.workspace_id = d.workspace_id
        LEFT JOIN contact_attributes a ON a.workspace_id = c.workspace_id AND a.contact_id = c.id AND a.field_id = d.id
        WHERE d.workspace_id = ${workspace.id} AND d.id = ${fieldId}
          AND c.fields ->> d.name IS DISTINCT FROM coalesce(a.text_value, a.number_value::text, a.boolean_value::text)`,
  );
}

async function ended(workflowId: string) {
  return api.deps.temporal.workflow.getHandle(workflowId).result();
}

describe('buildIndex', () => {
  it('builds the index of a field while contacts are written, and removes it', async () => {
    const workspace = await api.createWorkspace('Index');
    const score = await defineField(workspace, 'score', 'number');
    await defineField(workspace, 'colour', 'text');
    await manyContacts(workspace, 12_000);
    // A transaction that was there before, and commits after the build was asked for.
    // On a connection of its own: the pools' end a transaction that is idle for five seconds.
    const older = new Client({ connectionString: api.database.workerUrl });
    older.on('error', () => undefined);
    await older.connect();
    await older.query('BEGIN');
    await older.query(sql`INSERT INTO contacts (workspace_id, email, email_hash, fields)
      VALUES (${workspace.id}, 'older@jobs.example', '\\x00', '{"score": 5}')`);
    const turnedOn = await call(workspace, 'patch', `contact-fields/${score}`, { is_segmentable: true });
    expect(turnedOn.status).toBe(202);
    expect(turnedOn.body).toMatchObject({ is_segmentable: true, index: { state: 'BUILDING' } });
    const { job_id, workflow } = turnedOn.body.index;
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect((await call(workspace, 'get', `contact-jobs/${job_id}`)).body.progress.done).toBe(0);
    await older.query('COMMIT');
    await older.end();
    let stop = false;
    const { rows: everybody } = await api.db.query('SELECT id FROM contacts WHERE workspace_id = $1', [workspace.id]);
    const writer = (async () => {
      for (let i = 0; !stop; i++) {
        const some = Array.from({ length: 20 }, (_, n) => everybody[(i * 7_919 + n * 613) % everybody.length]?.id);
        await api.db.query(sql`
          WITH held AS MATERIALIZED (SELECT id FROM contacts WHERE id = ANY(${some}::uuid[]) ORDER BY id FOR UPDATE)
          UPDATE contacts c SET fields = CASE ${i} % 3 WHEN 0 THEN '{}'::jsonb ELSE fields || jsonb_build_object('score', ${-i}::integer) END
          FROM held WHERE c.workspace_id = ${workspace.id} AND c.id = held.id`);
      }
    })();
    const result = await ended(workflow.workflow_id);
    stop = true;
    await writer;
    expect(result).toMatchObject({ state: 'DONE', progress: { done: 12_001, total: expect.any(Number) } });
    expect(await differences(workspace, score)).toEqual([]);
    const field = await call(workspace, 'get', `contact-fields/${score}`);
    expect(field.body.index).toMatchObject({ state: 'READY', job_id });

    const off = await call(workspace, 'patch', `contact-fields/${score}`, { is_segmentable: false });
    expect(off.body.index.state).toBe('REMOVING');
    await ended(off.body.index.workflow.workflow_id);
    const { rows } = await api.db.query('SELECT count(*) AS count FROM contact_attributes WHERE workspace_id = $1', [
      workspace.id,
    ]);
    expect(rows[0]?.count).toBe(0);
    expect((await call(workspace, 'get', `contact-fields/${score}`)).body.index.state).toBe('NONE');
  });

  it('gives way to the job of a later switch', async () => {
    const workspace = await api.createWorkspace('Switch');
    const score = await defineField(workspace, 'score', 'number');
    await manyContacts(workspace, 500);
    const { id: createdBy } = workspace.people.marketer;
    const request = { kind: 'buildIndex' as const, fieldId: score, action: 'build' as const };
    const abandoned = await insertContactJob(api.db, { workspaceId: workspace.id, request, createdBy });
    await switchFieldIndex(api.db, { workspaceId: workspace.id, id: score, jobId: abandoned.id, action: 'build' });
    const later = await insertContactJob(api.db, { workspaceId: workspace.id, request, createdBy });
    await switchFieldIndex(api.db, { workspaceId: workspace.id, id: score, jobId: later.id, action: 'build' });
    for (const job of [abandoned, later]) {
      await api.deps.temporal.workflow.start('buildIndex', {
        workflowId: `job/${job.id}`,
        taskQueue: CONTROL_TASK_QUEUE,
        args: [{ workspaceId: workspace.id, jobId: job.id }],
        staticSummary: 'Builds an index',
      });
    }
    expect(await ended(`job/${abandoned.id}`)).toMatchObject({ state: 'CANCELLED', progress: { done: 0 } });
    expect(await ended(`job/${later.id}`)).toMatchObject({ state: 'DONE', progress: { done: 500 } });
    expect(await differences(workspace, score)).toEqual([]);
  });
});

describe('the derived index', () => {
  it('is kept by every type and every write path', async () => {
    const workspace = await api.createWorkspace('Types');
    const types = {
      words: 'text',
      score: 'number',
      active: 'boolean',
      born: 'date',
      seen: 'datetime',
      plan: 'enum',
      site: 'url',
      likes: 'list',
    };
    for (const [name, type] of Object.entries(types)) {
      const more = type === 'enum' ? { enum_values: ['free', 'pro'] } : {};
      await defineField(workspace, name, type, { is_segmentable: true, ...more });
    }
    const fields = {
      words: 'x'.repeat(5_000),
      score: 1.5,
      active: false,
      born: '0001-01-01',
      seen: '2026-03-29T02:30:00+02:00',
      plan: 'pro',
      site: 'https://example.org/',
      likes: ['a', 'b"{},', ''],
    };
    const made = await call(workspace, 'post', 'contacts', { email: 'ada@types.example', fields });
    expect(made.status).toBe(201);
    const rows = async () => {
      const found = await many<Record<string, unknown>>(
        api.db,
        sql`SELECT d.name, coalesce(to_jsonb(a.text_value), to_jsonb(a.number_value), to_jsonb(a.boolean_value),
              to_jsonb(a.date_value::text), to_jsonb(to_char(a.moment_value AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), to_jsonb(a.list_value)) AS value
            FROM contact_attributes a JOIN contact_field_definitions d ON d.workspace_id = a.workspace_id AND d.id = a.field_id
            WHERE a.workspace_id = ${workspace.id}`,
      );
      return Object.fromEntries(found.map(({ name, value }) => [name, value]));
    };
    expect(await rows()).toEqual(made.body.fields);
    const change = { score: 2, active: null, likes: [], words: 'short' };
    const changed = await call(workspace, 'patch', `contacts/${made.body.id}`, { fields: change });
    expect(await rows()).toEqual(changed.body.fields);
    expect(changed.body.fields).not.toHaveProperty('active');
    const far = await call(workspace, 'patch', `contacts/${made.body.id}`, {
      fields: { seen: '0001-01-01T00:00:00+14:00' },
    });
    expect(far.status).toBe(422);
  });
});

describe('bulkEdit', () => {
  it('adds and removes tags of a selection, with a submission each, and is harmless when repeated', async () => {
    const workspace = await api.createWorkspace('Bulk');
    await manyContacts(workspace, 2_500);
    await api.db.query(sql`UPDATE contacts SET tags = ARRAY(SELECT 't' || i FROM generate_series(100, 199) AS i)
      WHERE workspace_id = ${workspace.id} AND email = 'c7@jobs.example'`);
    await api.db.query(
      sql`UPDATE contacts SET status = 'UNSUBSCRIBED' WHERE workspace_id = ${workspace.id} AND email = 'c8@jobs.example'`,
    );
    const body = { status: 'ACTIVE', add_tags: ['new'], remove_tags: ['old'] };
    const started = await call(workspace, 'post', 'contacts/bulk-edit', body);
    expect(started.status).toBe(202);
    const result = await ended(started.body.workflow.workflow_id);
    expect(result).toEqual({ state: 'DONE', progress: { total: 2_499, done: 2_499, changed: 2_498, skipped: 1 } });
    const again = await call(workspace, 'post', 'contacts/bulk-edit', body);
    expect(await ended(again.body.workflow.workflow_id)).toMatchObject({ progress: { changed: 0, skipped: 1 } });
    const stored = await storedProfiles(api.db, workspace.id);
    const rebuilt = await rebuiltProfiles(api.db, workspace.id);
    stored.delete('c7@jobs.example');
    rebuilt.delete('c7@jobs.example');
    expect(rebuilt).toEqual(stored);
    expect(stored.get('c1@jobs.example')?.tags).toEqual(['new']);
    expect(stored.get('c8@jobs.example')?.tags).toEqual([]);
    const late = await call(workspace, 'post', `contact-jobs/${started.body.id}/cancel`);
    expect(late.status).toBe(409);
    const { rows } = await api.db.query(
      `SELECT count(*) AS count FROM marketing_events WHERE workspace_id = $1 AND event_type = 'contact_updated'`,
      [workspace.id],
    );
    expect(rows[0]?.count).toBe(2_498);
  });

  it('stops where its row was cancelled, and where its workflow was', async () => {
    const workspace = await api.createWorkspace('Cancel');
    await manyContacts(workspace, 10);
    const { id: createdBy } = workspace.people.marketer;
    const selection = { contactIds: null, audienceId: null, tag: null, status: null };
    const request = { kind: 'bulkEdit' as const, selection, addTags: ['x'], removeTags: [] };
    const job = await insertContactJob(api.db, { workspaceId: workspace.id, request, createdBy });
    const cancelled = await call(workspace, 'post', `contact-jobs/${job.id}/cancel`);
    expect(cancelled.body.status).toBe('CANCELLED');
    await api.deps.temporal.workflow.start('bulkEdit', {
      workflowId: `job/${job.id}`,
      taskQueue: CONTROL_TASK_QUEUE,
      args: [{ workspaceId: workspace.id, jobId: job.id }],
      staticSummary: 'Edits contacts',
    });
    expect(await ended(`job/${job.id}`)).toMatchObject({ state: 'CANCELLED', progress: { changed: 0 } });
  });

  it.each([
    [{}, '/body/all'],
    [{ all: true, add_tags: [] }, '/body/add_tags'],
    [{ all: true, tag: 'a', add_tags: ['b'] }, '/body/all'],
    [{ all: true, add_tags: ['a'], remove_tags: ['a'] }, '/body/remove_tags'],
    [{ all: true, add_tags: [' a'] }, '/body/add_tags'],
    [{ audience_id: '01890000-0000-7000-8000-000000000000', add_tags: ['a'] }, '/body/audience_id'],
    [{ contact_ids: ['01890000-0000-7000-8000-000000000000'], add_tags: ['a'] }, '/body/contact_ids'],
  ])('refuses %j', async (body, pointer) => {
    const answer = await call(api.workspace, 'post', 'contacts/bulk-edit', { add_tags: ['x'], ...body });
    expect(answer.status).toBe(422);
    expect(answer.body.errors[0].pointer).toBe(pointer);
  });
});
