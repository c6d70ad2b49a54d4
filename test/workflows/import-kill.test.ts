import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTestApi, type TestApi } from '../support/api';
import {
  defineSampleFields,
  expectedImport,
  rebuiltProfiles,
  sampleContacts,
  startImport,
  storedProfiles,
} from '../support/imports';
import { processEnvironment, spawnApi, spawnWorker, stopTestProcesses } from '../support/stack';

const ROWS = 60_000;

let api: TestApi;
const folders: string[] = [];

/** A working directory that is nobody else's: API and workers share no disk. */
function ownFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sally-import-'));
  folders.push(folder);
  return folder;
}

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'import kill' });
});

afterAll(async () => {
  await stopTestProcesses();
  await api.close();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

test('an import goes on behind its last batch after kill -9 of the worker, and applies every row once', async () => {
  const { workspace } = api;
  await defineSampleFields(api, workspace);
  const text = await sampleContacts(ROWS, 23);
  const { counts, profiles } = expectedImport(text, 'reject');
  const env = await processEnvironment({ database: api.database, namespace: api.namespace });
  const [server, worker] = await Promise.all([
    spawnApi({ env, cwd: ownFolder() }),
    spawnWorker({ role: 'control', env, cwd: ownFolder() }),
  ]);
  const { id, workflowId } = await startImport(workspace, server.url, text);
  const progress = async () => {
    const { rows } = await api.db.query<{ done: number | null }>(
      `SELECT (progress ->> 'rowsDone')::int AS done FROM jobs WHERE id = $1`,
      [id],
    );
    return rows[0]?.done ?? 0;
  };
  // Early enough that the import is not over where this process stands still for a moment.
  const killAt = Math.floor(ROWS * (0.1 + 0.4 * Math.random()));
  while ((await progress()) < killAt) await new Promise((resolve) => setTimeout(resolve, 5));
  process.kill(worker.pid, 'SIGKILL');
  // What Postgres had taken before the kill may still be committed a moment later.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const left = await progress();
  expect(left).toBeLessThan(ROWS);
  await spawnWorker({ role: 'control', env, cwd: ownFolder() });
  const result = await api.deps.temporal.workflow.getHandle(workflowId).result();
  expect(result).toMatchObject({ state: 'DONE', progress: { ...counts, rowsDone: ROWS } });

  const stored = await storedProfiles(api.db, workspace.id);
  expect(stored).toEqual(profiles);
  expect(await rebuiltProfiles(api.db, workspace.id)).toEqual(stored);
  const { rows } = await api.db.query(
    `SELECT count(*) AS submissions, count(DISTINCT origin_row) AS rows FROM submissions WHERE origin_id = $1`,
    [id],
  );
  const changed = counts.created + counts.updated;
  expect(rows).toEqual([{ submissions: changed, rows: changed }]);
  const { rows: rejected } = await api.db.query('SELECT count(*) AS count FROM import_rejections WHERE job_id = $1', [
    id,
  ]);
  expect(rejected).toEqual([{ count: counts.rejected }]);
  // Nothing of the file is on a disk that another process would need.
  expect(folders.flatMap((folder) => readdirSync(folder))).toEqual([]);
}, 400_000);
