import { Client } from 'pg';
import { createDeliveryControlActivities } from '../../activities/delivery/control';
import { beginRun, materialiseBatch } from '../../db/campaigns';
import { registerProcess } from '../../db/delivery/process';
import { laneWorkflow } from '../../domain/delivery/contract';
import { uuidv7 } from '../../platform/ids';
import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { addConsented, rowsByStatus, sentOff } from '../support/campaign-runs';
import { claimRows, keysOf } from '../support/deliveries';
import { exampleWorld, type World } from '../support/examples';

/** No worker runs in this namespace: a workflow that is there was started by the watchdog, or by the request before it. */
let api: TestApi;
let world: World;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'watchdog' });
});
beforeEach(async () => {
  world = await exampleWorld(api);
});
afterAll(() => api.close());

const round = () => createDeliveryControlActivities({ ...api.deps, db: api.db }).runWatchdog();

async function statusOf(workflowId: string): Promise<string> {
  try {
    return (await api.deps.temporal.workflow.getHandle(workflowId).describe()).status.name;
  } catch {
    return 'ABSENT';
  }
}

/** As if Temporal's store had been lost. */
async function forget(workflowId: string): Promise<void> {
  await api.deps.temporal.workflow.getHandle(workflowId).terminate('lost');
  expect(await statusOf(workflowId)).toBe('TERMINATED');
}

async function campaignOf(count: number) {
  await addConsented(world, count);
  const { campaignId, runId, workflowId } = await sentOff(world);
  const run = { workspaceId: world.workspace.id, runId };
  await beginRun(api.db, run.workspaceId, runId);
  while ((await materialiseBatch(api.db, run, 1_000)).kind !== 'stopped');
  const lane = await one<{ lane_id: string }>(
    api.db,
    sql`SELECT s.lane_id FROM campaign_runs r JOIN streams s ON s.id = r.stream_id WHERE r.id = ${runId}`,
  );
  return { campaignId, runId, workflowId, laneId: lane?.lane_id ?? '' };
}

test('starts the workflow of a lane that has due rows and that nobody drains, whatever its flag says', async () => {
  const { laneId } = await campaignOf(3);
  const { workflowId } = laneWorkflow({ workspaceId: world.workspace.id, laneId });
  expect((await round()).lanes).toBe(0);
  expect(await statusOf(workflowId)).toBe('ABSENT');
  await api.db.query(
    sql`UPDATE lanes SET awake = true, drained_at = sally_now() - interval '1 hour' WHERE id = ${laneId}`,
  );
  expect((await round()).lanes).toBe(1);
  expect(await statusOf(workflowId)).toBe('RUNNING');
});

test('leaves a lane alone whose stream is paused', async () => {
  const { runId, laneId } = await campaignOf(1);
  await api.db.query(sql`UPDATE lanes SET drained_at = sally_now() - interval '1 hour' WHERE id = ${laneId}`);
  await api.db.query(
    sql`UPDATE streams SET state = 'PAUSED' WHERE id = (SELECT stream_id FROM campaign_runs WHERE id = ${runId})`,
  );
  await round();
  expect(await statusOf(laneWorkflow({ workspaceId: world.workspace.id, laneId }).workflowId)).toBe('ABSENT');
});

test('starts the workflow of a campaign run that was lost', async () => {
  const { runId, workflowId } = await campaignOf(1);
  await forget(workflowId);
  await api.db.query(sql`UPDATE campaign_runs SET scheduled_at = scheduled_at - interval '1 hour',
    started_at = started_at - interval '1 hour', updated_at = updated_at - interval '1 hour' WHERE id = ${runId}`);
  await round();
  expect(await statusOf(workflowId)).toBe('RUNNING');
});

test('starts the workflow of an open opt-in request that has none', async () => {
  const purpose = await one<{ id: string }>(
    api.db,
    sql`SELECT id FROM purposes WHERE workspace_id = ${world.workspace.id} AND kind = 'marketing'`,
  );
  const request = await world.insert('opt_in_requests', {
    contact_id: await world.contact(),
    purpose_id: purpose?.id,
    wording_version: 1,
    expires_at: new Date(Date.now() + 86_400_000),
    email_hash: Buffer.alloc(32),
    created_at: new Date(Date.now() - 3_600_000),
    updated_at: new Date(Date.now() - 3_600_000),
  });
  await round();
  expect(await statusOf(`opt-in/${request}`)).toBe('RUNNING');
});

test('takes care of what a dead process left: bulk is held, transactional mail goes again and gives its unit back', async () => {
  const { runId } = await campaignOf(2);
  const keys = await keysOf(api.db, runId);
  const provider = await world.call('POST', '/workspaces/{ws}/email-infrastructure/providers', {
    name: 'Relay',
    provider_type: 'SMTP',
    settings: { host: 'relay.invalid' },
    credentials: { username: 'sally', password: 'secret' },
  });
  const identity = await world.insert('sending_identities', { email: 'news@sender.example' });
  const route = await world.insert('routes', { provider_id: provider.body.id, identity_id: identity });
  const [held, again] = keys;
  const processId = uuidv7();
  await registerProcess(api.db, processId, 30);
  const claim = await claimRows(api.db, processId, keys, route, {
    limits: [{ kind: 'provider-day', resourceId: provider.body.id, limit: 10 }],
    localDate: '2026-03-29',
  });
  expect(claim?.claimed).toHaveLength(2);
  await api.db.query(
    sql`UPDATE deliveries SET class = 'transactional' WHERE source_id = ${runId} AND id = ${again?.id}`,
  );
  // Its lease holds: nothing is touched.
  await round();
  expect(await rowsByStatus(api.db, runId)).toEqual({ SENDING: 2 });
  await api.db.query(
    sql`UPDATE delivery_processes SET lease_until = clock_timestamp() - interval '1 second' WHERE id = ${processId}`,
  );
  expect((await round()).lostRows).toBe(2);
  const rows = await many(
    api.db,
    sql`SELECT id, status, reason, cap_date FROM deliveries WHERE source_id = ${runId} ORDER BY id`,
  );
  expect(rows).toEqual([
    { id: held?.id, status: 'UNCONFIRMED', reason: 'PROCESS_LOST', cap_date: '2026-03-29' },
    { id: again?.id, status: 'QUEUED', reason: 'PROCESS_LOST', cap_date: null },
  ]);
  expect(await one(api.db, sql`SELECT used FROM capacity WHERE resource_id = ${provider.body.id}`)).toEqual({
    used: 1,
  });
  // Once: the process is done with.
  expect((await round()).lostRows).toBe(0);
});

test('fails what waited past its expiry, and the ledger still adds up', async () => {
  const first = await campaignOf(2);
  await api.db.query(sql`
    UPDATE streams SET expires_at = sally_now() - interval '1 minute'
    WHERE id = (SELECT stream_id FROM campaign_runs WHERE id = ${first.runId})`);
  expect((await round()).expired).toBe(2);
  expect(await rowsByStatus(api.db, first.runId)).toEqual({ FAILED: 2 });
  const ledger = await world.call('GET', `/workspaces/{ws}/email-marketing/campaigns/${first.campaignId}/ledger`);
  expect(ledger.body).toMatchObject({ balanced: true, by_status: { FAILED: 2 } });
});

test('making partitions gives way to who holds a table, and harms nobody', async () => {
  const { ensurePartitions } = createDeliveryControlActivities({ ...api.deps, db: api.db });
  const owner = new Client({ connectionString: api.database.ownerUrl });
  await owner.connect();
  try {
    // A new installation has them before its first work; this one is new, also where a month has ended since.
    await owner.query(
      `INSERT INTO test_clock (moved_by) SELECT max(applied_at) - clock_timestamp() FROM schema_migrations`,
    );
    expect(await ensurePartitions()).toBe(0);
    const last = await owner.query<{ name: string }>(
      `SELECT max(relname) AS name FROM pg_class WHERE relname ~ '^engagements_\\d{4}_\\d{2}$'
         AND relname <= 'engagements_' || to_char(sally_now() AT TIME ZONE 'UTC' + interval '5 months', 'YYYY_MM')`,
    );
    await owner.query(`DROP TABLE ${last.rows[0]?.name}`);
    await owner.query('BEGIN');
    await owner.query('SELECT count(*) FROM engagements');
    await expect(ensurePartitions()).rejects.toMatchObject({ code: '55P03' });
    await owner.query('COMMIT');
    expect(await ensurePartitions()).toBe(1);
  } finally {
    await owner.query('DELETE FROM test_clock');
    await owner.end();
  }
});
