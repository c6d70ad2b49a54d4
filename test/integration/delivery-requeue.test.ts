import { beginRun, finishRun, materialiseBatch } from '../../db/campaigns';
import { auditCapacity } from '../../db/delivery/capacity';
import { activeStreams } from '../../db/delivery/read-ahead';
import { type RowSettlement, settleRows } from '../../db/delivery/settle';
import { type SendOutcome, settle } from '../../domain/delivery';
import { uuidv7 } from '../../platform/ids';
import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { addConsented, rowsByStatus, sentOff } from '../support/campaign-runs';
import { claimRows, keysOf } from '../support/deliveries';
import { exampleWorld, type World } from '../support/examples';

let api: TestApi;
let world: World;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'delivery-requeue' });
});
beforeEach(async () => {
  world = await exampleWorld(api);
});
afterAll(() => api.close());

const REQUEUE = '/workspaces/{ws}/deliveries/requeue';
const REFUSED: SendOutcome = {
  kind: 'permanent',
  scope: 'sender',
  suppress: false,
  otherRoute: false,
  code: 550,
  enhanced: '5.7.1',
  reply: 'Not authorized',
};
const ACCEPTED: SendOutcome = { kind: 'accepted', providerMessageId: null, reply: '' };
const UNKNOWN: SendOutcome = { kind: 'unknown', cause: 'timeout' };

/** A campaign that has been sent, with one row per outcome, in their order. */
async function ended(outcomes: SendOutcome[]) {
  await addConsented(world, outcomes.length);
  const { campaignId, runId } = await sentOff(world);
  await beginRun(api.db, world.workspace.id, runId);
  while ((await materialiseBatch(api.db, { workspaceId: world.workspace.id, runId }, 1_000)).kind !== 'stopped');
  const keys = await keysOf(api.db, runId);
  const claim = await claimRows(api.db, uuidv7(), keys, uuidv7(), {
    limits: [{ kind: 'provider-day', resourceId: uuidv7(), limit: 100 }],
    localDate: '2026-03-29',
  });
  if (!claim) throw new Error('nothing was claimed');
  const stream = await one<{ stream_id: string; lane_id: string }>(
    api.db,
    sql`SELECT stream_id, lane_id FROM deliveries WHERE source_id = ${runId} LIMIT 1`,
  );
  if (!stream) throw new Error('no stream');
  const order = new Map(keys.map((key, index) => [key.id, index]));
  await settleRows(
    api.db,
    claim.processId,
    claim.claimed.map((row): RowSettlement => {
      const outcome = outcomes[order.get(row.id) ?? 0] ?? ACCEPTED;
      const before = { messageClass: row.message_class, attempts: 0, maxAttempts: 4, dataDrops: 0 };
      return {
        workspaceId: world.workspace.id,
        streamId: stream.stream_id,
        sourceId: row.source_id,
        id: row.id,
        claimId: claim.claimId,
        claimedAt: claim.claimedAt,
        routeId: uuidv7(),
        settlement: settle(outcome, before, 3_000),
        providerMessageId: null,
        attempt: null,
        units: claim.units,
        hasFrequencyUnit: false,
      };
    }),
  );
  await api.db.transaction((tx) => finishRun(tx, world.workspace.id, runId));
  return { campaignId, runId, keys, laneId: stream.lane_id };
}

const ledger = async (campaignId: string) =>
  (await world.call('GET', `/workspaces/{ws}/email-marketing/campaigns/${campaignId}/ledger`)).body;

test('a dry run counts by reason and changes nothing', async () => {
  const { campaignId, runId } = await ended([REFUSED, REFUSED, ACCEPTED]);
  const request = { campaign_id: campaignId, reasons: ['SENDER_REJECTED', 'EXPIRED'], note: 'SPF is mended' };
  const { body, headers } = await world.call('POST', REQUEUE, { ...request, dry_run: true });
  expect(body).toEqual({
    dry_run: true,
    matched: { SENDER_REJECTED: 2 },
    cancelled: 0,
    requeued: 0,
    remaining: 2,
    workflows: [],
  });
  expect(await rowsByStatus(api.db, runId)).toEqual({ FAILED: 2, SENT: 1 });
  const audit = await many(
    api.db,
    sql`SELECT action, new_values->>'note' AS note FROM audit_log WHERE request_id = ${headers.get('x-request-id')}`,
  );
  expect(audit).toEqual([{ action: 'delivery.requeue-dry-run', note: 'SPF is mended' }]);
});

test('failed rows wait again in a run that is over: the same rows, every attempt before them, units given back', async () => {
  const { campaignId, runId, keys, laneId } = await ended([REFUSED, REFUSED, UNKNOWN, ACCEPTED]);
  expect(await activeStreams(api.db, laneId)).toEqual([]);
  const { body } = await world.call('POST', REQUEUE, {
    campaign_id: campaignId,
    reasons: ['SENDER_REJECTED', 'NO_REPLY'],
    note: 'SPF is mended',
  });
  expect(body).toMatchObject({
    matched: { SENDER_REJECTED: 2 },
    requeued: 2,
    remaining: 0,
    workflows: [expect.objectContaining({ workflow_id: `lane/${laneId}` })],
  });
  // What may have arrived is not touched.
  expect(await rowsByStatus(api.db, runId)).toEqual({ QUEUED: 2, UNCONFIRMED: 1, SENT: 1 });
  expect((await keysOf(api.db, runId)).map((key) => key.id)).toEqual(keys.slice(0, 2).map((key) => key.id));
  expect(
    await many(
      api.db,
      sql`SELECT DISTINCT attempts, reason, cap_date FROM deliveries WHERE source_id = ${runId} AND status = 'QUEUED'`,
    ),
  ).toEqual([{ attempts: 0, reason: 'REQUEUED', cap_date: null }]);
  expect(await auditCapacity(api.db, world.workspace.id, new Date(0))).toEqual([]);
  expect(await ledger(campaignId)).toMatchObject({ balanced: true });
  // The stream is looked at again, and the checks are asked again.
  expect(await activeStreams(api.db, laneId)).toHaveLength(1);
  const [first] = await keysOf(api.db, runId);
  await api.db.query(sql`UPDATE contacts SET status = 'UNSUBSCRIBED' WHERE id = ${first?.contact_id}`);
  const again = await claimRows(api.db, uuidv7(), await keysOf(api.db, runId));
  expect([again?.claimed.length, again?.refused]).toEqual([1, 1]);
  expect(await ledger(campaignId)).toMatchObject({ balanced: true });
});

test('a campaign and a sequence at once, or an unknown one, is refused', async () => {
  const path = REQUEUE.replace('{ws}', world.workspace.id);
  const answer = async (body: object) => {
    const request = { token: world.workspace.tokens.owner, body: { reasons: ['EXPIRED'], note: 'x', ...body } };
    const { status, body: problem } = await api.request('post', path, request);
    return [status, problem.errors?.[0]?.pointer ?? null];
  };
  const id = uuidv7();
  expect(await answer({})).toEqual([422, '/body/campaign_id']);
  expect(await answer({ campaign_id: id, sequence_id: id })).toEqual([422, '/body/sequence_id']);
  expect(await answer({ sequence_id: id })).toEqual([404, null]);
});

test('by contact and moment; the same key answers the same without queueing again', async () => {
  const { runId, keys } = await ended([REFUSED, REFUSED]);
  const path = REQUEUE.replace('{ws}', world.workspace.id);
  const request = (body: object) => ({
    token: world.workspace.tokens.operator,
    body: { contact_id: keys[0]?.contact_id, reasons: ['SENDER_REJECTED'], note: 'again', ...body },
    headers: { 'idempotency-key': uuidv7() },
  });
  const late = await api.request('POST', path, request({ since: new Date(Date.now() + 3_600_000).toISOString() }));
  expect(late.body).toMatchObject({ matched: {}, requeued: 0 });
  const wanted = request({});
  const first = await api.request('POST', path, wanted);
  expect(first.body).toMatchObject({ requeued: 1 });
  expect((await api.request('POST', path, wanted)).body).toEqual(first.body);
  expect(await rowsByStatus(api.db, runId)).toEqual({ FAILED: 1, QUEUED: 1 });
});

test('rows of a cancelled source and of another workspace stay as they are', async () => {
  const { campaignId, runId, keys } = await ended([REFUSED]);
  const body = { campaign_id: campaignId, reasons: ['SENDER_REJECTED'], note: 'again' };
  const other = await exampleWorld(api);
  const foreign = await api.request('POST', REQUEUE.replace('{ws}', other.workspace.id), {
    token: other.workspace.tokens.operator,
    body,
    headers: { 'idempotency-key': uuidv7() },
  });
  expect(foreign.status).toBe(404);
  const byContact = { contact_id: keys[0]?.contact_id, reasons: ['SENDER_REJECTED'], note: 'again' };
  expect((await other.call('POST', REQUEUE, byContact)).body).toMatchObject({ matched: {}, requeued: 0 });
  await api.db.query(
    sql`UPDATE streams SET state = 'CANCELLED' WHERE id = (SELECT stream_id FROM campaign_runs WHERE id = ${runId})`,
  );
  expect((await world.call('POST', REQUEUE, body)).body).toMatchObject({ matched: {}, cancelled: 1, requeued: 0 });
  expect(await rowsByStatus(api.db, runId)).toEqual({ FAILED: 1 });
});

test.each([
  ['neither campaign nor contact', { reasons: ['EXPIRED'], note: 'n' }, '/body/campaign_id'],
  ['no reason', { campaign_id: uuidv7(), reasons: [], note: 'n' }, '/body/reasons'],
  ['no note', { campaign_id: uuidv7(), reasons: ['EXPIRED'] }, '/body/note'],
  ['something that is no reason', { campaign_id: uuidv7(), reasons: ['expired; DROP'], note: 'n' }, '/body/reasons/0'],
])('refuses %s', async (_what, body, pointer) => {
  const response = await api.request('POST', REQUEUE.replace('{ws}', world.workspace.id), {
    token: world.workspace.tokens.operator,
    body,
    headers: { 'idempotency-key': uuidv7() },
  });
  expect(response.status).toBe(422);
  expect(response.body.errors[0].pointer).toBe(pointer);
});
