import { once } from 'node:events';
import { request } from 'node:http';
import { startTestApi, type TestApi } from '../support/api';
import { spawnApi, stopTestProcesses } from '../support/stack';
import { until } from '../support/until';

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
    const running = request(`${spawned.url}/workspaces/${api.workspace.id}`, {
      method: 'PATCH',
      headers: {
        authorization: `Bearer ${api.tokens.owner}`,
        'content-type': 'application/json',
        'content-length': body.length,
        // Answered when the server has read this far.
        expect: '100-continue',
      },
    });
    const begun = once(running, 'continue');
    const answer = once(running, 'response').then(async ([response]) => ({
      status: response.statusCode,
      text: Buffer.concat(await response.toArray()).toString(),
    }));
    running.flushHeaders();
    await begun;
    running.write(body.slice(0, 5));
    process.kill(spawned.pid, signal);
    await until('nobody is let in any more', () =>
      fetch(`${spawned.url}/healthz`).then(
        () => false,
        () => true,
      ),
    );
    running.end(body.slice(5));
    expect(await answer).toMatchObject({ status: 200, text: expect.stringContaining(`Changed before ${signal}`) });
    expect(await spawned.process.waitForExit()).toMatchObject({ code: 0 });
  },
);
