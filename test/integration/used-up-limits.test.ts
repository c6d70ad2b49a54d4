import { UsedUpLimits } from '../../activities/delivery/used-up-limits';
import { limitsWithRoom } from '../../db/delivery/capacity';
import type { CapacityKind, CapacityLimit } from '../../domain/delivery';
import { sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { exampleWorld, type World } from '../support/examples';

let api: TestApi;
let world: World;
const RESOURCE = '0199a1b2-0000-7000-8000-000000000001';
const OTHER = '0199a1b2-0000-7000-8000-000000000002';

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'used-up-limits' });
});
beforeEach(async () => {
  world = await exampleWorld(api);
  await api.db.query(sql`UPDATE workspaces SET time_zone = 'Pacific/Kiritimati' WHERE id = ${world.workspace.id}`);
});
afterAll(() => api.close());

const limit = (kind: CapacityKind, most: number, resourceId = RESOURCE): CapacityLimit => ({
  kind,
  resourceId,
  limit: most,
});

/** Units taken, in a window that the rules' clock names. */
async function use(kind: CapacityKind, used: number, window: ReturnType<typeof sql>, resourceId = RESOURCE) {
  await api.db.query(sql`
    INSERT INTO capacity (workspace_id, kind, resource_id, window_key, limit_units, used)
    SELECT ${world.workspace.id}, ${kind}, ${resourceId}, ${window}, 10, ${used} FROM workspaces w WHERE w.id = ${world.workspace.id}`);
}
const today = sql`(sally_now() AT TIME ZONE w.time_zone)::date::text`;
const yesterday = sql`((sally_now() AT TIME ZONE w.time_zone)::date - 1)::text`;
const hoursAgo = (hours: number) =>
  sql`to_char((sally_now() - ${hours} * interval '1 hour') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24')`;
const withRoom = (...limits: CapacityLimit[]) => limitsWithRoom(api.db, world.workspace.id, limits);

test('a day has room below its limit, whatever was used the day before', async () => {
  await use('domain-day', 10, today);
  await use('domain-day', 500, yesterday);
  expect(await withRoom(limit('domain-day', 10), limit('domain-day', 11))).toEqual([limit('domain-day', 11)]);
  // Nothing was ever taken of these.
  const untouched = [limit('domain-day', 1, OTHER), limit('ip-day', 1)];
  expect(await withRoom(...untouched)).toEqual(untouched);
});

test('a rolling day counts its hours, and not those that have left it', async () => {
  await use('provider-hour', 4, hoursAgo(0));
  await use('provider-hour', 3, hoursAgo(24));
  await use('provider-hour', 500, hoursAgo(25));
  await use('provider-hour', 0, sql`''`);
  expect(await withRoom(limit('provider-hour', 7), limit('provider-hour', 8))).toEqual([limit('provider-hour', 8)]);
});

test('what was found used up is asked again once units are seen to be left, and not before', async () => {
  await use('domain-day', 10, today);
  const limits = new UsedUpLimits(api.db);
  const [day, ip] = [limit('domain-day', 10), limit('ip-day', 5)];
  await use('ip-day', 5, today);
  for (const known of [day, ip]) limits.note(world.workspace.id, known, 3_600_000);
  await limits.lookAgain(world.workspace.id);
  expect([limits.until([day]) > 0, limits.until([ip]) > 0, limits.until([])]).toEqual([true, true, 0]);
  // By whomever: another process, the watchdog, an operator.
  await api.db.query(sql`UPDATE capacity SET used = 9 WHERE resource_id = ${RESOURCE} AND kind = 'domain-day'
    AND workspace_id = ${world.workspace.id} AND used = 10`);
  await limits.lookAgain(world.workspace.id);
  expect([limits.until([day]), limits.until([ip]) > 0, limits.until([day, ip]) > 0]).toEqual([0, true, true]);
  // A limit that was raised is another one.
  expect(limits.until([limit('ip-day', 6)])).toBe(0);
});

test('units that come back open the limits they are of', () => {
  const limits = new UsedUpLimits(api.db);
  const unit = (kind: CapacityKind, resource = RESOURCE) => ({ kind, resource, window: '2026-11-30' });
  expect(limits.reopen([unit('provider-day')])).toBe(false);
  limits.note(world.workspace.id, limit('provider-day', 3), 3_600_000);
  expect(limits.reopen([unit('provider-day', OTHER), unit('domain-day')])).toBe(false);
  expect(limits.until([limit('provider-day', 3)])).toBeGreaterThan(0);
  expect(limits.reopen([unit('domain-day'), unit('provider-day')])).toBe(true);
  expect([limits.until([limit('provider-day', 3)]), limits.reopen([unit('provider-day')])]).toEqual([0, false]);
});
