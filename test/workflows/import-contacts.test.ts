import { once } from 'node:events';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { NativeConnection, Worker } from '@temporalio/worker';
import { createContactActivities } from '../../activities/contacts';
import { FailureInterceptor } from '../../activities/runtime/failure-interceptor';
import { IMPORT_PROGRESS_QUERY } from '../../domain/contacts/contract';
import { CONTROL_TASK_QUEUE } from '../../domain/shared/task-queues';
import { startTestApi, type TestApi, type TestWorkspace } from '../support/api';
import {
  defineSampleFields,
  expectedImport,
  rebuiltProfiles,
  sampleContacts,
  startImport,
  storedProfiles,
} from '../support/imports';
import { temporalAddress, workflowBundle } from '../support/stack';

let api: TestApi;
let connection: NativeConnection;
let worker: Worker;
let running: Promise<void>;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'import contacts', env: { UPLOAD_MAX_BYTES: String(64 * 1024 * 1024) } });
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

const read = (workspace: TestWorkspace, path: string) =>
  api.request('get', `/workspaces/${workspace.id}/${path}`, { token: workspace.tokens.viewer });

/** Imports a file to its end. */
async function imported(workspace: TestWorkspace, file: string | Buffer, options: object = {}) {
  const { id, workflowId } = await startImport(workspace, api.url, file, options);
  await api.deps.temporal.workflow.getHandle(workflowId).result();
  return (await read(workspace, `imports/${id}`)).body;
}

async function count(table: string, workspace: TestWorkspace): Promise<number> {
  const { rows } = await api.db.query(`SELECT count(*) AS count FROM ${table} WHERE workspace_id = $1`, [workspace.id]);
  return rows[0]?.count ?? -1;
}

describe('5,000 dirty rows', () => {
  let workspace: TestWorkspace;
  let text: string;

  beforeAll(async () => {
    workspace = await api.createWorkspace('Dirty');
    await defineSampleFields(api, workspace);
    text = await sampleContacts(5_000, 11);
  });

  it('are told by a dry run, which changes nothing', async () => {
    const { counts } = expectedImport(text, 'reject');
    const job = await imported(workspace, text, { dry_run: true });
    expect(job).toMatchObject({
      status: 'DONE',
      dry_run: true,
      progress: { ...counts, rows_total: 5_000, rows_done: 5_000 },
    });
    expect(await count('contacts', workspace)).toBe(0);
    expect(await count('submissions', workspace)).toBe(0);
    expect(await count('import_dry_run_profiles', workspace)).toBe(0);
    expect(await count('import_rejections', workspace)).toBe(counts.rejected);
  });

  it('are imported as the rules say, with a file of what was rejected', async () => {
    const { counts, profiles, rejected } = expectedImport(text, 'reject');
    expect(counts.rejected).toBeGreaterThan(100);
    expect(counts.updated + counts.unchanged).toBeGreaterThan(0);
    const job = await imported(workspace, text);
    expect(job).toMatchObject({
      status: 'DONE',
      error: null,
      progress: { ...counts, bytes_done: Buffer.byteLength(text) },
    });
    expect(await storedProfiles(api.db, workspace.id)).toEqual(profiles);
    const csv = await read(workspace, `imports/${job.id}/rejected.csv`);
    expect(csv.headers.get('content-type')).toContain('text/csv');
    const lines = csv.text.match(/^\d+,[A-Z_]+,/gm)?.map((line) => Number(line.split(',')[0]));
    expect(lines).toEqual(rejected);
    expect(csv.text.split('\r\n')[0]).toBe(
      'row_number,code,message,Email,First name,Last name,Plan,Seats,Signed up,Time zone,Newsletter',
    );
    const handle = api.deps.temporal.workflow.getHandle(job.workflow.workflow_id);
    expect(await handle.query(IMPORT_PROGRESS_QUERY)).toMatchObject({ rowsDone: 5_000, rowsTotal: 5_000 });
    const { rows } = await api.db.query(
      `SELECT action FROM audit_log WHERE workspace_id = $1 AND entity_id = $2 ORDER BY id`,
      [workspace.id, job.id],
    );
    expect(rows.map(({ action }) => action)).toEqual(['import.create', 'import.finish']);
  });

  it('change only what a second file changes', async () => {
    const before = await storedProfiles(api.db, workspace.id);
    const submissions = await count('submissions', workspace);
    // A later row for an address may differ from an earlier one, so that both change something each time.
    const again = expectedImport(text, 'reject', before);
    const job = await imported(workspace, text);
    expect(job.progress).toMatchObject({ ...again.counts, created: 0 });
    expect(await storedProfiles(api.db, workspace.id)).toEqual(again.profiles);
    expect((await count('submissions', workspace)) - submissions).toBe(again.counts.updated);
    const skipping = expectedImport(text, 'skip-field', again.profiles);
    const second = await imported(workspace, text, { on_invalid_field: 'skip-field' });
    expect(second.progress).toMatchObject(skipping.counts);
    expect(second.progress.skipped_cells).toBeGreaterThan(0);
    expect(await storedProfiles(api.db, workspace.id)).toEqual(skipping.profiles);
  });

  it('leave submissions that make every contact, edits in between included', async () => {
    const { rows } = await api.db.query('SELECT id FROM contacts WHERE workspace_id = $1 ORDER BY id LIMIT 20', [
      workspace.id,
    ]);
    for (const [index, { id }] of rows.entries()) {
      const changed = await api.request('patch', `/workspaces/${workspace.id}/contacts/${id}`, {
        token: workspace.tokens.marketer,
        body: { first_name: `Edited ${index}`, tags: ['edited'], fields: { seats: index } },
      });
      expect(changed.status).toBe(200);
    }
    const job = await imported(workspace, text, { tags: ['second wave'] });
    expect(job.progress.updated).toBeGreaterThan(4_000);
    const stored = await storedProfiles(api.db, workspace.id);
    expect(await rebuiltProfiles(api.db, workspace.id)).toEqual(stored);
    const edited = [...stored.values()].filter(({ tags }) => tags.includes('edited'));
    expect(edited).toHaveLength(20);
    expect(edited.every(({ tags }) => tags.includes('second wave'))).toBe(true);
  });
});

describe('an unchanged file', () => {
  it('changes nothing when it is imported again', async () => {
    const workspace = await api.createWorkspace('Again');
    const text = `email;first_name;tags\n${Array.from({ length: 9_000 }, (_, n) => `p${n}@x.example;Person ${n};a|b`).join('\n')}`;
    expect((await imported(workspace, text)).progress).toMatchObject({ created: 9_000, rows_done: 9_000 });
    const { rows: before } = await api.db.query(
      `SELECT md5(string_agg(c::text, '' ORDER BY id)) AS sum FROM contacts c WHERE workspace_id = $1`,
      [workspace.id],
    );
    expect((await imported(workspace, text)).progress).toMatchObject({ created: 0, updated: 0, unchanged: 9_000 });
    const { rows: after } = await api.db.query(
      `SELECT md5(string_agg(c::text, '' ORDER BY id)) AS sum FROM contacts c WHERE workspace_id = $1`,
      [workspace.id],
    );
    expect(after).toEqual(before);
    expect(await count('submissions', workspace)).toBe(9_000);
  });
});

describe('lists and consent', () => {
  it('are given as stated, and a refusal is never lifted', async () => {
    const workspace = await api.createWorkspace('Consent');
    const insert = async (statement: string, values: unknown[] = []) =>
      (await api.db.query(statement, [workspace.id, ...values])).rows[0]?.id;
    const purpose = await insert(
      `INSERT INTO purposes (workspace_id, key, name, kind, wording) VALUES ($1, 'news', 'News', 'marketing', 'Yes') RETURNING id`,
    );
    const audience = await insert(`INSERT INTO audiences (workspace_id, name) VALUES ($1, 'Fair') RETURNING id`);
    for (const [email, status] of [
      ['denied@x.example', 'denied'],
      ['pending@x.example', 'pending'],
      ['granted@x.example', 'granted'],
    ]) {
      const contact = await insert(
        `INSERT INTO contacts (workspace_id, email, email_hash) VALUES ($1, $2, $3) RETURNING id`,
        [email, api.deps.addressHasher.hash(email ?? '')],
      );
      await insert(
        `INSERT INTO consents (workspace_id, contact_id, purpose_id, status, source) VALUES ($1, $2, $3, $4, 'api')`,
        [contact, purpose, status],
      );
    }
    const text =
      'email\ndenied@x.example\npending@x.example\ngranted@x.example\nnew@x.example\nnew@x.example\nbroken\n';
    const options = { audience_id: audience, consent: { purpose: 'news', statement: 'Fair in Cologne, paper form' } };
    const job = await imported(workspace, text, options);
    expect(job.progress).toMatchObject({
      created: 1,
      unchanged: 4,
      rejected: 1,
      consents_granted: 1,
      members_added: 4,
    });
    const { rows } = await api.db.query(
      `SELECT c.email, s.status, e.import_row, e.import_job_id, e.source FROM consents s JOIN contacts c ON c.id = s.contact_id
       LEFT JOIN consent_events e ON e.contact_id = c.id WHERE s.workspace_id = $1 ORDER BY c.email`,
      [workspace.id],
    );
    const nothing = { import_row: null, import_job_id: null, source: null };
    expect(rows).toEqual([
      { email: 'denied@x.example', status: 'denied', ...nothing },
      { email: 'granted@x.example', status: 'granted', ...nothing },
      { email: 'new@x.example', status: 'granted', import_row: 5, import_job_id: job.id, source: 'import' },
      { email: 'pending@x.example', status: 'pending', ...nothing },
    ]);
    const list = await read(workspace, `audiences/${audience}`);
    expect(list.body.member_count).toBe(4);
    expect((await imported(workspace, text, options)).progress).toMatchObject({
      consents_granted: 0,
      members_added: 0,
    });
  });
});

const long = 'x'.repeat(10 * 1024 * 1024);
const BAD_FILES: [string, Buffer | string, string, number | null][] = [
  ['only white space', ' \n\n', 'EMPTY_HEADER', 1],
  ['only line ends', '\n\r\n\n', 'EMPTY_FILE', null],
  ['a header and no row', 'email,first_name\n', 'NO_ROWS', null],
  ['no e-mail column', 'name,city\nAda,London\n', 'NO_EMAIL_COLUMN', 1],
  ['two e-mail columns', 'email,E-Mail\na@x.example,b@x.example\n', 'DUPLICATE_MAPPING', 1],
  ['UTF-16', Buffer.from('\ufeffemail\na@x.example\n', 'utf16le'), 'UTF_16', 1],
  ['Latin-1', Buffer.from('email,first_name\na@x.example,Zo\xeb\n', 'latin1'), 'NOT_UTF_8', 1],
  ['a spreadsheet', Buffer.from('PK\u0003\u0004\u0014\0\u0006\0binary'), 'BINARY', 1],
  [
    'a quote never closed',
    'email,first_name\na@x.example,Ada\nb@x.example,"Bob\nc@x.example,C\n',
    'QUOTE_NOT_CLOSED',
    3,
  ],
  ['text after a quote', 'email,first_name\na@x.example,"Ada"x\n', 'TEXT_AFTER_QUOTE', 2],
  ['10 MB in one quoted cell', `email,first_name\na@x.example,Ada\nb@x.example,"${long}"\n`, 'ROW_TOO_LARGE', 3],
  ['10 MB without a line end', `email,first_name\na@x.example,${long}`, 'ROW_TOO_LARGE', 2],
];

function uploadRequest(ws: string, token: string, headers: object) {
  return request(`${api.url}/workspaces/${ws}/uploads`, {
    method: 'POST',
    headers: { 'content-type': 'text/csv', authorization: `Bearer ${token}`, ...headers },
  });
}

/** Sends more than UPLOAD_MAX_BYTES, with or without saying so first; the status of the answer. */
async function tooLarge(ws: string, token: string, announced: boolean): Promise<number | undefined> {
  const size = 65 * 1024 * 1024;
  const sending = uploadRequest(ws, token, announced ? { 'content-length': size } : {});
  // The answer comes before the last byte was sent.
  sending.on('error', () => {});
  const answered = once(sending, 'response');
  pipeline(Readable.from(Array.from({ length: 65 }, () => Buffer.alloc(1024 * 1024, 'x'))), sending).catch(() => {});
  const [response] = await answered;
  sending.destroy();
  return response.statusCode;
}

/** Sends half of what was announced and goes away; returns when the API has noticed. */
async function cutOff(ws: string, token: string): Promise<void> {
  const sending = uploadRequest(ws, token, { 'content-length': 2_000_000 });
  sending.on('error', () => {});
  sending.write(Buffer.alloc(1_000_000, 'x'));
  const uploads = async () => (await api.db.query('SELECT 1 FROM uploads WHERE workspace_id = $1', [ws])).rowCount;
  while ((await uploads()) === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  sending.destroy();
  while ((await uploads()) !== 0) await new Promise((resolve) => setTimeout(resolve, 10));
}

describe('a file that cannot be read', () => {
  it.each(BAD_FILES)('%s: the import fails, says why, and changes nothing', async (_name, file, code, line) => {
    const workspace = await api.createWorkspace('Bad');
    const job = await imported(workspace, file);
    expect(job).toMatchObject({ status: 'FAILED', error: { code } });
    if (line !== null) expect(job.error.line).toBe(line);
    expect(job.error.message.length).toBeGreaterThan(20);
    expect(await count('contacts', workspace)).toBe(0);
    expect((await read(workspace, `imports/${job.id}/rejected.csv`)).status).toBe(200);
  });

  it('is refused where the request can tell already', async () => {
    const { tokens, id: ws } = await api.createWorkspace('Refused');
    const post = (path: string, request: object) =>
      api.request('post', `/workspaces/${ws}/${path}`, { token: tokens.marketer, ...request });
    const csv = { 'content-type': 'text/csv' };
    expect((await post('uploads', { rawBody: '', headers: csv })).status).toBe(422);
    expect((await post('uploads', { body: { email: 'a@x.example' } })).status).toBe(415);
    for (const announced of [true, false]) expect(await tooLarge(ws, tokens.marketer, announced)).toBe(413);
    await cutOff(ws, tokens.marketer);
    const { rows } = await api.db.query('SELECT count(*) AS count FROM uploads WHERE workspace_id = $1', [ws]);
    expect(rows).toEqual([{ count: 0 }]);
    const nothing = '01900000-0000-7000-8000-000000000000';
    const unknown = await post('imports', { body: { upload_id: nothing } });
    expect([unknown.status, unknown.body.errors[0].pointer]).toEqual([422, '/body/upload_id']);
    const upload = await post('uploads', { rawBody: 'email\na@x.example\n', headers: csv });
    expect(upload.body).toMatchObject({ size_bytes: 18, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
    for (const [body, pointer] of [
      [{ audience_id: nothing }, '/body/audience_id'],
      [{ consent: { purpose: 'none', statement: 'x' } }, '/body/consent/purpose'],
      [{ tags: [''] }, '/body/tags'],
      [{ on_invalid_field: 'ignore' }, '/body/on_invalid_field'],
      [{ force: true }, '/body'],
    ] as const) {
      const refused = await post('imports', { body: { upload_id: upload.body.id, ...body } });
      expect([refused.status, refused.body.errors[0].pointer]).toEqual([422, pointer]);
    }
  });
});

describe('an explicit mapping', () => {
  it('goes before the guesses; formulas are made harmless in the rejected file', async () => {
    const workspace = await api.createWorkspace('Mapping');
    const text = 'Kontakt,Vorname,Notiz\na@x.example,Ada,x\n"=cmd|\'/c calc\'!A1",+49,"@sum(1)"\n';
    const job = await imported(workspace, text, { mapping: { Kontakt: 'email', Notiz: null } });
    expect(job.progress).toMatchObject({ created: 1, rejected: 1 });
    const { text: csv } = await read(workspace, `imports/${job.id}/rejected.csv`);
    expect(csv.split('\r\n')[1]).toBe(
      "3,INVALID_EMAIL,Kontakt: the address contains a space,'=cmd|'/c calc'!A1,'+49,'@sum(1)",
    );
    const unknown = await imported(workspace, text, { mapping: { Kontakt: 'email', Vorname: 'fields.nothing' } });
    expect(unknown).toMatchObject({ status: 'FAILED', error: { code: 'UNKNOWN_TARGET', column: 'Vorname' } });
  });
});

describe('cancelling', () => {
  it('stops an import between two batches; importing again completes it', async () => {
    const workspace = await api.createWorkspace('Cancel');
    const rows = Array.from({ length: 120_000 }, (_, n) => `cancel${n}@x.example,Person ${n}`).join('\n');
    const text = `email,first_name\n${rows}\n`;
    const { id, workflowId } = await startImport(workspace, api.url, text);
    while ((await read(workspace, `imports/${id}`)).body.progress.rows_done === 0) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const cancelled = await api.request('post', `/workspaces/${workspace.id}/imports/${id}/cancel`, {
      token: workspace.tokens.marketer,
    });
    expect([cancelled.status, cancelled.body.status]).toEqual([200, 'CANCELLED']);
    const result = await api.deps.temporal.workflow.getHandle(workflowId).result();
    expect(result).toMatchObject({ state: 'CANCELLED' });
    const job = (await read(workspace, `imports/${id}`)).body;
    expect(job.status).toBe('CANCELLED');
    expect(await count('contacts', workspace)).toBe(job.progress.created);
    expect(job.progress.created).toBeLessThan(120_000);
    const twice = await api.request('post', `/workspaces/${workspace.id}/imports/${id}/cancel`, {
      token: workspace.tokens.marketer,
    });
    expect([twice.status, twice.body.state]).toEqual([409, 'CANCELLED']);
  });

  it('in Temporal cancels the job too', async () => {
    const workspace = await api.createWorkspace('Cancel in Temporal');
    const rows = Array.from({ length: 120_000 }, (_, n) => `cancel${n}@x.example,Person ${n}`).join('\n');
    const { id, workflowId } = await startImport(workspace, api.url, `email,first_name\n${rows}\n`);
    const handle = api.deps.temporal.workflow.getHandle(workflowId);
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow();
    expect((await read(workspace, `imports/${id}`)).body.status).toBe('CANCELLED');
  });
});

describe('two changes at once', () => {
  it('are both kept: an import and edits of the same contacts', async () => {
    const workspace = await api.createWorkspace('At once');
    const text = (n: number) =>
      `email,last_name\n${Array.from({ length: 3_000 }, (_, i) => `both${i}@x.example,Import ${n}`).join('\n')}\n`;
    await imported(workspace, text(0));
    const { rows } = await api.db.query('SELECT id FROM contacts WHERE workspace_id = $1 LIMIT 60', [workspace.id]);
    const edits = (async () => {
      for (const [index, { id }] of rows.entries()) {
        const body = { first_name: `Edit ${index}` };
        await api.request('patch', `/workspaces/${workspace.id}/contacts/${id}`, {
          token: workspace.tokens.marketer,
          body,
        });
      }
    })();
    const jobs = await Promise.all([1, 2, 3].map((n) => imported(workspace, text(n))));
    await edits;
    expect(jobs.map(({ status }) => status)).toEqual(['DONE', 'DONE', 'DONE']);
    const stored = await storedProfiles(api.db, workspace.id);
    expect([...stored.values()].filter(({ firstName }) => firstName?.startsWith('Edit'))).toHaveLength(60);
    expect(await rebuiltProfiles(api.db, workspace.id)).toEqual(stored);
  });
});
