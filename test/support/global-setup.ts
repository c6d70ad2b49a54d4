import { TestStackServer } from './test-stack-server';

declare global {
  var sallyTestStackServer: TestStackServer | undefined;
}

/** Offers Postgres and Temporal to all suites, unless SALLY_TEST_STACK names a stack that is already running. */
export default async function globalSetup(): Promise<void> {
  if (process.env.SALLY_TEST_STACK) return;
  globalThis.sallyTestStackServer = new TestStackServer();
  process.env.SALLY_TEST_STACK_URL = await globalThis.sallyTestStackServer.listen();
}
