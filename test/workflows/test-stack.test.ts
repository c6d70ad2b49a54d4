import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { PROJECT, tsxArguments } from '../../dev/tsx';
import {
  goSignal,
  schedulesManyActivities,
  sleepsForAMonth,
  waitsForAWeek,
} from '../support/fixtures/waiting-workflows';
import { temporalAddress, testNamespace } from '../support/stack';
import { fastForward, skipFreely, timeSkippingClient } from '../support/time-skipping';

const DAY = 86_400_000;
const taskQueue = 'waiting';

let folder: string;
let client: Client;
let skipping: Client;
let worker: Worker;
let connection: NativeConnection;
let running: Promise<void>;
const noted: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sally-test-'));
  const codePath = join(folder, 'bundle.js');
  const workflows = join(__dirname, '..', 'support', 'fixtures', 'waiting-workflows.ts');
  await promisify(execFile)(process.execPath, tsxArguments('dev/workflow-bundle-main.ts', codePath, workflows), {
    cwd: PROJECT,
  });
  const [address, namespace] = await Promise.all([temporalAddress(), testNamespace('waiting')]);
  client = new Client({ connection: await Connection.connect({ address }), namespace });
  skipping = await timeSkippingClient(address, namespace);
  connection = await NativeConnection.connect({ address });
  const note = async (tenant: string): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    noted.push(tenant);
  };
  worker = await Worker.create({
    connection,
    namespace,
    taskQueue,
    workflowBundle: { codePath },
    activities: { note },
    maxConcurrentActivityTaskExecutions: 1,
    // An eager activity passes by the queue, and so by its fairness.
    maxEagerActivityReservationsPerWorkflowTask: 0,
  });
  running = worker.run();
});

afterAll(async () => {
  worker.shutdown();
  await running;
  await Promise.all([connection.close(), client.connection.close(), skipping.connection.close()]);
  rmSync(folder, { recursive: true, force: true });
});

test('a skipping client’s workflow passes a month at once', async () => {
  const before = Date.now();
  const end = await skipping.workflow.execute(sleepsForAMonth, { taskQueue, workflowId: 'month' });
  expect(end - before).toBeGreaterThanOrEqual(30 * DAY);
  expect(Date.now() - before).toBeLessThan(DAY);
});

test('a workflow is moved to its fourth day and then signalled', async () => {
  const handle = await client.workflow.start(waitsForAWeek, { taskQueue, workflowId: 'week' });
  await fastForward(client, 'week', 4 * DAY);
  await handle.signal(goSignal);
  expect(await handle.result()).toEqual({ came: true, days: 4 });
});

test('a running workflow is let go to its end', async () => {
  const handle = await client.workflow.start(waitsForAWeek, { taskQueue, workflowId: 'other-week' });
  await skipFreely(client, 'other-week');
  expect(await handle.result()).toEqual({ came: false, days: 7 });
});

test('fairness is on: a small tenant does not wait behind a large one', async () => {
  const start = (tenant: string, count: number) =>
    client.workflow.start(schedulesManyActivities, {
      taskQueue,
      workflowId: `tenant-${tenant}`,
      args: [tenant, count],
      priority: { fairnessKey: tenant },
    });
  const large = await start('large', 200);
  // The large tenant's tasks are in the queue before the small one's.
  while (noted.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const small = await start('small', 10);
  await Promise.all([large.result(), small.result()]);
  const positions = noted.flatMap((tenant, index) => (tenant === 'small' ? [index] : []));
  expect(positions).toHaveLength(10);
  // Seen with fairness: the fifth of the small tenant's is the 9th to 25th of all; without it, the 133rd to 155th.
  expect(positions[4]).toBeLessThan(75);
});
