import { join } from 'node:path';
import { createThreadPool, type ThreadPool, ThreadPoolError } from './thread-pool';

type Tasks = typeof import('./thread-pool-tasks.fixture');

/** For tasks that take no time: a crowded machine may take its own. */
const AMPLE_MS = 60_000;

const pools: ThreadPool<Tasks>[] = [];

function pool(options: Partial<{ threads: number; maxQueued: number }> = {}): ThreadPool<Tasks> {
  const created = createThreadPool<Tasks>({
    modulePath: join(__dirname, 'thread-pool-tasks.fixture'),
    threads: 1,
    maxQueued: 10,
    maxHeapMb: 64,
    maxWasmMb: 64,
    ...options,
  });
  pools.push(created);
  return created;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'OK';
  } catch (error) {
    return error instanceof ThreadPoolError ? error.code : `unexpected: ${String(error)}`;
  }
}

afterAll(async () => {
  await Promise.all(pools.map((created) => created.close()));
});

describe('a thread pool', () => {
  it('runs functions with their arguments and returns their results', async () => {
    const threads = pool({ threads: 2 });
    const results = await Promise.all([1, 2, 3, 4].map((n) => threads.run('double', n, AMPLE_MS)));
    expect(results).toEqual([2, 4, 6, 8]);
    expect(threads.load()).toEqual({ running: 0, queued: 0 });
  });

  it('ends what takes too long, and goes on with another thread', async () => {
    const threads = pool();
    expect(await codeOf(threads.run('spin', null, 100))).toBe('TIMEOUT');
    expect(await threads.run('double', 21, AMPLE_MS)).toBe(42);
  });

  it('ends what takes too much heap', async () => {
    const threads = pool();
    expect(await codeOf(threads.run('fillHeap', null, 30_000))).toBe('CRASHED');
    expect(await threads.run('double', 21, AMPLE_MS)).toBe(42);
  });

  it('bounds the memory of WebAssembly', async () => {
    const threads = pool();
    expect(await threads.run('growWasm', 32, AMPLE_MS)).toBe('grown');
    expect(await threads.run('growWasm', 100, AMPLE_MS)).toBe('refused');
  });

  it('replaces a thread whose task threw', async () => {
    const threads = pool();
    const before = await threads.run('countCalls', null, AMPLE_MS);
    const again = await threads.run('countCalls', null, AMPLE_MS);
    expect(await codeOf(threads.run('fail', 'on purpose', AMPLE_MS))).toBe('TASK_FAILED');
    expect([before, again, await threads.run('countCalls', null, AMPLE_MS)]).toEqual([1, 2, 1]);
  });

  it('survives a thread that exits', async () => {
    const threads = pool();
    expect(await codeOf(threads.run('exit', null, AMPLE_MS))).toBe('CRASHED');
    expect(await threads.run('double', 1, AMPLE_MS)).toBe(2);
  });

  it('refuses what it can not queue', async () => {
    const threads = pool({ maxQueued: 1 });
    const running = threads.run('wait', 200, AMPLE_MS);
    const queued = threads.run('double', 1, AMPLE_MS);
    expect(await codeOf(threads.run('double', 2, AMPLE_MS))).toBe('QUEUE_FULL');
    expect(await Promise.all([running, queued])).toEqual([200, 2]);
  });

  it('fails what is unfinished when it is closed, and everything after', async () => {
    const threads = pool();
    const running = codeOf(threads.run('wait', 60_000, 60_000));
    const queued = codeOf(threads.run('double', 1, AMPLE_MS));
    await threads.close();
    expect([await running, await queued, await codeOf(threads.run('double', 1, AMPLE_MS))]).toEqual([
      'CLOSED',
      'CLOSED',
      'CLOSED',
    ]);
  });
});
