import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import { Client } from 'pg';
import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import {
  acceptQueued,
  addConsented,
  audienceOf,
  rowsByStatus,
  runState,
  sentOff,
  startCampaignWorker,
  untilRun,
} from '../support/campaign-runs';
import { exampleWorld, type World } from '../support/examples';
import { approvedCampaign } from '../support/examples/content';
import { beginFastForward, fastForward } from '../support/time-skipping';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
let api: TestApi;
let world: World;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'campaign run' });
  stopWorker = await startCampaignWorker(api);
});
beforeEach(async () => {
  world = await exampleWorld(api);
});
afterEach(async () => {
  await resetClock();
});
afterAll(async () => {
  await stopWorker();
  await api.close();
});

/** Only the owner of the schema may move time. */
async function asOwner(text: string): Promise<void> {
  const client = new Client({ connectionString: api.database.ownerUrl });
  await client.connect();
  await client.query(text);
  await client.end();
}
const resetClock = () => asOwner('DELETE FROM test_clock');
const moveClock = (ms: number) =>
  asOwner(`INSERT INTO test_clock (moved_by) VALUES ('${ms} milliseconds')
           ON CONFLICT (only_row) DO UPDATE SET moved_by = excluded.moved_by`);

const operate = (campaignId: string, action: string, body?: unknown) =>
  world.call('POST', `/workspaces/{ws}/email-marketing/campaigns/${campaignId}/${action}`, body);
const show = async (campaignId: string, path = '') =>
  (await world.call('GET', `/workspaces/{ws}/email-marketing/campaigns/${campaignId}${path}`)).body;

test('makes a row for everybody in the audience, also who will get nothing, and closes when none is open', async () => {
  const contacts = await addConsented(world, 30);
  const [suppressed, unsubscribed, excluded] = contacts;
  await api.db.query(sql`UPDATE contacts SET status = 'UNSUBSCRIBED' WHERE id = ${unsubscribed}`);
  await api.db.query(sql`
    INSERT INTO suppressions (workspace_id, address_hash, hint, reason, source)
    SELECT workspace_id, email_hash, 'r…', 'MANUAL', 'API' FROM contacts WHERE id = ${suppressed}`);
  const { campaignId, runId, workflowId } = await sentOff(world, {
    all_consented: false,
    audiences: {
      include: [await audienceOf(world, contacts.slice(0, 20)), await audienceOf(world, contacts.slice(10, 25))],
      exclude: [await audienceOf(world, [excluded ?? ''])],
    },
  });
  await untilRun(api.db, runId, (run) => run.phase === 'MATERIALISED');
  expect(await runState(api.db, runId)).toMatchObject({ status: 'SENDING', audience_size: 24 });
  const rows = await many<Record<string, unknown>>(
    api.db,
    sql`SELECT contact_id, recipient_key, step_key, class, priority, status, mx_group, address, max_attempts
        FROM deliveries WHERE source_id = ${runId} ORDER BY contact_id`,
  );
  expect(rows.map((row) => row.contact_id)).toEqual(contacts.slice(0, 25).filter((id) => id !== excluded));
  expect(rows[0]).toEqual({
    contact_id: contacts[0],
    recipient_key: contacts[0],
    step_key: 'send',
    class: 'bulk',
    priority: 10,
    status: 'QUEUED',
    mx_group: expect.any(String),
    address: null,
    max_attempts: 4,
  });
  expect(await show(campaignId, '/ledger')).toMatchObject({ balanced: true, audience_size: 24, rows: 24 });
  const lane = await one<{ awake: boolean }>(
    api.db,
    sql`SELECT awake FROM lanes WHERE workspace_id = ${world.workspace.id} AND kind = 'pool'`,
  );
  expect(lane?.awake).toBe(true);

  expect(await acceptQueued(api.db, runId)).toBe(24);
  await untilRun(api.db, runId, (run) => run.status === 'SENT');
  const handle = api.deps.temporal.workflow.getHandle(workflowId);
  await handle.result();
  expect(await show(campaignId)).toMatchObject({ status: 'SENT', total_recipients: 24, sent_count: 24 });
  expect(await show(campaignId, '/ledger')).toMatchObject({
    balanced: true,
    accepted: { in_groups: 24, late: 0 },
    by_status: { SENT: 24, QUEUED: 0 },
  });
  const events = await many<{ event_type: string }>(
    api.db,
    sql`SELECT event_type FROM marketing_events WHERE campaign_id = ${campaignId} ORDER BY created_at`,
  );
  expect(events.map((event) => event.event_type)).toEqual(['campaign_launched', 'campaign_completed']);
  const audit = await many<{ action: string; actor_type: string }>(
    api.db,
    sql`SELECT action, actor_type FROM audit_log WHERE entity_id = ${campaignId} AND actor_type = 'system' ORDER BY id`,
  );
  expect(audit.map((row) => row.action)).toEqual(['campaign.begin', 'campaign.finish']);

  const description = await handle.describe();
  expect(description.typedSearchAttributes.getAll().map(({ value }) => value)).toEqual(
    expect.arrayContaining([world.workspace.id, 'campaigns', runId, 'SENT']),
  );
  const history = historyToJSON(await handle.fetchHistory()).replace(
    /"data": "([A-Za-z0-9+/=]+)"/g,
    (_all, data: string) => Buffer.from(data, 'base64').toString('utf8'),
  );
  expect(history).not.toMatch(/@gmail|@corp|reader\d/);
});

test('waits for its time, re-checks the approval, and begins then', async () => {
  await addConsented(world, 5);
  const campaignId = await approvedCampaign(world);
  const scheduled_at = new Date(Date.now() + 3 * DAY).toISOString();
  const { body } = await operate(campaignId, 'schedule', { scheduled_at });
  expect(body).toMatchObject({ status: 'SCHEDULED', scheduled_at });
  const workflowId = body.workflow.workflow_id;
  await fastForward(api.deps.temporal, workflowId, 2 * DAY);
  expect(await runState(api.db, body.run_id)).toMatchObject({ status: 'SCHEDULED', phase: 'PENDING' });
  await moveClock(3 * DAY + 60_000);
  // Two looks a day apart are over; the third is due.
  await beginFastForward(api.deps.temporal, workflowId, DAY + 1_000);
  await untilRun(api.db, body.run_id, (run) => run.phase === 'MATERIALISED');
  expect(await rowsByStatus(api.db, body.run_id)).toEqual({ QUEUED: 5 });
});

test('stops with an alert when the approval is void at its time; goes on after a new approval', async () => {
  await addConsented(world, 4);
  const campaignId = await approvedCampaign(world);
  const { body } = await operate(campaignId, 'schedule', {
    scheduled_at: new Date(Date.now() + HOUR).toISOString(),
  });
  const runId = body.run_id;
  const edited = await api.request(
    'PATCH',
    `/workspaces/${world.workspace.id}/email-marketing/campaigns/${campaignId}`,
    {
      token: world.workspace.tokens.marketer,
      body: { subject_template: 'Something else' },
    },
  );
  expect(edited.body).toMatchObject({ status: 'SCHEDULED', approval: { state: 'VOIDED' } });
  await moveClock(HOUR + 60_000);
  await beginFastForward(api.deps.temporal, body.workflow.workflow_id, HOUR + 1_000);
  const stopped = await untilRun(api.db, runId, (run) => run.status === 'PAUSED');
  expect(stopped.stop_reason).toBe('APPROVAL_VOID');
  expect(await rowsByStatus(api.db, runId)).toEqual({});
  const alerts = await many(
    api.db,
    sql`SELECT kind, cause, severity FROM alerts WHERE workspace_id = ${world.workspace.id}`,
  );
  expect(alerts).toEqual([{ kind: 'campaign-approval-void', cause: runId, severity: 'critical' }]);

  const path = `/workspaces/${world.workspace.id}/email-marketing`;
  const early = await api.request('POST', `${path}/campaigns/${campaignId}/resume`, {
    token: world.workspace.tokens.owner,
  });
  expect(early.status).toBe(409);
  const submitted = await api.request('POST', `${path}/campaigns/${campaignId}/submit`, {
    token: world.workspace.tokens.marketer,
  });
  await world.call('POST', `/workspaces/{ws}/email-marketing/messages/${submitted.body.id}/approve`);
  await operate(campaignId, 'resume');
  await untilRun(api.db, runId, (run) => run.phase === 'MATERIALISED');
  const messages = await many(api.db, sql`SELECT DISTINCT message_id FROM deliveries WHERE source_id = ${runId}`);
  expect(messages).toEqual([{ message_id: submitted.body.id }]);
});

test('a pause holds everything, a resume goes on where it was', async () => {
  await addConsented(world, 9_000);
  const { campaignId, runId } = await sentOff(world);
  await untilRun(api.db, runId, (run) => run.audience_size !== null);
  const paused = await operate(campaignId, 'pause');
  expect(paused.body.status).toBe('PAUSED');
  const before = await rowsByStatus(api.db, runId);
  await new Promise((resolve) => setTimeout(resolve, 600));
  expect(await rowsByStatus(api.db, runId)).toEqual(before);
  expect(await show(campaignId, '/ledger')).toMatchObject({ balanced: true });
  await operate(campaignId, 'resume');
  await untilRun(api.db, runId, (run) => run.phase === 'MATERIALISED');
  expect(await rowsByStatus(api.db, runId)).toEqual({ QUEUED: 9_000 });
  // A pause with everything sent does not end the run; the resume does.
  await operate(campaignId, 'pause');
  await acceptQueued(api.db, runId);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect((await runState(api.db, runId)).status).toBe('PAUSED');
  await operate(campaignId, 'resume');
  await untilRun(api.db, runId, (run) => run.status === 'SENT');
});

test('a cancel while rows are being made leaves none that waits', async () => {
  await addConsented(world, 60_000);
  const { campaignId, runId, workflowId } = await sentOff(world);
  await untilRun(api.db, runId, (run) => run.audience_size !== null);
  await acceptQueued(api.db, runId, 100);
  const cancelled = await operate(campaignId, 'cancel');
  expect(cancelled.body.status).toBe('CANCELLED');
  await api.deps.temporal.workflow.getHandle(workflowId).result();
  const rows = await rowsByStatus(api.db, runId);
  expect(rows).toEqual({ SENT: 100, CANCELLED: expect.any(Number) });
  const ledger = await show(campaignId, '/ledger');
  expect(ledger).toMatchObject({ balanced: true, by_status: { QUEUED: 0, SENT: 100 } });
  expect(ledger.reasons).toEqual([{ status: 'CANCELLED', reason: 'SOURCE_CANCELLED', count: rows.CANCELLED }]);
  expect(ledger.rows).toBeLessThanOrEqual(60_000);
});

test('a row with an unknown outcome does not hold the run open', async () => {
  await addConsented(world, 3);
  const { runId } = await sentOff(world);
  await untilRun(api.db, runId, (run) => run.phase === 'MATERIALISED');
  await acceptQueued(api.db, runId, 2);
  await api.db.query(
    sql`UPDATE deliveries SET status = 'UNCONFIRMED' WHERE source_id = ${runId} AND status = 'QUEUED'`,
  );
  await untilRun(api.db, runId, (run) => run.status === 'SENT');
  expect(await rowsByStatus(api.db, runId)).toEqual({ SENT: 2, UNCONFIRMED: 1 });
});

test('an audience of nobody is sent at once', async () => {
  const { campaignId, runId } = await sentOff(world);
  await untilRun(api.db, runId, (run) => run.status === 'SENT');
  expect(await show(campaignId, '/ledger')).toMatchObject({ balanced: true, audience_size: 0, rows: 0 });
});
