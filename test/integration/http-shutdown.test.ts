import { request } from 'node:http';
import { startTestApi, type TestApi } from '../support/api';
import { spawnApi, stopTestProcesses } from '../support/stack';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'http-shutdown' });
});
afterAll(async () => {
  await stopTestProcesses();
  await api.close();
});

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s: the running request is answered, no new one is taken, the exit is clean',
  async (signal) => {
    const spawned = await spawnApi({ env: api.environment });
    const body = JSON.stringify({ name: `Changed before ${signal}` });
    const answer = new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
      const running = request(
        `${spawned.url}/workspaces/${api.workspace.id}`,
        {
          method: 'PATCH',
          headers: {
            authorization: `Bearer ${api.tokens.owner}`,
            'content-type': 'application/json',
            'content-length': body.length,
          },
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => {
            text += chunk;
          });
          response.on('end', () => resolve({ status: response.statusCode, text }));
        },
      );
      running.on('error', reject);
      running.write(body.slice(0, 5), () => {
        // The server has begun to read; now it is told to stop, and then gets the rest.
        setTimeout(() => {
          process.kill(spawned.pid, signal);
          setTimeout(() => running.end(body.slice(5)), 500);
        }, 200);
      });
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
    await expect(fetch(`${spawned.url}/healthz`)).rejects.toThrow();
    expect(await answer).toMatchObject({ status: 200, text: expect.stringContaining(`Changed before ${signal}`) });
    expect(await spawned.process.waitForExit()).toMatchObject({ code: 0 });
  },
  60_000,
);
