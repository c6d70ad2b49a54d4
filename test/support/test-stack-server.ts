import { createServer, type Server } from 'node:http';
import { startTestStack, type TestStack } from '../../dev/test-stack';

/**
 * Starts the test stack when the first suite asks for it, so that a run of unit tests alone starts nothing. Lives in
 * the Jest process; suites reach it over loopback HTTP (see stack.ts).
 */
export class TestStackServer {
  #server: Server | undefined;
  #stack: Promise<TestStack> | undefined;

  /** @returns the URL that suites ask */
  listen(): Promise<string> {
    const server = createServer((_request, response) => {
      this.#stack ??= startTestStack((line) => process.stderr.write(`${line}\n`));
      this.#stack.then(
        (stack) => response.setHeader('content-type', 'application/json').end(JSON.stringify(stack.addresses)),
        (error: unknown) => response.writeHead(500).end(error instanceof Error ? error.message : String(error)),
      );
    });
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        if (typeof address !== 'object' || !address) return reject(new Error('no address'));
        // Jest ends when its tests have ended, even where teardown is not reached.
        server.unref();
        resolve(`http://127.0.0.1:${address.port}/`);
      });
    });
  }

  /** The stack, if a suite has asked for it and it came up. */
  async started(): Promise<TestStack | undefined> {
    return this.#stack?.catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#server?.closeAllConnections();
    this.#server?.close();
    const stack = await this.#stack?.catch(() => undefined);
    await stack?.stop();
  }
}
