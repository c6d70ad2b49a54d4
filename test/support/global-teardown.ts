import { unreadableRuns } from './readable-runs';

/**
 * Stops what the suites have started. Before, looks at every run they left on the Temporal server: one that an operator
 * could not read in its UI fails the whole run of tests.
 */
export default async function globalTeardown(): Promise<void> {
  const server = globalThis.sallyTestStackServer;
  if (!server) return;
  try {
    const stack = await server.started();
    if (!stack) return;
    const { looked, unreadable } = await unreadableRuns(stack.addresses.temporal.address);
    if (unreadable.length > 0) throw new Error(`No summary in the Temporal UI:\n${unreadable.join('\n')}`);
    process.stderr.write(`Every activity and timer of ${looked} workflow runs has its summary.\n`);
  } finally {
    await server.close();
  }
}
