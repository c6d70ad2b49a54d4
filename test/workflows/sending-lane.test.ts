import { Client } from 'pg';
import { enqueueDelivery } from '../../db/delivery/enqueue';
import { laneWorkflow } from '../../domain/delivery/contract';
import { URGENT_DELIVERY_TASK_QUEUE } from '../../domain/shared/task-queues';
import { uuidv7 } from '../../platform/ids';
import { one, sql } from '../../platform/postgres';
import { ensureWorkflow } from '../../platform/temporal';
import { startTestApi, type TestApi } from '../support/api';
import { exampleWorld, type World } from '../support/examples';
import { exampleTemplate } from '../support/examples/content';
import { ScriptedSmtpServer } from '../support/scripted-smtp-server';
import { spawnWorker, stopTestProcesses } from '../support/stack';
import { beginFastForward } from '../support/time-skipping';
import { sleep, until } from '../support/until';

let api: TestApi;
let world: World;
let server: ScriptedSmtpServer;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'sending lane' });
  server = await ScriptedSmtpServer.start({});
  await spawnWorker({
    role: 'all',
    // A lane counts as neglected after 300 s, longer than any test: what is sent was found by the lanes themselves.
    env: { ...api.environment, SMTP_URL: `smtp://127.0.0.1:${server.port}`, WATCHDOG_SECONDS: '300' },
  });
});
beforeEach(async () => {
  world = await exampleWorld(api);
  server.script = () => undefined;
});
afterAll(async () => {
  await stopTestProcesses();
  await server.stop();
  await api.close();
});

/** A frozen message that transactional deliveries of this workspace can be made of. */
async function frozenMessage(): Promise<string> {
  const { slug } = await exampleTemplate(world);
  const { body } = await world.call('POST', '/workspaces/{ws}/email-marketing/messages/send', {
    template: slug,
    to: { email: `${world.unique()}@contacts.example` },
  });
  return body.message_id;
}

/** One more message, in a transaction that lasts a while. */
function enqueue(messageId: string, holdMs: number): Promise<{ laneId: string; wake: boolean }> {
  const email = `${world.unique()}@contacts.example`;
  return api.db.transaction(async (tx) => {
    await tx.query('SELECT pg_sleep($1)', [holdMs / 1000]);
    return enqueueDelivery(tx, {
      workspaceId: world.workspace.id,
      sourceType: 'TRANSACTIONAL',
      sourceId: uuidv7(),
      stepKey: 'send',
      contactId: null,
      address: email,
      recipientName: null,
      addressHash: api.deps.addressHasher.hash(email),
      emailDomain: 'contacts.example',
      messageId,
      context: null,
      expiresAt: null,
    });
  });
}

async function counts(): Promise<Record<string, number>> {
  const row = await one<{ by_status: Record<string, number> }>(
    api.db,
    sql`SELECT coalesce(jsonb_object_agg(status, n), '{}') AS by_status
        FROM (SELECT status, count(*) AS n FROM deliveries WHERE workspace_id = ${world.workspace.id} GROUP BY 1) AS t`,
  );
  return row?.by_status ?? {};
}

const isAwake = async (laneId: string) =>
  (await one<{ awake: boolean }>(api.db, sql`SELECT awake FROM lanes WHERE id = ${laneId}`))?.awake;
const wakeUp = (laneId: string) =>
  ensureWorkflow(api.deps.temporal, laneWorkflow({ workspaceId: world.workspace.id, laneId }));
const handleOf = (laneId: string) =>
  api.deps.temporal.workflow.getHandle(laneWorkflow({ workspaceId: world.workspace.id, laneId }).workflowId);
const hasEnded = async (laneId: string) => (await handleOf(laneId).describe()).status.name === 'COMPLETED';

test('many producers at once: only who turned the lane on signals, and the workflow ends when nothing waits', async () => {
  const messageId = await frozenMessage();
  await until('the first is sent', async () => (await counts()).SENT === 1);
  const { laneId } = await enqueue(messageId, 0);
  // Woken in any case: the drain of the first may just have ended.
  await wakeUp(laneId);
  await until('nothing is drained any more', () => hasEnded(laneId));
  await api.db.query(sql`UPDATE lanes SET awake = false WHERE id = ${laneId}`);
  const enqueued = await Promise.all(Array.from({ length: 40 }, () => enqueue(messageId, Math.random() * 20)));
  expect(enqueued.filter(({ wake }) => wake)).toHaveLength(1);
  await wakeUp(laneId);
  await until('all are sent', async () => (await counts()).SENT === 42);
  await until('the workflow ends', () => hasEnded(laneId));
  expect(await isAwake(laneId)).toBe(false);
});

test('mail that somebody waits for is drained in slots that bulk lanes cannot take', async () => {
  await frozenMessage();
  await until('it is sent', async () => (await counts()).SENT === 1);
  const lane = await one<{ id: string }>(
    api.db,
    sql`SELECT id FROM lanes WHERE workspace_id = ${world.workspace.id} AND kind = 'transactional'`,
  );
  const { events } = await handleOf(lane?.id ?? '').fetchHistory();
  const queues = events?.flatMap((event) => event.activityTaskScheduledEventAttributes?.taskQueue?.name ?? []);
  expect(new Set(queues)).toEqual(new Set([URGENT_DELIVERY_TASK_QUEUE]));
});

test('no row is left, whenever it is committed while drains end', async () => {
  const messageId = await frozenMessage();
  let made = 1;
  let signals = 0;
  let laneId = '';
  for (let round = 0; round < 10; round += 1) {
    // A drain ends when nothing came for two seconds: rows that are committed around that moment hit its end.
    // The last round comes when the drain has surely ended.
    if (round < 9) await sleep(1_800 + Math.random() * 700);
    else await until('the drain has ended', async () => !(await isAwake(laneId)));
    await Promise.all(
      Array.from({ length: 6 }, async () => {
        await sleep(Math.random() * 300);
        const lane = await enqueue(messageId, Math.random() * 100);
        laneId = lane.laneId;
        made += 1;
        if (!lane.wake) return;
        signals += 1;
        await wakeUp(lane.laneId);
      }),
    );
  }
  await until(`all ${made} are sent`, async () => (await counts()).SENT === made);
  await until('the workflow ends', () => hasEnded(laneId));
  expect(signals).toBeLessThanOrEqual(made / 2);
  // Several drains' ends were hit, and nobody signalled for rows that a drain had found.
  expect(signals).toBeGreaterThan(0);
});

test('sleeps until a retry is due, with a timer that says so, and then sends it', async () => {
  server.script = ({ step }) => (step === 'rcpt' ? '450 4.2.0 Later please' : undefined);
  await frozenMessage();
  const row = () =>
    one<{ lane_id: string; status: string; attempts: number }>(
      api.db,
      sql`SELECT lane_id, status, attempts FROM deliveries WHERE workspace_id = ${world.workspace.id}`,
    );
  await until('it was refused', async () => (await row())?.attempts === 1);
  const laneId = (await row())?.lane_id ?? '';
  const timers = async () => {
    const { events } = await handleOf(laneId).fetchHistory();
    return (events ?? []).flatMap((event) => {
      const seconds = Number(event.timerStartedEventAttributes?.startToFireTimeout?.seconds ?? 0);
      return seconds > 200 ? [{ seconds, summary: text(event.userMetadata?.summary?.data) }] : [];
    });
  };
  await until('the lane sleeps', async () => (await timers()).length > 0);
  const [timer] = await timers();
  expect(timer?.seconds).toBeLessThanOrEqual(300);
  expect(timer?.summary).toBe('until the next message is due');
  server.script = () => undefined;
  await moveClock(301);
  try {
    await beginFastForward(api.deps.temporal, handleOf(laneId).workflowId, 301_000);
    await until('it is sent', async () => (await row())?.status === 'SENT');
    await until('the workflow ends', () => hasEnded(laneId));
  } finally {
    await moveClock(0);
  }
});

test('a lane and its activities say what they do', async () => {
  await frozenMessage();
  await until('it is sent', async () => (await counts()).SENT === 1);
  const lane = await one<{ id: string }>(
    api.db,
    sql`SELECT id FROM lanes WHERE workspace_id = ${world.workspace.id} AND kind = 'transactional'`,
  );
  const { events } = await handleOf(lane?.id ?? '').fetchHistory();
  expect(text(events?.[0]?.userMetadata?.summary?.data)).toBe('Sends what is due on one lane');
  const drains = (events ?? []).filter((event) => event.activityTaskScheduledEventAttributes);
  expect(drains.length).toBeGreaterThan(0);
  for (const event of drains) expect(text(event.userMetadata?.summary?.data)).toMatch(/^drain/);
});

/** A payload of the SDK's JSON converter. */
function text(data: Uint8Array | null | undefined): unknown {
  return data ? JSON.parse(Buffer.from(data).toString('utf8')) : null;
}

/** Only the owner of the schema may move time. */
async function moveClock(seconds: number): Promise<void> {
  const owner = new Client({ connectionString: api.database.ownerUrl });
  await owner.connect();
  await owner.query(
    `INSERT INTO test_clock (moved_by) VALUES (make_interval(secs => $1))
     ON CONFLICT (only_row) DO UPDATE SET moved_by = excluded.moved_by`,
    [seconds],
  );
  await owner.end();
}
