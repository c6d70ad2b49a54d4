import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { isProcessAlive } from './file-lock';
import { removePostgresData, startPostgres } from './postgres';
import { ProcessGroup } from './processes';
import { startTemporal } from './temporal';

/** What a test needs to know of the Postgres and Temporal that all suites of a run share. */
export const testStackSchema = z.object({
  /** The process that runs the stack. */
  pid: z.number(),
  postgres: z.object({
    adminUrl: z.string(),
    /** Of sally_owner, sally_api and sally_worker: roles belong to the server, so all databases share them. */
    passwords: z.object({ owner: z.string(), api: z.string(), worker: z.string() }),
  }),
  temporal: z.object({ address: z.string() }),
});

export type TestStackAddresses = z.infer<typeof testStackSchema>;

export interface TestStack {
  addresses: TestStackAddresses;
  stop(): Promise<void>;
}

/** Scratch space of test runs. */
export const TEST_DIRECTORY = join(__dirname, '..', '.sally', 'test');

/**
 * Starts one Postgres (fsync off) and one Temporal dev server (in memory, able to skip time) in about two seconds.
 * Their data are thrown away by `stop`.
 */
export async function startTestStack(say?: (line: string) => void): Promise<TestStack> {
  removeOldRuns();
  const directory = join(TEST_DIRECTORY, `run-${process.pid}`);
  mkdirSync(directory, { recursive: true });
  const processes = new ProcessGroup(join(directory, 'logs'));
  const dataDir = join(directory, 'postgres');
  const stop = async (): Promise<void> => {
    await processes.stopAll();
    removePostgresData(dataDir);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const [postgres, temporal] = await Promise.all([
      startPostgres({ processes, dataDir, durable: false }),
      startTemporal({ processes, timeSkipping: true, headless: true, say }),
    ]);
    const password = (): string => randomBytes(18).toString('base64url');
    const addresses: TestStackAddresses = {
      pid: process.pid,
      postgres: {
        adminUrl: postgres.adminUrl,
        passwords: { owner: password(), api: password(), worker: password() },
      },
      temporal: { address: temporal.address },
    };
    return { addresses, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Runs that were killed could not clean up. */
function removeOldRuns(): void {
  mkdirSync(TEST_DIRECTORY, { recursive: true });
  for (const name of readdirSync(TEST_DIRECTORY)) {
    const pid = /^run-(\d+)$/.exec(name)?.[1];
    if (!pid || isProcessAlive(Number(pid))) continue;
    // A suite's own servers lie in folders of that run; as root, their data may lie elsewhere.
    for (const part of ['.', ...readdirSync(join(TEST_DIRECTORY, name))]) {
      removePostgresData(join(TEST_DIRECTORY, name, part, 'postgres'));
    }
    rmSync(join(TEST_DIRECTORY, name), { recursive: true, force: true });
  }
}

/**
 * Reads the file of a shared stack.
 * @throws Error when it is missing or its stack has ended
 */
export function readTestStack(file: string): TestStackAddresses {
  const hint = `Start one with "npx tsx dev/test-stack.ts ${file}", or unset SALLY_TEST_STACK.`;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    throw new Error(`There is no shared test stack at ${file}. ${hint}`);
  }
  const addresses = testStackSchema.parse(JSON.parse(text));
  if (!isProcessAlive(addresses.pid)) throw new Error(`The shared test stack of ${file} has ended. ${hint}`);
  return addresses;
}

/** `npx tsx dev/test-stack.ts <file.json>`: a stack for several Jest runs at once, until it is interrupted. */
async function main(file: string): Promise<void> {
  const stack = await startTestStack((line) => console.log(line));
  mkdirSync(dirname(resolve(file)), { recursive: true });
  writeFileSync(`${file}.new`, `${JSON.stringify(stack.addresses, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
  console.log(`The test stack is up. Run tests with SALLY_TEST_STACK=${resolve(file)} npx jest …`);
  const keepAlive = setInterval(() => {}, 1 << 30);
  let stopping = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    clearInterval(keepAlive);
    rmSync(file, { force: true });
    stack.stop().then(
      () => process.exit(0),
      (error) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
}

if (require.main === module) {
  const file = process.argv[2];
  if (!file) {
    console.error('usage: npx tsx dev/test-stack.ts <file.json>');
    process.exit(2);
  }
  main(file).catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  });
}
