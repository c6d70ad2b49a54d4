import { setTimeout as sleep } from 'node:timers/promises';
import { findPort, isPortFree } from './ports';
import { describeExit, type ManagedProcess } from './processes';

/** A part of the stack that is started again, at the same address, when it ends by itself. */
export interface Service {
  readonly name: string;
  readonly pid: number;
  /** The process of this moment. */
  current(): ManagedProcess;
  /** Starts it again at the same address. */
  restart(): Promise<void>;
}

/**
 * Starts a program that listens on a port given to it: on `preferred` or one near it, trying another when somebody
 * else takes the port in between.
 */
export async function startOnPort(options: {
  name: string;
  preferred: number;
  launch: (port: number) => Promise<ManagedProcess>;
}): Promise<Service & { port: number }> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await findPort(options.preferred);
    try {
      let managed = await options.launch(port);
      return {
        name: options.name,
        port,
        get pid() {
          return managed.pid;
        },
        current: () => managed,
        restart: async () => {
          managed = await options.launch(port);
        },
      };
    } catch (error) {
      if (attempt >= 5 || (await isPortFree(port))) throw error;
    }
  }
}

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
/** A process that ran this long was healthy: its next end is not counted as a repetition. */
const HEALTHY_MS = 60_000;

/** Restarts services that die, with growing pauses, until `stop`. */
export class Supervisor {
  #stopped = false;

  constructor(
    private readonly say: (line: string) => void,
    private readonly onRestart: () => void,
  ) {}

  /** Nothing is restarted any more. Call before an orderly shutdown. */
  stop(): void {
    this.#stopped = true;
  }

  watch(service: Service): void {
    void this.#keepRunning(service);
  }

  async #keepRunning(service: Service): Promise<void> {
    let pause = FIRST_PAUSE_MS;
    for (;;) {
      const since = Date.now();
      const exit = await service.current().exited;
      if (this.#stopped) return;
      if (Date.now() - since > HEALTHY_MS) pause = FIRST_PAUSE_MS;
      this.say(
        `${service.name} ended (${describeExit(exit)}); starting it again. Its log: ${service.current().logFile}`,
      );
      await sleep(pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      if (this.#stopped) return;
      try {
        await service.restart();
        this.onRestart();
      } catch (error) {
        this.say(`${service.name} did not start again: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
}
