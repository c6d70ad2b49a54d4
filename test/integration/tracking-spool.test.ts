import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clickSpoolDirectory } from '../../api/tracking';
import { many, sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestWorkspace } from '../support/api';
import { consentWorkspace, messageToken, type SentMessage, sentMessage } from '../support/consent-world';
import { type DurablePostgres, durablePostgres, stopTestProcesses, type TestDatabase } from '../support/stack';
import { readUntil, sleep } from '../support/until';

/** A Postgres of its own, really stopped, crashed and frozen under an API that goes on answering clicks. */
let postgres: DurablePostgres;
let database: TestDatabase;
let api: TestApi;
let workspace: TestWorkspace;
let directory: string;
let spool: string;

beforeAll(async () => {
  postgres = await durablePostgres();
  database = await postgres.database('tracking spool');
  directory = await mkdtemp(join(tmpdir(), 'sally-spool-test-'));
  api = await startTestApi({
    databaseName: 'tracking spool',
    database,
    temporal: 'absent',
    env: { CLICK_SPOOL_DIRECTORY: directory, LOG_LEVEL: 'silent' },
  });
  api.db.pool.on('error', () => {});
  spool = clickSpoolDirectory(api.deps);
  workspace = await consentWorkspace(api);
});

afterAll(async () => {
  await api.close();
  await stopTestProcesses();
  await postgres.remove();
  await rm(directory, { recursive: true, force: true });
});

async function message(): Promise<SentMessage & { click: string; pixel: string }> {
  const sent = await sentMessage(api, workspace.id, { urls: ['https://example.com/'] });
  const token = messageToken(api, 'message-tracking', sent);
  return { ...sent, click: `/t/c/${token}.0`, pixel: `/t/p/${token}.gif` };
}

const recorded = (sent: SentMessage) =>
  many<{ kind: string; occurred_at: Date; workspace_id: string }>(
    api.db,
    sql`SELECT kind, occurred_at, workspace_id FROM engagements WHERE delivery_id = ${sent.deliveryId} ORDER BY id`,
  );

const spooled = async () => (existsSync(spool) ? (await readdir(spool)).length : 0);

test('with Postgres stopped, known links redirect and are replayed once; unknown ones say "later"', async () => {
  const known = await message();
  const unknown = await message();
  expect((await api.request('get', known.click)).status).toBe(302);
  await postgres.server.stop();

  const answers = await Promise.all(Array.from({ length: 50 }, () => api.request('get', known.click)));
  expect(answers.map((answer) => answer.status)).toEqual(Array(50).fill(302));
  expect(answers[0]?.headers.get('location')).toBe('https://example.com/');
  expect((await api.request('get', known.pixel)).status).toBe(200);
  // A picture needs no link table: the open is kept, and its workspace is looked up by the replay.
  expect((await api.request('get', unknown.pixel)).status).toBe(200);
  const later = await api.request('get', unknown.click);
  expect(later.status).toBe(503);
  expect(Number(later.headers.get('retry-after'))).toBeGreaterThan(0);
  await readUntil(spooled, (files) => files > 0);
  expect(await spooled()).toBeGreaterThan(0);

  await postgres.server.start();
  const rows = await readUntil(
    () => recorded(known),
    (found) => found.length >= 52,
  );
  expect(rows.filter((row) => row.kind === 'CLICK')).toHaveLength(51);
  expect(rows.filter((row) => row.kind === 'OPEN')).toHaveLength(1);
  expect(await readUntil(spooled, (files) => files === 0)).toBe(0);
  expect(await recorded(known)).toHaveLength(52);
  const opens = await recorded(unknown);
  expect(opens).toEqual([expect.objectContaining({ kind: 'OPEN', workspace_id: workspace.id })]);
});

test('a crash of Postgres in the middle loses no answered click and doubles none', async () => {
  const sent = await message();
  await readUntil(
    () => api.request('get', sent.click),
    (answer) => answer.status === 302,
  );
  let answered = 1;
  let going = true;
  const clicking = Promise.all(
    Array.from({ length: 8 }, async () => {
      while (going) {
        if ((await api.request('get', sent.click)).status === 302) answered += 1;
      }
    }),
  );
  await sleep(300);
  await postgres.server.crash();
  await sleep(300);
  await postgres.server.start();
  await sleep(300);
  going = false;
  await clicking;
  expect(await readUntil(spooled, (files) => files === 0)).toBe(0);
  const rows = await readUntil(
    () => recorded(sent),
    (found) => found.length >= answered,
  );
  expect(rows).toHaveLength(answered);
});

test('with Postgres frozen, clicks are answered all the same and recorded once when it goes on', async () => {
  const sent = await message();
  await readUntil(
    () => api.request('get', sent.click),
    (answer) => answer.status === 302,
  );
  await postgres.server.freeze();
  // They are answered while Postgres cannot say anything at all.
  const answers = await Promise.all(Array.from({ length: 20 }, () => api.request('get', sent.click)));
  expect(answers.map((answer) => answer.status)).toEqual(Array(20).fill(302));
  await postgres.server.thaw();
  expect(await readUntil(spooled, (files) => files === 0)).toBe(0);
  const rows = await readUntil(
    () => recorded(sent),
    (found) => found.length >= 21,
  );
  expect(rows).toHaveLength(21);
});
