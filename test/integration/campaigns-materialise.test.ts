import { beginRun, dueRuns, materialiseBatch, moveRun, neglectedRuns, sweepBatch } from '../../db/campaigns';
import { MAIL_DOMAINS } from '../../domain/contacts';
import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { addConsented, audienceOf, rowsByStatus, runState, sentOff } from '../support/campaign-runs';
import { exampleWorld, type World } from '../support/examples';

let api: TestApi;
let world: World;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'materialise' });
});
beforeEach(async () => {
  world = await exampleWorld(api);
});
afterAll(() => api.close());

async function begun(more: Record<string, unknown> = {}) {
  const { campaignId, runId } = await sentOff(world, more);
  const run = { workspaceId: world.workspace.id, runId };
  expect(await beginRun(api.db, run.workspaceId, runId)).toBe(true);
  return { ...run, campaignId };
}

async function finish(run: { workspaceId: string; runId: string }, size: number): Promise<number> {
  let inserted = 0;
  for (;;) {
    const batch = await materialiseBatch(api.db, run, size);
    if (batch.kind === 'stopped') return inserted;
    inserted += batch.inserted;
  }
}

const ledger = async (campaignId: string) =>
  (await world.call('GET', `/workspaces/{ws}/email-marketing/campaigns/${campaignId}/ledger`)).body;

test('batches of every size make the same rows', async () => {
  const contacts = await addConsented(world, 53);
  const lists = [contacts.slice(0, 31), contacts.slice(20, 50), [contacts[7] ?? '', contacts[33] ?? '']];
  const [first, second, excluded] = await Promise.all(lists.map((list) => audienceOf(world, list)));
  for (const size of [1, 7, 1_000]) {
    const run = await begun({ all_consented: false, audiences: { include: [first, second], exclude: [excluded] } });
    expect(await finish(run, size)).toBe(48);
    expect(await runState(api.db, run.runId)).toMatchObject({ phase: 'MATERIALISED', audience_size: 48 });
    expect(await ledger(run.campaignId)).toMatchObject({ balanced: true, rows: 48 });
  }
});

test('several workers at once, with connections that break at any moment, make each row once', async () => {
  const contacts = await addConsented(world, 4_000);
  const run = await begun();
  let working = true;
  let broken = 0;
  const workers = Array.from({ length: 3 }, async () => {
    for (;;) {
      try {
        const batch = await materialiseBatch(api.db, run, 90);
        if (batch.kind === 'stopped') return;
      } catch {
        broken += 1;
      }
    }
  });
  const killer = (async () => {
    // So often and no more: on a slow machine every batch would be slower than the next kill.
    while (working && broken < 40) {
      await new Promise((resolve) => setTimeout(resolve, 15));
      // As kill -9 of a worker: its connection ends in the middle of a statement, nothing is rolled back by us.
      await api.db
        .query(sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name = 'test' AND pid <> pg_backend_pid()
                     AND state <> 'idle' ORDER BY random() LIMIT 1`)
        .catch(() => undefined);
    }
  })();
  await Promise.all(workers);
  working = false;
  await killer;
  expect(broken).toBeGreaterThan(0);
  const rows = await many<{ contact_id: string }>(
    api.db,
    sql`SELECT contact_id FROM deliveries WHERE source_id = ${run.runId} ORDER BY contact_id`,
  );
  expect(rows.map((row) => row.contact_id)).toEqual(contacts);
  expect(await ledger(run.campaignId)).toMatchObject({ balanced: true, audience_size: 4_000, rows: 4_000 });
});

test('a run of another state is left alone', async () => {
  await addConsented(world, 3);
  const run = await begun();
  const pause = { from: ['SENDING'], to: 'PAUSED', stream: 'PAUSED', begun: true, stopReason: null } as const;
  await moveRun(api.db, run.workspaceId, run.runId, pause);
  expect(await materialiseBatch(api.db, run, 10)).toEqual({ kind: 'stopped' });
  expect(await sweepBatch(api.db, run, 10)).toBe(0);
  expect(await rowsByStatus(api.db, run.runId)).toEqual({});
});

test('a cancel and a batch at the same moment leave no row that waits after the sweep', async () => {
  await addConsented(world, 300);
  for (let round = 0; round < 10; round++) {
    const run = await begun();
    await materialiseBatch(api.db, run, 50);
    const cancel = { from: ['SENDING'], to: 'CANCELLED', stream: 'CANCELLED', begun: null, stopReason: null } as const;
    await Promise.all([
      materialiseBatch(api.db, run, 100),
      moveRun(api.db, run.workspaceId, run.runId, cancel),
      materialiseBatch(api.db, run, 100),
    ]);
    while ((await sweepBatch(api.db, run, 40)) > 0);
    const rows = await rowsByStatus(api.db, run.runId);
    expect(rows.QUEUED).toBeUndefined();
    expect(rows.CANCELLED).toBeGreaterThanOrEqual(50);
    expect(await ledger(run.campaignId)).toMatchObject({ balanced: true });
  }
});

test('rows carry the group of their mailbox provider', async () => {
  await addConsented(world, 2);
  const run = await begun();
  await finish(run, 10);
  const rows = await many<{ mx_group: string }>(
    api.db,
    sql`SELECT mx_group FROM deliveries WHERE source_id = ${run.runId} ORDER BY contact_id`,
  );
  expect(rows.map((row) => row.mx_group)).toEqual(['other', 'gmail']);
});

test('the table of mailbox providers is the one of the rules', async () => {
  const rows = await many<{ domain: string; group: string }>(
    api.db,
    sql`SELECT domain, mx_group AS group FROM mail_domains ORDER BY domain COLLATE "C"`,
  );
  const wanted = [...MAIL_DOMAINS].sort((a, b) => (a.domain < b.domain ? -1 : 1));
  expect(rows).toEqual(wanted.map(({ domain, group }) => ({ domain, group })));
});

test('a batch turns the lane on once', async () => {
  await addConsented(world, 20);
  const run = await begun();
  await api.db.query(sql`UPDATE lanes SET awake = false WHERE workspace_id = ${run.workspaceId}`);
  expect(await materialiseBatch(api.db, run, 5)).toMatchObject({ kind: 'batch', wake: true });
  expect(await materialiseBatch(api.db, run, 5)).toMatchObject({ kind: 'batch', wake: false });
});

test('due runs are those that only their workflow can take further', async () => {
  const [contact = ''] = await addConsented(world, 1);
  const due = async () => (await dueRuns(api.db)).map((run) => run.runId);
  const sending = await begun();
  expect(await due()).toContain(sending.runId);
  const move = (to: 'PAUSED' | 'CANCELLED') =>
    moveRun(api.db, sending.workspaceId, sending.runId, {
      from: ['SENDING', 'PAUSED'],
      to,
      stream: to,
      begun: null,
      stopReason: null,
    });
  await finish(sending, 10);
  await move('PAUSED');
  expect(await due()).not.toContain(sending.runId);
  await move('CANCELLED');
  expect(await due()).toContain(sending.runId);
  await sweepBatch(api.db, sending, 10);
  expect(await due()).not.toContain(sending.runId);
  expect(
    await one(api.db, sql`SELECT 1 FROM deliveries WHERE contact_id = ${contact} AND status = 'QUEUED'`),
  ).toBeNull();
});

test('a run that was changed and does not go on is hinted again, one that goes on or is new is not', async () => {
  await addConsented(world, 3);
  const sending = await begun();
  const { runId: scheduled } = await sentOff(world);
  const neglected = async () => (await neglectedRuns(api.db, 15)).map((run) => run.runId);
  const age = (runId: string, by: string) =>
    api.db.query(sql`UPDATE campaign_runs SET updated_at = sally_now() - ${by}::interval WHERE id = ${runId}`);
  expect(await neglected()).not.toContain(sending.runId);
  await age(sending.runId, '20 seconds');
  await age(scheduled, '20 seconds');
  expect(await neglected()).toEqual(expect.arrayContaining([sending.runId, scheduled]));
  await finish(sending, 10);
  await age(sending.runId, '20 seconds');
  await age(scheduled, '13 hours');
  const left = await neglected();
  expect(left).not.toContain(sending.runId);
  expect(left).not.toContain(scheduled);
});
