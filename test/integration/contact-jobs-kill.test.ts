import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { Client } from 'pg';
import { indexWork } from '../../activities/contacts/build-index';
import { bulkEditWork } from '../../activities/contacts/bulk-edit';
import { runContactJobSlice } from '../../activities/contacts/contact-job';
import { runErasure } from '../../activities/contacts/erase';
import { runExportSlice } from '../../activities/contacts/export';
import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestWorkspace } from '../support/api';
import { rebuiltProfiles, storedProfiles } from '../support/imports';
import { until } from '../support/until';

/** Long jobs over contacts, killed in the middle of a transaction and finished by another worker. */
let api: TestApi;
let workspace: TestWorkspace;
const CONTACTS = 5_500;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'contact jobs kill', temporal: 'absent' });
});
beforeEach(async () => {
  workspace = await api.createWorkspace('Killed');
});
afterAll(() => api.close());

const call = (method: string, path: string, body?: unknown) =>
  api.request(method, `/workspaces/${workspace.id}/${path}`, { token: workspace.tokens.owner, body });

async function manyContacts(): Promise<void> {
  await api.db.query(sql`
    WITH made AS (
      INSERT INTO contacts (workspace_id, email, email_hash, fields)
      SELECT ${workspace.id}, 'c' || i || '@killed.example', sha256(convert_to(i::text, 'UTF8')), jsonb_build_object('score', i)
      FROM generate_series(1, ${CONTACTS}::integer) AS i RETURNING id, email, fields)
    INSERT INTO submissions (workspace_id, contact_id, origin, payload)
    SELECT ${workspace.id}, id, 'SYSTEM', jsonb_build_object('email', email, 'fields', fields) FROM made`);
}

/**
 * Starts a worker of the job in a process of its own, and kills it where it has done its work of one transaction but
 * waits for the job's row, which is held here: between effect and COMMIT.
 */
async function killWorking(kind: string, jobId: string): Promise<void> {
  const holder = new Client({ connectionString: api.database.workerUrl });
  await holder.connect();
  await holder.query('BEGIN');
  await holder.query('SELECT 1 FROM jobs WHERE id = $1 FOR UPDATE', [jobId]);
  const script = join(__dirname, '..', 'support', 'fixtures', 'dying-job.ts');
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', script, api.database.workerUrl, kind, workspace.id, jobId],
    {
      cwd: join(__dirname, '..', '..'),
      env: { ...process.env, ...api.environment },
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once('exit', (_code, signal) => resolve(signal)));
  const waits = () =>
    one(
      api.db,
      sql`SELECT 1 FROM pg_stat_activity WHERE application_name = 'dying job' AND datname = current_database()
            AND wait_event_type = 'Lock' AND query LIKE '%UPDATE jobs%'`,
    );
  await until('the worker is about to commit', async () => (await waits()) !== null);
  child.kill('SIGKILL');
  expect(await ended).toBe('SIGKILL');
  await holder.query('COMMIT');
  await holder.end();
}

/** Lets an attempt end at its third look at the job: some batches are done, others are not. */
function twoBatches(): { budgetMs: number; pulse(): void } {
  let looks = 0;
  return {
    budgetMs: 60_000,
    pulse() {
      looks += 1;
      if (looks === 3) throw new Error('stopped');
    },
  };
}
const WHOLE = { budgetMs: 60_000, pulse: () => {} };

test('a bulk edit changes every contact once', async () => {
  await manyContacts();
  const { body } = await call('post', 'contacts/bulk-edit', { all: true, add_tags: ['killed'] });
  const input = { workspaceId: workspace.id, jobId: body.id };
  const work = bulkEditWork(api.db);
  await expect(runContactJobSlice(api.db, input, work, twoBatches())).rejects.toThrow('stopped');
  await killWorking('bulkEdit', body.id);
  const done = await runContactJobSlice(api.db, input, work, WHOLE);
  expect(done).toMatchObject({ state: 'DONE', progress: { total: CONTACTS, done: CONTACTS, changed: CONTACTS } });
  const profiles = await storedProfiles(api.db, workspace.id);
  expect(await rebuiltProfiles(api.db, workspace.id)).toEqual(profiles);
  const submissions = await many<{ tagged: number; changes: number; people: number }>(
    api.db,
    sql`SELECT (SELECT count(*) FROM contacts WHERE workspace_id = ${workspace.id} AND tags = '{killed}') AS tagged,
          count(*) AS changes, count(DISTINCT contact_id) AS people
        FROM submissions WHERE workspace_id = ${workspace.id} AND origin_id = ${body.id}`,
  );
  expect(submissions).toEqual([{ tagged: CONTACTS, changes: CONTACTS, people: CONTACTS }]);
});

test('an index holds every contact once', async () => {
  const field = await call('post', 'contact-fields', { name: 'score', type: 'number' });
  await manyContacts();
  const turnedOn = await call('patch', `contact-fields/${field.body.id}`, { is_segmentable: true });
  expect(turnedOn.status).toBe(202);
  // What was written while the field was not segmentable has no row of the index: all of it is the job's work.
  const jobId = turnedOn.body.index.job_id;
  const input = { workspaceId: workspace.id, jobId };
  const work = indexWork(api.db);
  await runContactJobSlice(api.db, input, work, { ...WHOLE, budgetMs: 0 });
  await killWorking('buildIndex', jobId);
  const done = await runContactJobSlice(api.db, input, work, WHOLE);
  expect(done).toMatchObject({ state: 'DONE', progress: { total: CONTACTS, done: CONTACTS, changed: CONTACTS } });
  const index = await one<{ rows: number; right: number }>(
    api.db,
    sql`SELECT count(*) AS rows, count(*) FILTER (WHERE a.number_value = (c.fields ->> 'score')::numeric) AS right
        FROM contact_attributes a JOIN contacts c ON c.workspace_id = a.workspace_id AND c.id = a.contact_id
        WHERE a.workspace_id = ${workspace.id} AND a.field_id = ${field.body.id}`,
  );
  expect(index).toEqual({ rows: CONTACTS, right: CONTACTS });
  expect((await call('get', `contact-fields/${field.body.id}`)).body.index.state).toBe('READY');
});

test('an export has every contact once', async () => {
  await manyContacts();
  const { body } = await call('post', 'exports', { format: 'ndjson', audience_id: null });
  const input = { workspaceId: workspace.id, jobId: body.id };
  await expect(runExportSlice({ db: api.db }, input, twoBatches())).rejects.toThrow('stopped');
  await killWorking('exportContacts', body.id);
  const done = await runExportSlice({ db: api.db }, input, WHOLE);
  expect(done).toMatchObject({ state: 'DONE', rows: CONTACTS });
  const file = await call('get', `exports/${body.id}/file`);
  const emails = file.text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).email);
  expect([emails.length, new Set(emails).size]).toEqual([CONTACTS, CONTACTS]);
});

test('an erasure ends with nothing left', async () => {
  const email = 'gone@killed.example';
  const made = await call('post', 'contacts', {
    email,
    first_name: 'Gone',
    external_ids: [{ kind: 'crm', value: '9' }],
  });
  const { body } = await call('delete', `contacts/${made.body.id}`);
  const input = { workspaceId: workspace.id, jobId: body.id };
  const { keyring, addressHasher } = api.deps;
  const attempt = () =>
    new MockActivityEnvironment().run(() => runErasure({ db: api.db, keyring, addressHasher }, input));
  // Transactions of other suites, which began before, are waited for first.
  await until('older transactions have ended', async () => {
    const open = await one(
      api.db,
      sql`SELECT 1 FROM jobs WHERE id = ${body.id} AND (cursor->>'transaction')::xid8 >= pg_snapshot_xmin(pg_current_snapshot())`,
    );
    return open === null;
  });
  await killWorking('eraseContact', body.id);
  expect(await attempt()).toEqual({ state: 'DONE' });
  expect(await attempt()).toEqual({ state: 'DONE' });
  const erasure = await call('get', `erasures/${body.id}`);
  expect(erasure.body).toMatchObject({ status: 'DONE' });
  const left = await many<{ row: string }>(
    api.db,
    sql`SELECT s::text AS row FROM submissions s WHERE workspace_id = ${workspace.id}
        UNION ALL SELECT a::text FROM audit_log a WHERE workspace_id = ${workspace.id}
        UNION ALL SELECT c::text FROM contacts c WHERE workspace_id = ${workspace.id}
        UNION ALL SELECT j::text FROM jobs j WHERE workspace_id = ${workspace.id}`,
  );
  expect(left.filter(({ row }) => row.includes(email) || row.includes('Gone'))).toEqual([]);
  const told = await one<{ times: number }>(
    api.db,
    sql`SELECT count(*) AS times FROM audit_log WHERE workspace_id = ${workspace.id} AND action = 'contact.erased'`,
  );
  expect(told?.times).toBe(1);
});
