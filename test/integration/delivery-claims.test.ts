import { Client } from 'pg';
import { type Claim, claimGroup } from '../../activities/delivery/claim-group';
import { beginRun, materialiseBatch } from '../../db/campaigns';
import { auditCapacity } from '../../db/delivery/capacity';
import { claimSlot } from '../../db/delivery/claim';
import type { DueRow } from '../../db/delivery/read-ahead';
import { type RowSettlement, settleRows } from '../../db/delivery/settle';
import { type CapacityLimit, DatabaseClock, type SendOutcome, settle } from '../../domain/delivery';
import { localDate } from '../../domain/shared/zones';
import { uuidv7 } from '../../platform/ids';
import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { addConsented, rowsByStatus, sentOff } from '../support/campaign-runs';
import { exampleWorld, type World } from '../support/examples';
import { setClock } from '../support/sequence-world';

/** Claims as delivery processes make them, many at once, without rendering and sending. */
let api: TestApi;
let world: World;
let owner: Client;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'delivery-claims' });
  owner = new Client({ connectionString: api.database.ownerUrl });
  await owner.connect();
});
beforeEach(async () => {
  world = await exampleWorld(api);
});
afterEach(() => owner.query('DELETE FROM test_clock'));
afterAll(async () => {
  await owner.end();
  await api.close();
});

const NOT_SENT: SendOutcome = { kind: 'not-sent', cause: 'stopped', inData: false };

async function campaign(more: Record<string, unknown> = {}): Promise<string> {
  const { runId } = await sentOff(world, more);
  await beginRun(api.db, world.workspace.id, runId);
  while ((await materialiseBatch(api.db, { workspaceId: world.workspace.id, runId }, 1_000)).kind !== 'stopped');
  return runId;
}

function dueRows(runId: string): Promise<(DueRow & { lane_id: string })[]> {
  return many(
    api.db,
    sql`SELECT d.*, c.version AS contact_version, c.email FROM deliveries d
        JOIN contacts c ON c.workspace_id = d.workspace_id AND c.id = d.contact_id
        WHERE d.source_id = ${runId} AND d.status = 'QUEUED' ORDER BY d.id`,
  );
}

async function claim(
  rows: (DueRow & { lane_id: string })[],
  caps: CapacityLimit[],
  zone = 'UTC',
): Promise<Claim | null> {
  const [first] = rows;
  if (!first) return null;
  return claimGroup(api.db, api.deps.log, {
    claimId: uuidv7(),
    workspaceId: world.workspace.id,
    laneId: first.lane_id,
    streamId: first.stream_id,
    processId: uuidv7(),
    counterSlot: claimSlot(0),
    route: { routeId: uuidv7(), reason: 'test', rateLimit: null, caps },
    candidates: rows.map((due) => ({
      due,
      address: due.email ?? '',
      recipientName: '',
      message: null,
      failure: null,
      campaignId: null,
      renderBegun: 0,
      renderEnded: 0,
    })),
    databaseClock: new DatabaseClock(),
    today: (now) => localDate(zone, now),
  });
}

async function settleAll(made: Claim, processId: string, outcome: SendOutcome): Promise<void> {
  const rows = made.claimed.map(({ row, candidate }): RowSettlement => {
    const before = {
      messageClass: row.message_class,
      attempts: row.attempts,
      maxAttempts: row.max_attempts,
      dataDrops: row.data_drops,
    };
    return {
      workspaceId: candidate.due.workspace_id,
      streamId: candidate.due.stream_id,
      sourceId: row.source_id,
      id: row.id,
      claimId: made.claimId,
      claimedAt: made.claimedAt,
      routeId: made.claimId,
      settlement: settle(outcome, before, 3_000),
      providerMessageId: null,
      attempt: null,
      units: made.units,
      hasFrequencyUnit: row.frequency !== null,
    };
  });
  await settleRows(api.db, processId, rows);
}

const audit = () => auditCapacity(api.db, world.workspace.id, new Date(0));

async function standAt(moment: string): Promise<void> {
  await owner.query('SELECT sally_ensure_partitions($1::timestamptz, 2)', [moment]);
  await setClock(api, moment);
}

describe('capacity', () => {
  test('many claims at once take exactly what there is, of every limit', async () => {
    await addConsented(world, 120);
    const runId = await campaign();
    const rows = await dueRows(runId);
    const provider = uuidv7();
    const caps: CapacityLimit[] = [
      { kind: 'provider-day', resourceId: provider, limit: 90 },
      { kind: 'provider-hour', resourceId: provider, limit: 70 },
      { kind: 'domain-day', resourceId: uuidv7(), limit: 100 },
    ];
    const groups = Array.from({ length: 12 }, (_, n) => rows.slice(n * 10, n * 10 + 10));
    const made = await Promise.all(groups.map((group) => claim(group, caps)));
    expect(made.reduce((sum, each) => sum + (each?.claimed.length ?? 0), 0)).toBe(70);
    expect(made.some((each) => each?.exhausted?.kind === 'provider-hour')).toBe(true);
    expect(await rowsByStatus(api.db, runId)).toEqual({ QUEUED: 50, SENDING: 70 });
    expect(await audit()).toEqual([]);
    // What comes back can be taken again, and no more.
    const [first] = made.filter((each) => each?.claimed.length === 10);
    if (first) await settleAll(first, uuidv7(), NOT_SENT);
    expect(await audit()).toEqual([]);
    const again = await Promise.all((await dueRows(runId)).map((row) => claim([row], caps)));
    expect(again.reduce((sum, each) => sum + (each?.claimed.length ?? 0), 0)).toBe(10);
    expect(await audit()).toEqual([]);
  });

  test('a rolling day frees an hour after a day, not at midnight', async () => {
    await addConsented(world, 6);
    const rows = await dueRows(await campaign());
    const caps: CapacityLimit[] = [{ kind: 'provider-hour', resourceId: uuidv7(), limit: 2 }];
    const taken = async (at: string, index: number) => {
      await standAt(at);
      return (await claim(rows.slice(index, index + 1), caps))?.claimed.length;
    };
    expect(await taken('2031-03-01T22:10:00Z', 0)).toBe(1);
    expect(await taken('2031-03-01T23:50:00Z', 1)).toBe(1);
    expect(await taken('2031-03-02T00:10:00Z', 2)).toBe(0);
    // 24 hours after the first its bucket still counts: rather an hour too late than one message too many.
    expect(await taken('2031-03-02T22:40:00Z', 2)).toBe(0);
    expect(await taken('2031-03-02T23:00:00Z', 2)).toBe(1);
    expect(await taken('2031-03-02T23:10:00Z', 3)).toBe(0);
  });

  test.each([
    // Half an hour of daylight saving: 30 minutes before and after local midnight.
    ['Australia/Lord_Howe', '2031-04-05T12:40:00Z', '2031-04-05T13:10:00Z', '2031-04-05', '2031-04-06'],
    // The day that Samoa left out: 29 December is followed by 31 December.
    ['Pacific/Apia', '2011-12-30T09:59:00Z', '2011-12-30T10:01:00Z', '2011-12-29', '2011-12-31'],
    // 00:00 does not exist: the day begins at 01:00.
    ['Africa/Cairo', '2026-04-23T21:59:00Z', '2026-04-23T22:01:00Z', '2026-04-23', '2026-04-24'],
  ])('the day of a limit changes with the date in %s', async (zone, before, after, last, next) => {
    await addConsented(world, 5);
    // Made today: only the claim's clock moves.
    const rows = await dueRows(await campaign());
    await api.db.query(sql`UPDATE deliveries SET not_before = '-infinity' WHERE source_id = ${rows[0]?.source_id}`);
    const provider = uuidv7();
    const caps: CapacityLimit[] = [{ kind: 'provider-day', resourceId: provider, limit: 2 }];
    await standAt(before);
    expect((await claim(rows.slice(0, 3), caps, zone))?.claimed).toHaveLength(2);
    await standAt(after);
    expect((await claim(rows.slice(2), caps, zone))?.claimed).toHaveLength(2);
    const used = await many(
      api.db,
      sql`SELECT window_key, used FROM capacity WHERE resource_id = ${provider} ORDER BY window_key`,
    );
    expect(used).toEqual([
      { window_key: last, used: 2 },
      { window_key: next, used: 2 },
    ]);
  });

  test('the audit finds a counter that says something else than the rows', async () => {
    await addConsented(world, 2);
    const rows = await dueRows(await campaign());
    const resourceId = uuidv7();
    await claim(rows, [{ kind: 'ip-day', resourceId, limit: 5 }]);
    await api.db.query(sql`UPDATE capacity SET used = 3 WHERE resource_id = ${resourceId}`);
    expect(await audit()).toEqual([
      expect.objectContaining({ unit: expect.objectContaining({ kind: 'ip-day' }), used: 3, held: 2 }),
    ]);
  });
});

describe('frequency', () => {
  /** A category, contacts who want it this often, and a campaign about it. */
  async function ofCategory(frequency: string, contacts: number) {
    const key = `c-${world.unique()}`;
    const category = await world.insert('preference_categories', { key, name: 'News' });
    const ids = await addConsented(world, contacts);
    await api.db.query(sql`
      INSERT INTO category_preferences (workspace_id, contact_id, category_id, subscribed, frequency, source)
      SELECT ${world.workspace.id}, id, ${category}, true, ${frequency}, 'API' FROM unnest(${ids}::uuid[]) AS id`);
    return { run: () => campaign({ category: key }) };
  }

  test('of campaigns that go out together each contact gets one; the rest says why it got no other', async () => {
    const { run } = await ofCategory('DAILY', 20);
    const runs = [await run(), await run(), await run()];
    const rows = await Promise.all(runs.map(dueRows));
    await Promise.all(rows.map((list) => claim(list, [])));
    const statuses = await Promise.all(runs.map((runId) => rowsByStatus(api.db, runId)));
    const total = (status: string) => statuses.reduce((sum, each) => sum + (each[status] ?? 0), 0);
    expect([total('SENDING'), total('FAILED')]).toEqual([20, 40]);
    const perContact = await many(
      api.db,
      sql`SELECT contact_id, count(*) FILTER (WHERE status = 'SENDING') AS n, array_agg(DISTINCT reason) AS reasons
          FROM deliveries WHERE source_id = ANY (${runs}::uuid[]) GROUP BY contact_id HAVING count(*) FILTER (WHERE status = 'SENDING') <> 1`,
    );
    expect(perContact).toEqual([]);
    expect(
      await one(
        api.db,
        sql`SELECT array_agg(DISTINCT reason) AS reasons FROM deliveries WHERE source_id = ANY (${runs}::uuid[]) AND status = 'FAILED'`,
      ),
    ).toEqual({ reasons: ['FREQUENCY_LIMIT'] });
  });

  test('what is not sent gives its day back; the next period is a new one; who wants everything is not counted', async () => {
    const { run } = await ofCategory('WEEKLY', 1);
    const units = () =>
      one(api.db, sql`SELECT count(*) AS n FROM frequency_units WHERE workspace_id = ${world.workspace.id}`);
    await standAt('2031-03-05T12:00:00Z');
    const first = await claim(await dueRows(await run()), []);
    if (!first) throw new Error('nothing was claimed');
    expect(await units()).toEqual({ n: 1 });
    await settleAll(first, uuidv7(), NOT_SENT);
    expect(await units()).toEqual({ n: 0 });
    const [second, third] = [await run(), await run()];
    expect((await claim(await dueRows(second), []))?.claimed).toHaveLength(1);
    expect((await claim(await dueRows(third), []))?.claimed).toHaveLength(0);
    expect(await rowsByStatus(api.db, third)).toEqual({ FAILED: 1 });
    await standAt('2031-03-10T00:01:00Z');
    expect((await claim(await dueRows(await run()), []))?.claimed).toHaveLength(1);
    await api.db.query(
      sql`UPDATE category_preferences SET frequency = 'IMMEDIATE' WHERE workspace_id = ${world.workspace.id}`,
    );
    expect((await claim(await dueRows(await run()), []))?.claimed).toHaveLength(1);
    expect(await units()).toEqual({ n: 2 });
  });

  test('a row that finds no capacity left takes no day', async () => {
    const { run } = await ofCategory('MONTHLY', 2);
    const runId = await run();
    const made = await claim(await dueRows(runId), [{ kind: 'provider-day', resourceId: uuidv7(), limit: 1 }]);
    expect(made?.claimed).toHaveLength(1);
    const units = await many(
      api.db,
      sql`SELECT delivery_id FROM frequency_units WHERE workspace_id = ${world.workspace.id}`,
    );
    expect(units).toEqual([{ delivery_id: made?.claimed[0]?.row.id }]);
  });
});
