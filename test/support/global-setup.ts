import { findTemporalCli } from '../../dev/temporal-cli';
import { TestStackServer } from './test-stack-server';

declare global {
  var sallyTestStackServer: TestStackServer | undefined;
}

/** Offers Postgres and Temporal to all suites, unless SALLY_TEST_STACK names a stack that is already running. */
export default async function globalSetup(): Promise<void> {
  if (process.env.SALLY_TEST_STACK) return;
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  // A first download takes longer than a test may. Without it unit tests still run; the others say what is missing.
  await findTemporalCli(say).catch((error: unknown) => say(error instanceof Error ? error.message : String(error)));
  globalThis.sallyTestStackServer = new TestStackServer();
  process.env.SALLY_TEST_STACK_URL = await globalThis.sallyTestStackServer.listen();
}
