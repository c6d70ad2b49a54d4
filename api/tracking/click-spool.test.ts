import { appendFile, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { uuidv7 } from '../../platform/ids';
import { ClickSpool, type SpooledEngagement } from './click-spool';

let root: string;
let directory: string;
/** What the spool takes for the time: files become ready by it, however slow the machine is. */
let now: number;

beforeEach(async () => {
  now = Date.now();
  jest.spyOn(Date, 'now').mockImplementation(() => now);
  root = await mkdtemp(join(tmpdir(), 'sally-spool-unit-'));
  // Not there yet: the spool makes it when it is first needed.
  directory = join(root, 'clicks');
});

afterEach(async () => {
  jest.restoreAllMocks();
  await rm(root, { recursive: true, force: true });
});

const click = (more: Partial<SpooledEngagement> = {}): SpooledEngagement => ({
  id: uuidv7(),
  workspaceId: uuidv7(),
  messageId: uuidv7(),
  sourceId: uuidv7(),
  deliveryId: uuidv7(),
  kind: 'CLICK',
  linkPosition: 3,
  actor: 'human',
  occurredAt: new Date('2026-03-01T12:00:00.123Z'),
  ...more,
});

async function readAll(spool: ClickSpool): Promise<SpooledEngagement[]> {
  const files = await spool.ready();
  return (await Promise.all(files.map((file) => spool.read(file)))).flat();
}

test('nothing was spooled: there is nothing to replay and no directory is made', async () => {
  const spool = new ClickSpool(directory);
  expect(await spool.ready()).toEqual([]);
  await spool.close();
  expect(await readdir(root)).toEqual([]);
});

test('what was appended is read back as it was, once it is ready, until it is removed', async () => {
  const spool = new ClickSpool(directory);
  const clicks = [click(), click({ workspaceId: null, kind: 'OPEN', linkPosition: null })];
  await Promise.all(clicks.map((one) => spool.append([one])));
  expect(await spool.ready()).toEqual([]);
  await spool.close();
  expect(await readAll(spool)).toEqual(clicks);
  for (const file of await spool.ready()) await spool.remove(file);
  expect(await spool.ready()).toEqual([]);
  // Somebody else was faster.
  await spool.remove(join(directory, 'ready-gone.ndjson'));
});

test('several processes share a directory without taking what another still writes to', async () => {
  const [one, two] = [new ClickSpool(directory), new ClickSpool(directory)];
  await one.append([click()]);
  await two.append([click()]);
  await one.close();
  expect(await readAll(two)).toHaveLength(1);
  await two.close();
  expect(await readAll(one)).toHaveLength(2);
});

test('what a killed process left open is taken over when it is old; its cut line is left out', async () => {
  const killed = new ClickSpool(directory);
  await killed.append([click(), click()]);
  const [name = ''] = await readdir(directory);
  await appendFile(join(directory, name), '{"id":"0190');
  const next = new ClickSpool(directory, 60_000);
  expect(await next.ready()).toEqual([]);
  const long = new Date(now - 61_000);
  await utimes(join(directory, name), long, long);
  expect(await readAll(next)).toHaveLength(2);
  // The killed one was only frozen: what it appends now goes to another file.
  now += 1_050;
  await killed.append([click()]);
  await killed.close();
  expect(await readAll(next)).toHaveLength(3);
});

test('lines that are not ours are left out', async () => {
  const spool = new ClickSpool(directory);
  await spool.append([click()]);
  await spool.close();
  const [file = ''] = await spool.ready();
  await writeFile(file, `null\n[]\n{"id":"x"}\n${JSON.stringify({ ...click(), kind: 'BOUNCE' })}\n\n`);
  expect(await spool.read(file)).toEqual([]);
});

test('a disk that takes nothing is an error, and the next append is tried anew', async () => {
  await writeFile(directory, 'a file where the directory should be');
  const spool = new ClickSpool(directory);
  await expect(spool.append([click()])).rejects.toThrow();
  await rm(directory);
  await spool.append([click()]);
  await spool.close();
  expect(await readAll(spool)).toHaveLength(1);
});
