import { MxGroups } from '../../activities/delivery/mx-groups';
import { createLogger } from '../../platform/log';
import { startTestApi, type TestApi } from '../support/api';
import { NameServer } from '../support/name-server';
import { sleep, until } from '../support/until';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'mx-groups', temporal: 'absent' });
});
afterAll(() => api.close());

const servers: NameServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

async function nameServer(): Promise<NameServer> {
  const server = await NameServer.start({ 'corp.example': 'aspmx.l.google.com', 'own.example': 'mx.own.example' });
  servers.push(server);
  return server;
}

const log = createLogger({ name: 'mx-groups', level: 'silent' });

test('a domain counts as "other" until its exchangers are known, and is asked for once, by one process', async () => {
  const first = await nameServer();
  const groups = new MxGroups(api.db, log, first.address);
  expect([groups.groupOf('corp.example'), groups.groupOf('own.example')]).toEqual(['other', 'other']);
  await until('the group is known', () => groups.groupOf('corp.example') === 'gmail');
  for (let n = 0; n < 50; n += 1) groups.groupOf('own.example');
  expect(groups.groupOf('own.example')).toBe('other');
  await until('both were asked for', () => first.asked.includes('own.example'));
  expect(first.asked.sort()).toEqual(['corp.example', 'own.example']);
  const second = await nameServer();
  const elsewhere = new MxGroups(api.db, log, second.address);
  elsewhere.groupOf('corp.example');
  await until('the group is known elsewhere', () => elsewhere.groupOf('corp.example') === 'gmail');
  expect(second.asked).toEqual([]);
});

test('a look-up that fails is not repeated at once', async () => {
  const server = await nameServer();
  const groups = new MxGroups(api.db, log, server.address);
  groups.groupOf('gone.example');
  await until('it was asked', () => server.asked.length > 0);
  await sleep(50);
  for (let n = 0; n < 50; n += 1) expect(groups.groupOf('gone.example')).toBe('other');
  expect(server.asked).toEqual(['gone.example']);
});
