import { parentPort, workerData } from 'node:worker_threads';
import type { TaskReply, TaskRequest } from './thread-pool';

/** The script of each thread of a pool: loads the module, then runs its functions one at a time. */

function loadTasks(): Map<string, (input: unknown) => unknown> {
  const modulePath: unknown = workerData?.modulePath;
  if (typeof modulePath !== 'string') throw new TypeError('workerData.modulePath must be a path');
  const tasks = new Map<string, (input: unknown) => unknown>();
  const loaded: unknown = require(modulePath);
  for (const [name, value] of Object.entries(Object(loaded))) {
    if (typeof value === 'function') tasks.set(name, (input) => value(input));
  }
  return tasks;
}

function reply(message: TaskReply): void {
  parentPort?.postMessage(message);
}

const tasks = loadTasks();

parentPort?.on('message', async ({ name, input }: TaskRequest) => {
  try {
    const task = tasks.get(name);
    if (task === undefined) throw new TypeError(`the module has no function ${name}`);
    reply({ kind: 'done', value: await task(input) });
  } catch (error) {
    reply({
      kind: 'failed',
      message: error instanceof Error ? `${error.name}: ${error.message}`.slice(0, 1_000) : 'unknown',
    });
  }
});
reply({ kind: 'ready' });
