import { NativeConnection, Worker } from '@temporalio/worker';
import { createJourneyActivities } from '../../activities/journeys';
import { FailureInterceptor } from '../../activities/runtime/failure-interceptor';
import { laneWorkflow } from '../../domain/delivery';
import { PLAN_SEQUENCES_JOB, PLAN_SEQUENCES_WORKFLOW, planSequencesWorkflow } from '../../domain/journeys';
import { CONTROL_TASK_QUEUE } from '../../domain/shared/task-queues';
import { one, sql } from '../../platform/postgres';
import { ensureWorkflow } from '../../platform/temporal';
import { startTestApi, type TestApi } from '../support/api';
import { addConsented, audienceOf } from '../support/campaign-runs';
import { exampleWorld, type World } from '../support/examples';
import { enrolIn, mailboxesOf, sequenceOf, setClock } from '../support/sequence-world';
import { temporalAddress, workflowBundle } from '../support/stack';

let api: TestApi;
let world: World;
let stop: () => Promise<void>;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'plan_sequences', env: { ALLOW_PRIVATE_SMTP: 'true' } });
  await setClock(api, '2027-01-18T00:05:00+01:00');
  const connection = await NativeConnection.connect({ address: await temporalAddress() });
  const worker = await Worker.create({
    connection,
    namespace: api.namespace,
    taskQueue: CONTROL_TASK_QUEUE,
    workflowBundle: await workflowBundle(),
    activities: createJourneyActivities({ ...api.deps, db: api.db }),
    interceptors: {
      activity: [(context) => ({ inbound: new FailureInterceptor(api.deps.log, context.info.activityType) })],
    },
  });
  const running = worker.run();
  stop = async () => {
    worker.shutdown();
    await running;
    await connection.close();
  };
});
beforeEach(async () => {
  world = await exampleWorld(api);
  await api.db.query(sql`UPDATE workspaces SET time_zone = 'Europe/Berlin' WHERE id = ${world.workspace.id}`);
});
afterAll(async () => {
  await stop();
  await api.close();
});

async function planned(sequenceId: string): Promise<number> {
  const row = await one<{ n: number }>(
    api.db,
    sql`SELECT count(*)::int AS n FROM deliveries d JOIN sequence_enrolments e ON e.id = d.source_id WHERE e.sequence_id = ${sequenceId}`,
  );
  return row?.n ?? 0;
}

test('enrolling a list plans it without waiting for the next tick, and wakes the lane', async () => {
  const sequence = await sequenceOf(world, await mailboxesOf(world, 2, 5), [0, 1]);
  const answer = await enrolIn(world, sequence, {
    audience_id: await audienceOf(world, await addConsented(world, 12)),
  });
  expect(answer.workflow.workflow_id).toBe(`${PLAN_SEQUENCES_JOB}/${world.workspace.id}`);
  await api.deps.temporal.workflow.getHandle(answer.workflow.workflow_id).result();
  expect(await planned(sequence)).toBe(10);
  const lane = await one<{ lane_id: string; awake: boolean }>(
    api.db,
    sql`SELECT l.id AS lane_id, l.awake FROM sequences s JOIN streams t ON t.id = s.stream_id JOIN lanes l ON l.id = t.lane_id WHERE s.id = ${sequence}`,
  );
  expect(lane?.awake).toBe(true);
  const { workflowId } = laneWorkflow({ workspaceId: world.workspace.id, laneId: lane?.lane_id ?? '' });
  expect((await api.deps.temporal.workflow.getHandle(workflowId).describe()).status.name).toBe('RUNNING');
});

test('the tick plans every workspace; another one plans nothing more; a failing one does not keep the others back', async () => {
  const sequence = await sequenceOf(world, await mailboxesOf(world, 1, 5), [0]);
  await api.deps.temporal.workflow.getHandle(`${PLAN_SEQUENCES_JOB}/${world.workspace.id}`).result();
  const people = await addConsented(world, 3);
  await api.db.query(sql`INSERT INTO sequence_enrolments (workspace_id, sequence_id, contact_id, due_at)
    SELECT ${world.workspace.id}, ${sequence}, contact, sally_now() FROM unnest(${people}::uuid[]) AS contact`);
  // A workspace whose window can never be read: somebody has written to the table by hand.
  const broken = await exampleWorld(api);
  const brokenSequence = await sequenceOf(broken, await mailboxesOf(broken, 1, 5), [0]);
  await enrolIn(broken, brokenSequence, { contact_ids: await addConsented(broken, 1) });
  await api.db.query(sql`UPDATE deliveries d SET mailbox_date = NULL, slot_until = sally_now() FROM sequence_enrolments e
    WHERE e.id = d.source_id AND e.sequence_id = ${brokenSequence}`);
  await api.db.query(
    sql`UPDATE sequences SET send_window = '{"start": "x", "end": "y", "timezone": "Mars"}' WHERE id = ${brokenSequence}`,
  );
  const tick = async () => {
    const handle = await api.deps.temporal.workflow.start(PLAN_SEQUENCES_WORKFLOW, {
      workflowId: PLAN_SEQUENCES_JOB,
      taskQueue: CONTROL_TASK_QUEUE,
      staticSummary: 'Plans the mail of sequences',
    });
    await handle.result();
  };
  await tick();
  expect(await planned(sequence)).toBe(3);
  const job = () =>
    one<{ ran_at: Date }>(api.db, sql`SELECT ran_at FROM workspace_jobs WHERE workspace_id = ${world.workspace.id}`);
  const before = await job();
  await tick();
  expect(await planned(sequence)).toBe(3);
  expect((await job())?.ran_at.getTime()).toBeGreaterThan(before?.ran_at.getTime() ?? 0);
  await api.db.query(sql`UPDATE sequences SET status = 'PAUSED' WHERE id = ${brokenSequence}`);
});

test('who asks while a plan runs gets another one after it', async () => {
  const start = planSequencesWorkflow(world.workspace.id);
  const asked = await Promise.all(Array.from({ length: 5 }, () => ensureWorkflow(api.deps.temporal, start)));
  await api.deps.temporal.workflow.getHandle(start.workflowId).result();
  expect(asked).toHaveLength(5);
  const { events } = await api.deps.temporal.workflow.getHandle(start.workflowId).fetchHistory();
  expect((events ?? []).length).toBeLessThan(60);
});
