import { extname, join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';

/**
 * Runs functions of one module on worker threads, for work that can't be trusted to end or to be small. A task that
 * takes too long, or too much memory, costs its thread, which is replaced; the process goes on.
 */
export interface ThreadPoolOptions {
  /** Absolute path of a CommonJS module without extension; its exported functions take one cloneable argument. */
  readonly modulePath: string;
  readonly threads: number;
  /** Tasks waiting for a thread; more are refused with QUEUE_FULL. */
  readonly maxQueued: number;
  /** JavaScript heap of one thread, in MiB. */
  readonly maxHeapMb: number;
  /**
   * Memory of each WebAssembly instance made from now on, in MiB. Node has no such limit per thread, so this holds for
   * the whole process.
   */
  readonly maxWasmMb: number;
}

export type ThreadPoolErrorCode = 'TIMEOUT' | 'CRASHED' | 'TASK_FAILED' | 'QUEUE_FULL' | 'CLOSED';

export class ThreadPoolError extends Error {
  override readonly name = 'ThreadPoolError';
  constructor(
    readonly code: ThreadPoolErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** Functions by name, as a module's `typeof import(…)` gives them. */
export type TaskModule<M> = { [K in keyof M]: (input: never) => unknown };

export interface ThreadPool<M extends TaskModule<M>> {
  /**
   * @param timeoutMs of running, not of waiting for a thread
   * @throws ThreadPoolError: TIMEOUT, CRASHED (out of memory), TASK_FAILED (the function threw), QUEUE_FULL, CLOSED
   */
  run<K extends keyof M & string>(
    name: K,
    input: Parameters<M[K]>[0],
    timeoutMs: number,
  ): Promise<Awaited<ReturnType<M[K]>>>;
  /** Tasks running and waiting, for metrics. */
  load(): { readonly running: number; readonly queued: number };
  /** Ends all threads at once; unfinished tasks fail with CLOSED. */
  close(): Promise<void>;
}

/** Between a pool and its threads. */
export interface TaskRequest {
  readonly name: string;
  readonly input: unknown;
}
export type TaskReply =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly message: string };

/** Loading a module through a TypeScript loader on a busy machine takes seconds. */
const START_TIMEOUT_MS = 60_000;

interface Task extends TaskRequest {
  readonly timeoutMs: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: ThreadPoolError) => void;
}

/** Threads are started when they are first needed; an idle pool does not keep the process alive. */
export function createThreadPool<M extends TaskModule<M>>(options: ThreadPoolOptions): ThreadPool<M> {
  setFlagsFromString(`--wasm-max-mem-pages=${options.maxWasmMb * 16}`);
  const pool = new Pool(options);
  return {
    run<K extends keyof M & string>(name: K, input: Parameters<M[K]>[0], timeoutMs: number) {
      // What comes back was returned by that very function in another thread, so its type is known.
      return pool.run(name, input, timeoutMs) as Promise<Awaited<ReturnType<M[K]>>>;
    },
    load: () => pool.load(),
    close: () => pool.close(),
  };
}

class Pool {
  private readonly threads = new Set<Thread>();
  private readonly queue: Task[] = [];
  private closed = false;

  constructor(private readonly options: ThreadPoolOptions) {}

  run(name: string, input: unknown, timeoutMs: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.closed) {
        reject(new ThreadPoolError('CLOSED', 'the thread pool is closed'));
        return;
      }
      const idle = [...this.threads].some((thread) => thread.isIdle()) || this.threads.size < this.options.threads;
      if (!idle && this.queue.length >= this.options.maxQueued) {
        reject(new ThreadPoolError('QUEUE_FULL', 'too many tasks are waiting for a thread'));
        return;
      }
      this.queue.push({ name, input, timeoutMs, resolve, reject });
      this.dispatch();
    });
  }

  load(): { running: number; queued: number } {
    return { running: [...this.threads].filter((thread) => !thread.isIdle()).length, queued: this.queue.length };
  }

  async close(): Promise<void> {
    this.closed = true;
    const closing = new ThreadPoolError('CLOSED', 'the thread pool is closed');
    for (const task of this.queue.splice(0)) task.reject(closing);
    await Promise.all([...this.threads].map((thread) => thread.end(closing)));
  }

  private dispatch(): void {
    while (this.queue.length > 0) {
      const thread = [...this.threads].find((candidate) => candidate.isIdle()) ?? this.startThread();
      const task = thread === null ? undefined : this.queue.shift();
      if (thread === null || task === undefined) return;
      thread.start(task);
    }
  }

  private startThread(): Thread | null {
    if (this.closed || this.threads.size >= this.options.threads) return null;
    const thread = new Thread(this.options, {
      onIdle: () => this.dispatch(),
      onEnd: () => {
        this.threads.delete(thread);
        this.dispatch();
      },
    });
    this.threads.add(thread);
    return thread;
  }
}

interface ThreadEvents {
  onIdle(): void;
  onEnd(): void;
}

class Thread {
  private readonly worker: Worker;
  private task: Task | null = null;
  private timer: NodeJS.Timeout | null = null;
  private ready = false;
  private ended = false;

  constructor(
    options: ThreadPoolOptions,
    private readonly events: ThreadEvents,
  ) {
    this.worker = startWorker(options);
    this.worker.on('message', (reply: TaskReply) => this.receive(reply));
    this.worker.on('error', (error) => this.fail(new ThreadPoolError('CRASHED', `a thread ended: ${error.message}`)));
    this.worker.on('exit', () => this.fail(new ThreadPoolError('CRASHED', 'a thread ended unexpectedly')));
    this.worker.unref();
  }

  isIdle(): boolean {
    return this.task === null && !this.ended;
  }

  start(task: Task): void {
    this.task = task;
    this.worker.ref();
    if (this.ready) this.send(task);
    else this.limit(START_TIMEOUT_MS, 'a thread did not start');
  }

  /** Ends the thread; its task fails with `error`. */
  async end(error: ThreadPoolError): Promise<void> {
    this.fail(error);
    await this.worker.terminate();
  }

  private send(task: Task): void {
    this.limit(task.timeoutMs, `${task.name} took longer than ${task.timeoutMs} ms`);
    const request: TaskRequest = { name: task.name, input: task.input };
    try {
      this.worker.postMessage(request);
    } catch {
      this.finish((running) => running.reject(new ThreadPoolError('TASK_FAILED', 'the input can not be cloned')));
    }
  }

  private receive(reply: TaskReply): void {
    switch (reply.kind) {
      case 'ready':
        this.ready = true;
        if (this.task !== null) this.send(this.task);
        return;
      case 'done':
        this.finish((task) => task.resolve(reply.value));
        return;
      case 'failed':
        // Whatever made the function throw may have left the thread's modules in any state.
        void this.end(new ThreadPoolError('TASK_FAILED', reply.message));
        return;
    }
  }

  private limit(milliseconds: number, message: string): void {
    if (this.timer !== null) clearTimeout(this.timer);
    const timer = setTimeout(() => {
      // One turn later: where this process itself stood still, the answer may have been there all the while.
      setImmediate(() => {
        if (this.timer === timer) void this.end(new ThreadPoolError('TIMEOUT', message));
      });
    }, milliseconds);
    this.timer = timer;
  }

  private finish(settle: (task: Task) => void): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    const task = this.task;
    this.task = null;
    if (!this.ended) this.worker.unref();
    if (task !== null) settle(task);
    if (!this.ended) this.events.onIdle();
  }

  private fail(error: ThreadPoolError): void {
    if (this.ended) return;
    this.ended = true;
    this.finish((task) => task.reject(error));
    this.events.onEnd();
  }
}

function startWorker({ modulePath, maxHeapMb }: ThreadPoolOptions): Worker {
  const extension = extname(__filename);
  const script = join(__dirname, `thread-pool-worker${extension}`);
  const settings = {
    workerData: { modulePath },
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: maxHeapMb, maxYoungGenerationSizeMb: 16 },
  };
  if (extension === '.js') return new Worker(script, settings);
  // A thread does not inherit the loader that lets this process run TypeScript.
  const loader = `require(${JSON.stringify(require.resolve('tsx/cjs/api'))}).register();`;
  return new Worker(`${loader}require(${JSON.stringify(script)});`, { ...settings, eval: true });
}
