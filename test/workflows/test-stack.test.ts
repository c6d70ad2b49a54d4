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
  noteTaskQueue,
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
let namespace: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sally-test-'));
  const codePath = join(folder, 'bundle.js');
  const workflows = join(__dirname, '..', 'support', 'fixtures', 'waiting-workflows.ts');
  await promisify(execFile)(process.execPath, tsxArguments('dev/workflow-bundle-main.ts', codePath, workflows), {
    cwd: PROJECT,
  });
  const address = await temporalAddress();
  namespace = await testNamespace('waiting');
  client = new Client({ connection: await Connection.connect({ address }), namespace });
  skipping = await timeSkippingClient(address, namespace);
  connection = await NativeConnection.connect({ address });
  worker = await Worker.create({ connection, namespace, taskQueue, workflowBundle: { codePath } });
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
  const start = async (tenant: string, count: number) => {
    const handle = await client.workflow.start(schedulesManyActivities, {
      taskQueue,
      workflowId: `tenant-${tenant}`,
      args: [tenant, count],
      priority: { fairnessKey: tenant },
    });
    while ((await handle.describe()).raw.pendingActivities?.length !== count) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return handle;
  };
  // All of the large tenant's tasks are in the queue before the small one's, and nobody has taken any.
  const large = await start('large', 200);
  const small = await start('small', 10);
  const noted: string[] = [];
  const notes = await Worker.create({
    connection,
    namespace,
    taskQueue: noteTaskQueue,
    activities: {
      note: async (tenant: string): Promise<void> => {
        noted.push(tenant);
      },
    },
    maxConcurrentActivityTaskExecutions: 1,
  });
  await notes.runUntil(Promise.all([large.result(), small.result()]));
  const positions = noted.flatMap((tenant, index) => (tenant === 'small' ? [index] : []));
  expect(positions).toHaveLength(10);
  // Each of the queue's partitions holds about fifty of the large tenant's: in the order of arrival the first of the
  // small tenant's comes when one partition has no more of them. With fairness it is one of the first few.
  expect(positions[0]).toBeLessThan(25);
});
