import {
  type BreakerRoute,
  closeBreaker,
  failProbe,
  openBreaker,
  openBreakers,
  takeProbe,
} from '../../db/delivery/breakers';
import { many, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { exampleWorld, type World } from '../support/examples';

let api: TestApi;
let world: World;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'breakers' });
});
beforeEach(async () => {
  world = await exampleWorld(api);
});
afterAll(() => api.close());

/** A provider and the routes of two From addresses at it. */
async function routes(): Promise<{ providerId: string; news: BreakerRoute; shop: BreakerRoute }> {
  const { body } = await world.call('POST', '/workspaces/{ws}/email-infrastructure/providers', {
    name: 'Relay',
    provider_type: 'SMTP',
    settings: { host: 'relay.invalid' },
    credentials: { username: 'sally', password: 'secret' },
  });
  const routeOf = async (email: string): Promise<BreakerRoute> => {
    const identity = await world.insert('sending_identities', { email });
    const routeId = await world.insert('routes', { provider_id: body.id, identity_id: identity });
    return { workspaceId: world.workspace.id, providerId: body.id, routeId, ip: null };
  };
  return {
    providerId: body.id,
    news: await routeOf('news@sender.example'),
    shop: await routeOf('shop@sender.example'),
  };
}

const refused = (route: BreakerRoute) => openBreaker(api.db, { ...route, reason: 'PERMANENT_FAILURES', sample: [] });
const list = async () => (await world.call('GET', '/workspaces/{ws}/email-infrastructure/breakers')).body.breakers;
const openAlerts = () =>
  many<{ cause: string }>(
    api.db,
    sql`SELECT cause FROM alerts WHERE workspace_id = ${world.workspace.id} AND kind = 'breaker-open' AND resolved_at IS NULL`,
  );
const makeDue = () =>
  api.db.query(sql`UPDATE breakers SET probe_at = sally_now() WHERE workspace_id = ${world.workspace.id}`);

test('refusals open the breaker of their sender, a lost provider that of everybody', async () => {
  const { providerId, news, shop } = await routes();
  await refused(news);
  expect(await list()).toEqual([
    expect.objectContaining({
      provider_id: providerId,
      from_email: 'news@sender.example',
      state: 'OPEN',
      reason: 'PERMANENT_FAILURES',
      failures: 1,
    }),
  ]);
  await openBreaker(api.db, { ...shop, reason: 'TLS', sample: [] });
  expect((await list()).map((row: { from_email: string | null }) => row.from_email)).toEqual([
    null,
    'news@sender.example',
  ]);
  expect(await openAlerts()).toHaveLength(2);
  // An operator's reset closes them all.
  await world.call('POST', `/workspaces/{ws}/email-infrastructure/providers/${providerId}/breaker/reset`);
  expect(await list()).toEqual([]);
  expect(await openAlerts()).toEqual([]);
});

test('one probe at a time, and none while either of the two is not due', async () => {
  const { news, shop } = await routes();
  await refused(news);
  expect(await takeProbe(api.db, news)).toBe(false);
  // The other sender is not held back at all.
  expect(await takeProbe(api.db, shop)).toBe(false);
  await makeDue();
  const taken = await Promise.all(Array.from({ length: 8 }, () => takeProbe(api.db, news)));
  expect(taken.filter(Boolean)).toHaveLength(1);
  await openBreaker(api.db, { ...news, reason: 'CONNECT', sample: [] });
  await api.db.query(
    sql`UPDATE breakers SET probe_at = sally_now() WHERE workspace_id = ${world.workspace.id} AND reason = 'PERMANENT_FAILURES'`,
  );
  expect(await takeProbe(api.db, news)).toBe(false);
  await makeDue();
  expect(await takeProbe(api.db, news)).toBe(true);
});

test('a refused probe doubles the wait of its sender, up to an hour; an accepted one closes', async () => {
  const { news } = await routes();
  const minutes = async () => {
    const [row] = await openBreakers(api.db, world.workspace.id);
    return Math.round((row?.probeInMs ?? 0) / 60_000);
  };
  await refused(news);
  const waits = [await minutes()];
  for (let n = 0; n < 5; n += 1) {
    await makeDue();
    expect(await takeProbe(api.db, news)).toBe(true);
    expect(await failProbe(api.db, { ...news, deliveryId: news.routeId })).toBe('opened');
    waits.push(await minutes());
  }
  expect(waits).toEqual([5, 10, 20, 40, 60, 60]);
  await closeBreaker(api.db, news);
  expect(await list()).toEqual([]);
  expect(await openAlerts()).toEqual([]);
  // For a provider that could not be reached, a refusal is an answer.
  await openBreaker(api.db, { ...news, reason: 'CONNECT', sample: [] });
  expect(await failProbe(api.db, { ...news, deliveryId: news.routeId })).toBe('closed');
  expect(await list()).toEqual([]);
});

/** The same route through a dedicated IP that has a log-in of its own. */
async function throughIp(route: BreakerRoute, address: string): Promise<BreakerRoute> {
  const { body } = await world.call('POST', '/workspaces/{ws}/email-infrastructure/dedicated-ips', {
    provider_id: route.providerId,
    ip_address: address,
    credentials: { username: address, password: 'of this IP' },
  });
  const identity = await world.insert('sending_identities', { email: `${address}@sender.example` });
  const ip_id: string = body.id;
  const routeId = await world.insert('routes', { provider_id: route.providerId, identity_id: identity, ip_id });
  return { ...route, routeId, ip: { id: ip_id, differsIn: 'login' } };
}

test('a refused log-in of a dedicated IP holds that IP alone, a lost server all of them', async () => {
  const { providerId, news } = await routes();
  const [one, two] = [await throughIp(news, '192.0.2.1'), await throughIp(news, '192.0.2.2')];
  await openBreaker(api.db, { ...one, reason: 'AUTHENTICATION', sample: [] });
  expect(await list()).toMatchObject([
    { provider_id: providerId, from_email: null, dedicated_ip_id: one.ip?.id, reason: 'AUTHENTICATION' },
  ]);
  expect(await openAlerts()).toEqual([{ cause: `${providerId}/${one.ip?.id}` }]);
  const { body } = await world.call('GET', `/workspaces/{ws}/email-infrastructure/providers/${providerId}`);
  expect(body.breaker.state).toBe('CLOSED');
  await makeDue();
  // Nothing binds the others, so there is nothing to probe.
  expect([await takeProbe(api.db, two), await takeProbe(api.db, news)]).toEqual([false, false]);
  // What another way proves is not what is wrong with this one.
  await closeBreaker(api.db, two);
  expect(await list()).toHaveLength(1);
  // The provider's own log-in is another one; its server is that of all.
  await openBreaker(api.db, { ...news, reason: 'AUTHENTICATION', sample: [] });
  await makeDue();
  expect(await takeProbe(api.db, two)).toBe(false);
  await openBreaker(api.db, { ...two, reason: 'CONNECT', sample: [] });
  expect((await list()).map((row: { reason: string }) => row.reason).sort()).toEqual(['AUTHENTICATION', 'CONNECT']);
  await makeDue();
  expect(await takeProbe(api.db, two)).toBe(true);
  // The server is there again; the log-in of the IP is as wrong as before.
  await closeBreaker(api.db, two);
  expect((await list()).map((row: { dedicated_ip_id: string }) => row.dedicated_ip_id)).toEqual([one.ip?.id]);
  await makeDue();
  expect(await takeProbe(api.db, one)).toBe(true);
  await closeBreaker(api.db, one);
  expect([await list(), await openAlerts()]).toEqual([[], []]);
});

test('a dedicated IP that is removed takes its breaker and its alert with it', async () => {
  const { news } = await routes();
  const one = await throughIp(news, '192.0.2.3');
  await openBreaker(api.db, { ...one, reason: 'AUTHENTICATION', sample: [] });
  await world.call('DELETE', `/workspaces/{ws}/email-infrastructure/dedicated-ips/${one.ip?.id}`);
  expect([await list(), await openAlerts()]).toEqual([[], []]);
});
