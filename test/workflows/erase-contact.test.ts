import { PassThrough } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import { MockActivityEnvironment } from '@temporalio/testing';
import { NativeConnection, Worker } from '@temporalio/worker';
import { createConsentActivities } from '../../activities/consent';
import { createContactActivities } from '../../activities/contacts';
import { runErasure } from '../../activities/contacts/erase';
import { createRightsActivities } from '../../activities/contacts/rights';
import { FailureInterceptor } from '../../activities/runtime/failure-interceptor';
import { seedConsent } from '../../db/consent';
import { freezeTemplateMessage } from '../../db/content';
import { enqueueDelivery } from '../../db/delivery';
import { CONTROL_TASK_QUEUE } from '../../domain/shared/task-queues';
import { uuidv7 } from '../../platform/ids';
import { createLogger } from '../../platform/log';
import { one, sql } from '../../platform/postgres';
import { textOfTemporal } from '../faults/address-scan';
import { startTestApi, type TestApi } from '../support/api';
import { tablesHolding } from '../support/personal-data-scan';
import { temporalAddress, workflowBundle } from '../support/stack';
import { readUntil, sleep, until } from '../support/until';

const OLD = 'quillon.first@old-address.example';
const ADDRESS = 'quillon.now@current-address.example';
const FIRST = 'Quillonette';
const LAST = 'Brackenshaw';
const NOTE = 'prefers the orchid room';
const PERSONAL = [OLD, ADDRESS, FIRST, LAST, NOTE];

let api: TestApi;
let connection: NativeConnection;
let worker: Worker;
let running: Promise<void>;
let logged = '';

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'erase contact' });
  await seedConsent(api.db, api.workspace.id);
  connection = await NativeConnection.connect({ address: await temporalAddress() });
  const destination = new PassThrough().on('data', (piece) => {
    logged += String(piece);
  });
  const log = createLogger({ name: 'worker', level: 'trace', destination });
  const deps = { ...api.deps, db: api.db, log };
  worker = await Worker.create({
    connection,
    namespace: api.namespace,
    taskQueue: CONTROL_TASK_QUEUE,
    workflowBundle: await workflowBundle(),
    activities: { ...createConsentActivities(deps), ...createContactActivities(deps), ...createRightsActivities(deps) },
    interceptors: {
      activity: [(context) => ({ inbound: new FailureInterceptor(log, context.info.activityType) })],
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

const call = async (method: string, path: string, request: object = {}) => {
  const answer = await api.request(method, `/workspaces/{ws}${path}`, { token: api.tokens.owner, ...request });
  expect({ path, status: answer.status, text: answer.status < 300 ? '' : answer.text }).toMatchObject({ text: '' });
  return answer;
};

const finished = (workflowId: string) => api.deps.temporal.workflow.getHandle(workflowId).result();

async function upload(csv: string): Promise<string> {
  const { body } = await call('post', '/uploads', { rawBody: csv, headers: { 'content-type': 'text/csv' } });
  return body.id;
}

/** A message in the ledger as it is when it was sent. */
async function message(to: { contactId: string } | { address: string }, status: string): Promise<string> {
  const workspaceId = api.workspace.id;
  const frozen = await api.db.transaction((tx) =>
    freezeTemplateMessage(tx, { workspaceId, slug: 'opt-in-confirmation' }),
  );
  const address = 'address' in to ? to.address : null;
  const enqueued = await enqueueDelivery(api.db, {
    workspaceId,
    sourceType: 'TRANSACTIONAL',
    sourceId: uuidv7(),
    stepKey: 'send',
    contactId: 'contactId' in to ? to.contactId : null,
    address,
    recipientName: address && FIRST,
    addressHash: address ? api.deps.addressHasher.hash(address) : null,
    emailDomain: 'current-address.example',
    messageId: frozen?.messageId ?? '',
    context: { greeting: `Dear ${FIRST}` },
    expiresAt: null,
  });
  const id = enqueued.deliveryId ?? '';
  await api.db.query(sql`
    UPDATE deliveries SET status = ${status}, address = coalesce(address, ${ADDRESS}), recipient_name = ${`${FIRST} ${LAST}`}
    WHERE id = ${id}`);
  await api.db.query(sql`
    INSERT INTO delivery_attempts (workspace_id, source_id, delivery_id, claim_id, attempt, outcome, diagnostic)
    SELECT workspace_id, source_id, id, ${uuidv7()}, 1, 'transient', ${`mailbox of ${LAST} is full`} FROM deliveries WHERE id = ${id}`);
  return id;
}

/** A person who left traces wherever one can, and a neighbour who must stay as she is. */
async function people() {
  await call('post', '/contact-fields', { body: { name: 'note', type: 'text' } });
  const made = await call('post', '/contacts', {
    body: { email: OLD, first_name: FIRST, last_name: LAST, fields: { note: NOTE }, time_zone: 'Europe/Berlin' },
    headers: { 'idempotency-key': 'make-quillon' },
  });
  const contactId: string = made.body.id;
  await call('patch', `/contacts/${contactId}`, { body: { email: ADDRESS } });
  const neighbour = await call('post', '/contacts', {
    body: { email: 'neighbour@current-address.example', first_name: 'Nell' },
  });
  const audience = await call('post', '/audiences', { body: { name: 'Guests' } });
  await call('post', `/audiences/${audience.body.id}/members`, {
    body: { contact_ids: [contactId, neighbour.body.id] },
  });
  const header = 'email,first_name,last_name,note,locale';
  const rows = [`${ADDRESS.toUpperCase()},${FIRST},${LAST},${NOTE},en`, `${OLD},${FIRST},${LAST},,not a locale!`];
  const uploadId = await upload([header, ...rows, ''].join('\n'));
  const kept = await upload(`${header}\nneighbour@current-address.example,Nell,,,en\n`);
  const job = await call('post', '/imports', { body: { upload_id: uploadId } });
  await finished(job.body.workflow.workflow_id);
  const signUp = await api.request('post', `/public/${api.workspace.slug}/sign-up`, {
    body: { email: ADDRESS, first_name: FIRST, last_name: LAST, fields: { note: NOTE } },
    headers: { 'user-agent': `Browser of ${LAST}` },
  });
  expect(signUp.status).toBe(202);
  await call('post', '/suppressions', { body: { addresses: [OLD], note: 'asked by telephone' } });
  await api.db.query(sql`
    SELECT sally_raise_alert(${api.workspace.id}, 'odd', 'x', 'info', ${`Odd answer about ${ADDRESS}`}, '{}')`);
  await api.db.query(sql`
    SELECT sally_append_event(${api.workspace.id}, 'page_viewed', ${contactId}, NULL, ${JSON.stringify({ name: FIRST })}::jsonb)`);
  const sent = await message({ contactId }, 'SENT');
  const waiting = await message({ contactId }, 'QUEUED');
  const toAddress = await message({ address: ADDRESS }, 'SENT');
  const waitingForAddress = await message({ address: ADDRESS }, 'QUEUED');
  return {
    contactId,
    neighbour: neighbour.body,
    audienceId: audience.body.id,
    uploadId,
    kept,
    importId: job.body.id,
    sent,
    waiting,
    toAddress,
    waitingForAddress,
  };
}

const delivery = (id: string) =>
  one<{ status: string; reason: string | null; address: string | null; context: unknown }>(
    api.db,
    sql`SELECT status, reason, address, context FROM deliveries WHERE id = ${id}`,
  );

async function scan(): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  for (const text of PERSONAL) found[text] = await tablesHolding(api.database.ownerUrl, text);
  return found;
}

test('after an erasure no table, file, history or log line holds the address, a former one, the name or a field', async () => {
  const world = await people();
  const before = await scan();
  expect(before[ADDRESS]).toEqual(expect.arrayContaining(['contacts', 'submissions', 'audit_log', 'alerts']));
  expect(before[ADDRESS]?.join()).toMatch(/deliveries_\d{4}_\d\d/);
  // In capitals in the file: a row in hexadecimal shows them as they are.
  expect(before[NOTE]).toEqual(expect.arrayContaining(['contacts', 'submissions', 'upload_chunks', 'opt_in_requests']));
  expect(before[FIRST]).toEqual(expect.arrayContaining(['idempotency_keys', 'import_rejections']));
  expect(before[LAST]).toEqual(expect.arrayContaining(['consent_events', 'delivery_attempts']));
  const count = async (where = sql`true`) =>
    (await one<{ n: number }>(api.db, sql`SELECT count(*) AS n FROM deliveries WHERE ${where}`))?.n;
  // The sign-up's own mail comes from its workflow.
  await until('the confirmation is queued', async () => (await count(sql`class = 'opt-in'`)) === 1);
  const rows = await count();

  const erased = await call('delete', `/contacts/${world.contactId}`);
  expect(erased.status).toBe(202);
  expect(
    (await api.request('get', `/workspaces/{ws}/contacts/${world.contactId}`, { token: api.tokens.owner })).status,
  ).toBe(404);
  await finished(erased.body.workflow.workflow_id);

  const after = await scan();
  expect(after).toEqual(Object.fromEntries(PERSONAL.map((text) => [text, []])));
  const histories = await textOfTemporal(await temporalAddress(), api.namespace);
  expect(histories).toContain(erased.body.id);
  for (const text of PERSONAL) {
    expect(histories.toLowerCase()).not.toContain(text.toLowerCase());
    expect(logged.toLowerCase()).not.toContain(text.toLowerCase());
  }

  const job = await call('get', `/erasures/${erased.body.id}`);
  expect(job.body).toMatchObject({
    status: 'DONE',
    contact_id: world.contactId,
    rows: { uploads: 1, opt_in_requests: 1, alerts: 1 },
  });
  // Counts stay; what waited for the bare address is closed, what waited for the contact is left to the claim.
  expect(await count()).toBe(rows);
  expect(await delivery(world.sent)).toEqual({ status: 'SENT', reason: null, address: null, context: null });
  expect(await delivery(world.toAddress)).toMatchObject({ status: 'SENT', address: null });
  expect(await delivery(world.waiting)).toMatchObject({ status: 'QUEUED', address: null, context: null });
  expect(await delivery(world.waitingForAddress)).toMatchObject({ status: 'CANCELLED', reason: 'CONTACT_ERASED' });
  const audience = await call('get', `/audiences/${world.audienceId}`);
  expect(audience.body.member_count).toBe(1);
  // Others are untouched, and so is the file that does not name the person.
  expect((await call('get', `/contacts/${world.neighbour.id}`)).body).toEqual(world.neighbour);
  expect((await call('get', `/uploads/${world.kept}`)).status).toBe(200);
  expect(
    (await api.request('get', `/workspaces/{ws}/uploads/${world.uploadId}`, { token: api.tokens.owner })).status,
  ).toBe(404);
  const audit = await call('get', '/audit', { query: { entity_id: world.contactId } });
  const actions = audit.body.items.map((item: { action: string }) => item.action);
  expect(actions).toEqual(
    expect.arrayContaining(['contact.create', 'contact.update', 'contact.erase', 'contact.erased']),
  );
});

test('a re-import of an erased address finds it suppressed', async () => {
  const uploadId = await upload(`email,first_name\n${ADDRESS},Somebody\n`);
  const job = await call('post', '/imports', { body: { upload_id: uploadId } });
  await finished(job.body.workflow.workflow_id);
  for (const address of [ADDRESS, OLD]) {
    const check = await call('post', '/suppressions/check', { body: { address } });
    expect(check.body.items).toMatchObject([{ hint: '(erased)', state: 'ACTIVE', domain: null }]);
  }
});

test('waits for messages that are on the wire, then goes on', async () => {
  const made = await call('post', '/contacts', { body: { email: 'wait@wire.example', first_name: 'Waitrose' } });
  const id = await message({ contactId: made.body.id }, 'SENDING');
  await api.db.query(sql`UPDATE deliveries SET address = 'wait@wire.example' WHERE id = ${id}`);
  const erased = await call('delete', `/contacts/${made.body.id}`);
  const job = async () => (await call('get', `/erasures/${erased.body.id}`)).body;
  await until('it has begun', async () => (await job()).status === 'RUNNING');
  // Long enough to erase, if it did not wait.
  await sleep(1_500);
  expect(await delivery(id)).toMatchObject({ status: 'SENDING', address: 'wait@wire.example' });
  expect(await job()).toMatchObject({ status: 'RUNNING', rows: null });
  await api.db.query(sql`UPDATE deliveries SET status = 'SENT' WHERE id = ${id}`);
  await finished(erased.body.workflow.workflow_id);
  expect(await delivery(id)).toMatchObject({ status: 'SENT', address: null });
  expect(await tablesHolding(api.database.ownerUrl, 'wait@wire.example')).toEqual([]);
});

test('waits for an import that reads a file with the address', async () => {
  const uploadId = await upload('email\nread@wire.example\n');
  const { body: reading } = await call('post', '/contacts', { body: { email: 'read@wire.example' } });
  await api.db.query(sql`
    INSERT INTO jobs (workspace_id, kind, status, input)
    VALUES (${api.workspace.id}, 'importContacts', 'RUNNING', ${JSON.stringify({ uploadId })})`);
  const { body: erased } = await call('delete', `/contacts/${reading.id}`);
  const input = { workspaceId: api.workspace.id, jobId: erased.id };
  const step = () => new MockActivityEnvironment().run(() => runErasure({ ...api.deps, db: api.db }, input));
  const waits = { state: 'WAIT', waitsFor: 'FILES_IN_USE', seconds: 15 };
  expect(await readUntil(step, (found) => isDeepStrictEqual(found, waits))).toEqual(waits);
  await api.db.query(sql`UPDATE jobs SET status = 'DONE' WHERE input->>'uploadId' = ${uploadId}`);
  expect(await step()).toEqual({ state: 'DONE' });
  expect(await step()).toEqual({ state: 'DONE' });
  const audits = await api.db.query(
    sql`SELECT 1 FROM audit_log WHERE action = 'contact.erased' AND entity_id = ${reading.id}`,
  );
  expect(audits.rowCount).toBe(1);
  expect(await tablesHolding(api.database.ownerUrl, 'read@wire.example')).toEqual([]);
});

test('only the eraser may change what is append-only, and nobody else may call it', async () => {
  await expect(api.db.query(`UPDATE submissions SET payload = '{}'`)).rejects.toMatchObject({ code: '42501' });
  await expect(api.db.query(`UPDATE audit_log SET new_values = NULL`)).rejects.toMatchObject({ code: '42501' });
  const asApi = api.deps.db.workspaceTransaction(api.workspace.id, (tx) =>
    tx.query(`SELECT sally_erase_history(sally_workspace(), '{}', '{}')`),
  );
  await expect(asApi).rejects.toMatchObject({ code: '42501' });
});

test('erasing takes a contact of this workspace, once, at the version that was read', async () => {
  const made = await call('post', '/contacts', { body: { email: 'once@wire.example' } });
  const remove = (request: object = {}) =>
    api.request('delete', `/workspaces/{ws}/contacts/${made.body.id}`, { token: api.tokens.owner, ...request });
  expect((await remove({ headers: { 'if-match': '"v9"' } })).status).toBe(412);
  expect((await remove({ token: api.tokens.viewer })).status).toBe(403);
  expect((await remove({ headers: { 'if-match': '"v1"' } })).status).toBe(202);
  expect((await remove()).status).toBe(404);
});
