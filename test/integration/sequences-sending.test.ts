import { laneWorkflow } from '../../domain/delivery';
import { many, one, sql } from '../../platform/postgres';
import { ensureWorkflow } from '../../platform/temporal';
import type { TestApi } from '../support/api';
import { addConsented, audienceOf } from '../support/campaign-runs';
import { exampleWorld, type World } from '../support/examples';
import { type Product, startProduct } from '../support/product';
import { type AcceptedMessage, ScriptedSmtpServer } from '../support/scripted-smtp-server';
import { enrolIn, mailboxesOf, plan, sequenceOf, setClock } from '../support/sequence-world';
import { readUntil, until } from '../support/until';

/** Real workers, a real engine, a real SMTP server; only the clock of the rules is moved. */
let api: TestApi;
let world: World;
let server: ScriptedSmtpServer;
let product: Product;

beforeAll(async () => {
  server = await ScriptedSmtpServer.start({ login: { username: 'sally', password: 'p4ssw0rd' } });
  product = await startProduct({
    name: 'sequences_sending',
    // Each move of the clock makes a lane look neglected until its drain has seen it: a watchdog that comes every few
    // seconds would signal it now and then, and here signals are counted.
    env: { ALLOW_PRIVATE_SMTP: 'true', WATCHDOG_SECONDS: '300' },
  });
  ({ api } = product);
  await setClock(api, '2027-01-18T10:00:00+01:00');
});

beforeEach(async () => {
  world = await exampleWorld(api);
  await api.db.query(sql`UPDATE workspaces SET time_zone = 'Europe/Berlin' WHERE id = ${world.workspace.id}`);
});

afterAll(async () => {
  await product.close();
  await server.stop();
});

const statuses = async (sequenceId: string): Promise<Record<string, number>> => {
  const rows = await many<{ status: string; n: number }>(
    api.db,
    sql`SELECT d.status, count(*)::int AS n FROM deliveries d JOIN sequence_enrolments e ON e.id = d.source_id
        WHERE e.sequence_id = ${sequenceId} GROUP BY 1`,
  );
  return Object.fromEntries(rows.map((row) => [row.status, row.n]));
};

async function laneOf(sequenceId: string): Promise<string> {
  const row = await one<{ lane_id: string }>(
    api.db,
    sql`SELECT t.lane_id FROM sequences s JOIN streams t ON t.id = s.stream_id WHERE s.id = ${sequenceId}`,
  );
  return row?.lane_id ?? '';
}

interface ActionEvent {
  workflowExecutionStartedEventAttributes?: unknown;
  activityTaskScheduledEventAttributes?: unknown;
  timerStartedEventAttributes?: unknown;
  workflowExecutionSignaledEventAttributes?: unknown;
}

/** What an engine counts, and a provider of one charges for. */
function actionsOf(events: readonly ActionEvent[]): number {
  return events.filter(
    (event) =>
      event.workflowExecutionStartedEventAttributes ||
      event.activityTaskScheduledEventAttributes ||
      event.timerStartedEventAttributes ||
      event.workflowExecutionSignaledEventAttributes,
  ).length;
}

/** The lane of a sequence; woken, since its workflow may sleep by real time and the test moves the clock. */
async function wake(sequenceId: string): Promise<string> {
  const lane = laneWorkflow({ workspaceId: world.workspace.id, laneId: await laneOf(sequenceId) });
  await ensureWorkflow(api.deps.temporal, lane);
  return lane.workflowId;
}

const header = (message: AcceptedMessage | undefined, name: string): string | null => {
  const [head = ''] = message?.raw.split('\r\n\r\n') ?? [];
  const found = new RegExp(`^${name}: (.*)$`, 'mi').exec(head.replace(/\r\n[ \t]+/g, ' '));
  return found?.[1]?.trim() ?? null;
};

test('three steps go from one mailbox on their days, as one thread', async () => {
  await setClock(api, '2027-01-18T10:00:00+01:00');
  const mailboxes = await mailboxesOf(world, 3, 30, server.port);
  const sequence = await sequenceOf(world, mailboxes, [0, 2, 1]);
  const [contact] = await addConsented(world, 1, 'thread');
  const received = () => server.accepted.filter((message) => message.to.startsWith('thread0@'));
  await enrolIn(world, sequence, { contact_ids: [contact] });
  // The window is open and quota is left: at once, without anybody's help.
  await until('the first mail has arrived', () => received().length === 1);
  await until('the first is sent', async () => (await statuses(sequence)).SENT === 1);
  for (const [day, step] of [
    ['20', 2],
    ['21', 3],
  ] as const) {
    await setClock(api, `2027-01-${day}T00:10:00+01:00`);
    // The tick of every quarter of an hour may have been faster.
    await plan(world);
    expect(await statuses(sequence)).toEqual({ SENT: step - 1, QUEUED: 1 });
    expect(received()).toHaveLength(step - 1);
    await setClock(api, `2027-01-${day}T09:00:01+01:00`);
    await wake(sequence);
    await until(`step ${step} is sent`, async () => (await statuses(sequence)).SENT === step);
  }
  const mails = received();
  expect(mails.map((mail) => header(mail, 'Subject'))).toEqual(['Step 1 for Ada', 'Step 2 for Ada', 'Step 3 for Ada']);
  // One mailbox, in the header and in the envelope.
  const [mailbox] = await many<{ email: string; display_name: string }>(
    api.db,
    sql`SELECT b.email, b.display_name FROM sequence_enrolments e JOIN mailboxes b ON b.id = e.mailbox_id WHERE e.sequence_id = ${sequence}`,
  );
  for (const mail of mails) {
    expect(mail.from).toBe(mailbox?.email);
    expect(header(mail, 'From')).toBe(`${mailbox?.display_name} <${mailbox?.email}>`);
    expect(header(mail, 'List-Unsubscribe')).toMatch(/^<http/);
  }
  const ids = mails.map((mail) => header(mail, 'Message-ID'));
  expect(new Set(ids).size).toBe(3);
  expect(mails.map((mail) => header(mail, 'In-Reply-To'))).toEqual([null, ids[0], ids[1]]);
  expect(mails.map((mail) => header(mail, 'References'))).toEqual([null, ids[0], `${ids[0]} ${ids[1]}`]);
  await setClock(api, '2027-01-22T00:10:00+01:00');
  await plan(world);
  const { body } = await world.call('GET', `/workspaces/{ws}/sequences/${sequence}`);
  expect(body.enrolments).toEqual({ active: 0, completed: 1, stopped: 0, failed: 0 });
});

const FINAL_IDS = [
  ['is on record', sql`rfc_message_id = '<replaced@provider.example>'`, 'replaced@provider.example'],
  ['Amazon SES makes', sql`provider_message_id = '0107-abc'`, '0107-abc@eu-central-1.amazonses.com'],
] as const;

test.each(FINAL_IDS)(
  'replies refer to the Message-ID that was finally used: one that %s',
  async (_what, told, final) => {
    await setClock(api, '2027-01-18T10:00:00+01:00');
    const sequence = await sequenceOf(world, await mailboxesOf(world, 1, 30, server.port), [0, 1]);
    await enrolIn(world, sequence, { contact_ids: await addConsented(world, 1, 'final') });
    await until('the first is sent', async () => (await statuses(sequence)).SENT === 1);
    const ses = await world.insert('providers', {
      ...{ name: 'SES', provider_type: 'SES', credentials: Buffer.alloc(1), is_active: false },
      settings: JSON.stringify({ region: 'eu-central-1' }),
    });
    const identity = await world.insert('sending_identities', { email: `${world.unique()}@mail.example` });
    const route = await world.insert('routes', { provider_id: ses, identity_id: identity });
    await api.db.query(sql`UPDATE deliveries d SET route_id = ${route}, ${told}
    FROM sequence_enrolments e WHERE e.id = d.source_id AND e.sequence_id = ${sequence}`);
    await setClock(api, '2027-01-19T09:00:01+01:00');
    await plan(world);
    await wake(sequence);
    await until('the second is sent', async () => (await statuses(sequence)).SENT === 2);
    const second = server.accepted.filter((message) => message.to.startsWith('final0@')).at(-1);
    expect(header(second, 'In-Reply-To')).toBe(`<${final}>`);
  },
);

test('what missed its slot, was stopped, or has reached its goal is not sent', async () => {
  await setClock(api, '2027-01-18T00:10:00+01:00');
  const goal_audience_id = await world.audience();
  const sequence = await sequenceOf(world, await mailboxesOf(world, 1, 30, server.port), [0], { goal_audience_id });
  const people = await addConsented(world, 3, 'never');
  const { enrolment_ids } = await enrolIn(world, sequence, { contact_ids: people });
  expect(await statuses(sequence)).toEqual({ QUEUED: 3 });
  const enrolment = await one<{ id: string }>(
    api.db,
    sql`SELECT id FROM sequence_enrolments WHERE sequence_id = ${sequence} AND contact_id = ${people[0] ?? ''}`,
  );
  expect(enrolment_ids).toContain(enrolment?.id);
  await world.call('POST', `/workspaces/{ws}/sequences/${sequence}/enrolments/${enrolment?.id}/stop`, {
    reason: 'MANUAL',
  });
  await api.db.query(sql`INSERT INTO audience_members (workspace_id, audience_id, contact_id)
    VALUES (${world.workspace.id}, ${goal_audience_id}, ${people[1] ?? ''})`);
  // The evening: the window has closed on the third one, and nobody was there to send it.
  await setClock(api, '2027-01-18T17:00:01+01:00');
  await wake(sequence);
  await until('both are cancelled', async () => (await statuses(sequence)).CANCELLED === 2);
  const third = () =>
    one<{ status: string; reason: string | null }>(
      api.db,
      sql`SELECT status, reason FROM deliveries WHERE contact_id = ${people[2] ?? ''}`,
    );
  await until('the third has missed its slot', async () => (await third())?.reason === 'SLOT_MISSED');
  expect(await third()).toMatchObject({ status: 'QUEUED' });
  expect(server.accepted.filter((message) => message.to.startsWith('never'))).toEqual([]);
});

test('120 mails of 8 mailboxes at fifteen moments cost at most 0.05 Temporal actions each, and nobody wakes the lane', async () => {
  await setClock(api, '2027-01-18T00:10:00+01:00');
  const mailboxes = await mailboxesOf(world, 8, 15, server.port);
  const sequence = await sequenceOf(world, mailboxes, [0]);
  await enrolIn(world, sequence, { audience_id: await audienceOf(world, await addConsented(world, 120, 'few')) });
  await until('all wait', async () => (await statuses(sequence)).QUEUED === 120);
  const client = api.deps.temporal;
  const { workflowId } = laneWorkflow({ workspaceId: world.workspace.id, laneId: await laneOf(sequence) });
  // The rows are there a moment before their lane's workflow is.
  const { runId } = await readUntil(
    () => client.workflow.getHandle(workflowId).describe(),
    () => true,
  );
  const history = async () => (await client.workflow.getHandle(workflowId, runId).fetchHistory()).events ?? [];
  const ended = async () => (await client.workflow.getHandle(workflowId, runId).describe()).status.name === 'COMPLETED';
  const drains = async () => (await history()).filter((event) => event.activityTaskScheduledEventAttributes).length;
  await until('the drain waits for the first slot', async () => (await drains()) === 2);
  // Every 32 minutes: 8 hours for 15 mails of each.
  for (let n = 0; n < 15; n += 1) {
    const at = Date.parse('2027-01-18T09:00:01+01:00') + n * 32 * 60_000;
    await setClock(api, new Date(at).toISOString());
    await until(`slot ${n + 1} has gone out`, async () => (await statuses(sequence)).SENT === (n + 1) * 8);
  }
  await until('the lane has nothing left', ended);
  expect(actionsOf(await history())).toBeLessThanOrEqual(120 * 0.05);
  expect(server.accepted.filter((message) => message.to.startsWith('few'))).toHaveLength(120);
  expect(server.duplicates()).toEqual([]);
});

test('300 mails of 100 mailboxes at three moments cost at most 0.05 Temporal actions each', async () => {
  await setClock(api, '2027-01-18T00:10:00+01:00');
  const mailboxes = await mailboxesOf(world, 100, 3, server.port);
  const sequence = await sequenceOf(world, mailboxes, [0]);
  const audience_id = await audienceOf(world, await addConsented(world, 300, 'many'));
  await enrolIn(world, sequence, { audience_id });
  await until('all wait', async () => (await statuses(sequence)).QUEUED === 300);
  let workflowId = '';
  const runs = new Set<string>();
  const client = api.deps.temporal;
  for (const [n, time] of ['09:00:01', '11:40:01', '14:20:01'].entries()) {
    await setClock(api, `2027-01-18T${time}+01:00`);
    workflowId = await wake(sequence);
    runs.add((await client.workflow.getHandle(workflowId).describe()).runId);
    await until(`${(n + 1) * 100} are sent`, async () => (await statuses(sequence)).SENT === (n + 1) * 100);
    expect((await statuses(sequence)).QUEUED ?? 0).toBe(300 - (n + 1) * 100);
  }
  let actions = 0;
  for (const runId of runs) {
    const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    actions += actionsOf(events ?? []);
  }
  expect(actions).toBeGreaterThan(3);
  expect(actions / 300).toBeLessThanOrEqual(0.05);
  const senders = server.accepted.filter((message) => message.to.startsWith('many'));
  expect(senders).toHaveLength(300);
  expect(new Set(senders.map((message) => message.from)).size).toBe(100);
  expect(server.duplicates()).toEqual([]);
});
