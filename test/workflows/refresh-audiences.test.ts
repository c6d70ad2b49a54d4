import { NativeConnection, Worker } from '@temporalio/worker';
import { createAudienceActivities } from '../../activities/audiences';
import { createEventActivities } from '../../activities/events';
import { FailureInterceptor } from '../../activities/runtime/failure-interceptor';
import { REFRESH_AUDIENCES_WORKFLOW } from '../../domain/audiences';
import { CONSUME_EVENTS_WORKFLOW } from '../../domain/events';
import { CONTROL_TASK_QUEUE } from '../../domain/shared/task-queues';
import { many, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { eventsReadable } from '../support/events-readable';
import { exampleWorld, type World } from '../support/examples';
import { temporalAddress, workflowBundle } from '../support/stack';

const AUDIENCES = '/workspaces/{ws}/audiences';

let api: TestApi;
let world: World;
let connection: NativeConnection;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'refresh audiences' });
  connection = await NativeConnection.connect({ address: await temporalAddress() });
  const deps = { ...api.deps, db: api.db };
  const worker = await Worker.create({
    connection,
    namespace: api.namespace,
    taskQueue: CONTROL_TASK_QUEUE,
    workflowBundle: await workflowBundle(),
    activities: { ...createAudienceActivities(deps), ...createEventActivities(deps) },
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
  world = await exampleWorld(api);
});

afterAll(async () => {
  await stopWorker();
  await connection.close();
  await api.close();
});

let ticks = 0;
/** One tick of a Schedule. */
async function tick(type: string): Promise<unknown> {
  ticks += 1;
  const options = { workflowId: `${type}-${ticks}`, taskQueue: CONTROL_TASK_QUEUE, args: [], staticSummary: 'A tick' };
  return api.deps.temporal.workflow.execute(type, options);
}

async function audience(conditions: unknown): Promise<string> {
  const { body } = await world.call('post', AUDIENCES, { name: world.unique(), conditions });
  await finished(body.id);
  return body.id;
}

/** Waits for the calculation that a change started. */
async function finished(audienceId: string): Promise<unknown> {
  return api.deps.temporal.workflow.getHandle(`audience/${audienceId}`).result();
}

const read = async (audienceId: string) => (await world.call('get', `${AUDIENCES}/${audienceId}`)).body;
const bought = { type: 'event', event_type: 'purchase', at_least: 2 };

describe('dynamic audiences', () => {
  test('are calculated as soon as they are made, and on demand', async () => {
    await world.contact({ first_name: 'Ada' });
    const id = await audience({ type: 'field', field: 'first_name', operator: 'equals', value: 'Ada' });
    expect(await read(id)).toMatchObject({ member_count: 1, calculation: { state: 'CURRENT' } });
    await world.contact({ first_name: 'Ada' });
    const started = await world.call('post', `${AUDIENCES}/${id}/refresh`);
    expect(started.status).toBe(202);
    expect(started.body.workflow.workflow_id).toBe(`audience/${id}`);
    expect(await finished(id)).toEqual({ outcome: 'refreshed', added: 1, removed: 0 });
    expect((await read(id)).member_count).toBe(2);
  });

  test('follow events by the consumer and the next tick; what nothing happened to is left alone', async () => {
    const contact = await world.contact();
    const buyers = await audience(bought);
    const others = await audience({ not: { type: 'audience', audience_id: buyers } });
    const untouched = await audience({ type: 'event', event_type: 'page_viewed' });
    await eventsReadable(api.db);
    await tick(CONSUME_EVENTS_WORKFLOW);
    await tick(REFRESH_AUDIENCES_WORKFLOW);
    const before = await read(untouched);
    expect((await read(others)).member_count).toBe(1);
    for (const event_id of ['1', '2']) {
      await world.call('post', '/workspaces/{ws}/events', { event_id, event_type: 'purchase', contact_id: contact });
    }
    await eventsReadable(api.db);
    const consumed = await tick(CONSUME_EVENTS_WORKFLOW);
    expect(consumed).toEqual({ consumed: { audiences: expect.any(Number), engagements: 0, settledGroups: 0 } });
    expect(await tick(REFRESH_AUDIENCES_WORKFLOW)).toMatchObject({ failed: 0 });
    // Also the one that is made of the first.
    expect((await read(buyers)).member_count).toBe(1);
    expect((await read(others)).member_count).toBe(0);
    expect((await read(untouched)).calculation).toEqual(before.calculation);
    const told = await many<{ audience: string; change: string }>(
      api.db,
      sql`SELECT payload ->> 'audience_id' AS audience, payload ->> 'change' AS change FROM marketing_events
          WHERE workspace_id = ${world.workspace.id} AND event_type = 'segment_membership_changed' ORDER BY created_at`,
    );
    expect(told).toEqual([
      { audience: buyers, change: 'added' },
      { audience: others, change: 'removed' },
    ]);
    expect(await tick(REFRESH_AUDIENCES_WORKFLOW)).toEqual({ refreshed: 0, failed: 0 });
  });

  test('that change by time alone are calculated at each tick; one that fails holds up no other', async () => {
    const field = await world.insert('contact_field_definitions', {
      ...{ name: 'seats', label: 'Seats', type: 'number', is_segmentable: true, index_state: 'READY' },
    });
    const broken = await audience({ type: 'custom_field', field: 'seats', operator: 'missing' });
    const recent = await audience({
      ...{ type: 'field', field: 'created_at', operator: 'within_last', value: { amount: 1, unit: 'days' } },
    });
    await api.db.query(sql`
      UPDATE contact_field_definitions SET is_segmentable = false, index_state = 'NONE' WHERE id = ${field}`);
    await api.db.query(sql`UPDATE audiences SET dirty_at = now() WHERE id = ${broken}`);
    await api.db.query(sql`
      UPDATE audiences SET last_calculated_at = now() - interval '5 minutes' WHERE id = ${recent}`);
    await world.contact();
    expect(await tick(REFRESH_AUDIENCES_WORKFLOW)).toEqual({ refreshed: 1, failed: 1 });
    expect(await read(recent)).toMatchObject({ member_count: 1, calculation: { is_time_dependent: true } });
    expect((await read(broken)).calculation).toMatchObject({ state: 'FAILED', error: 'DEFINITION' });
  });
});
