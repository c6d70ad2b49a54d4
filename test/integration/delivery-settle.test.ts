import { beginRun, finishRun, materialiseBatch } from '../../db/campaigns';
import { activeStreams } from '../../db/delivery/read-ahead';
import { settleLate } from '../../db/delivery/settle-late';
import { uuidv7 } from '../../platform/ids';
import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { addConsented, rowsByStatus, runState, sentOff } from '../support/campaign-runs';
import { claimRows, keysOf, loseClaim } from '../support/deliveries';
import { exampleWorld, type World } from '../support/examples';

let api: TestApi;
let world: World;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'delivery-settle' });
});
beforeEach(async () => {
  world = await exampleWorld(api);
});
afterAll(() => api.close());

const SETTLE = '/workspaces/{ws}/deliveries/settle';

/** A campaign of `count` rows, all of them lost on the wire. */
async function unconfirmed(count: number, caps?: Parameters<typeof claimRows>[4]) {
  await addConsented(world, count);
  const { campaignId, runId } = await sentOff(world);
  await beginRun(api.db, world.workspace.id, runId);
  while ((await materialiseBatch(api.db, { workspaceId: world.workspace.id, runId }, 1_000)).kind !== 'stopped');
  const keys = await keysOf(api.db, runId);
  expect(keys).toHaveLength(count);
  const claim = await claimRows(api.db, uuidv7(), keys, uuidv7(), caps);
  if (!claim) throw new Error('nothing was claimed');
  await loseClaim(api.db, claim);
  expect(await rowsByStatus(api.db, runId)).toEqual({ UNCONFIRMED: count });
  return { campaignId, runId, keys, claim };
}

const ledger = async (campaignId: string) =>
  (await world.call('GET', `/workspaces/{ws}/email-marketing/campaigns/${campaignId}/ledger`)).body;

test('each row goes where the operator says, and the ledger keeps adding up', async () => {
  const { campaignId, runId, keys } = await unconfirmed(3);
  const [sent, notSent, failed] = keys;
  const item = (key: typeof sent, outcome: string) => ({ source_id: key?.source_id, delivery_id: key?.id, outcome });
  const { body, headers } = await world.call('POST', SETTLE, {
    items: [item(sent, 'SENT'), item(notSent, 'NOT_SENT'), item(failed, 'FAILED')],
  });
  expect(body).toMatchObject({ applied: 3, remaining: 0, warning: expect.stringContaining('twice') });
  expect(body.results.map((row: { status: string }) => row.status)).toEqual(['SENT', 'QUEUED', 'FAILED']);
  expect(await rowsByStatus(api.db, runId)).toEqual({ SENT: 1, QUEUED: 1, FAILED: 1 });
  expect(await ledger(campaignId)).toMatchObject({ balanced: true, accepted: { in_groups: 0, late: 1 } });
  const owner = world.workspace.people.owner.id;
  const recorded = await many(
    api.db,
    sql`SELECT delivery_id, origin, outcome, applied, actor_id FROM late_settlements
        WHERE workspace_id = ${world.workspace.id} ORDER BY delivery_id`,
  );
  expect(recorded).toEqual([
    { delivery_id: sent?.id, origin: 'OPERATOR', outcome: 'SENT', applied: true, actor_id: owner },
    { delivery_id: notSent?.id, origin: 'OPERATOR', outcome: 'QUEUED', applied: true, actor_id: owner },
    { delivery_id: failed?.id, origin: 'OPERATOR', outcome: 'FAILED', applied: true, actor_id: owner },
  ]);
  const audit = await many(
    api.db,
    sql`SELECT action, new_values FROM audit_log WHERE request_id = ${headers.get('x-request-id')}`,
  );
  expect(audit).toEqual([
    {
      action: 'delivery.settle',
      new_values: {
        campaign_id: null,
        outcomes: { SENT: 1, NOT_SENT: 1, FAILED: 1 },
        applied: 3,
        queued_again: 1,
      },
    },
  ]);
});

test('only unconfirmed rows are changed; unknown and foreign ones are not found', async () => {
  const { keys } = await unconfirmed(2);
  const [first, second] = keys;
  const items = [
    { source_id: first?.source_id, delivery_id: first?.id, outcome: 'SENT' },
    { source_id: uuidv7(), delivery_id: uuidv7(), outcome: 'SENT' },
  ];
  await world.call('POST', SETTLE, { items });
  const again = await world.call('POST', SETTLE, { items: [{ ...items[0], outcome: 'NOT_SENT' }, items[1]] });
  expect(again.body).toMatchObject({
    applied: 0,
    warning: null,
    workflows: [],
    results: [
      { result: 'not-unconfirmed', status: 'SENT' },
      { result: 'not-found', status: null },
    ],
  });
  const other = await exampleWorld(api);
  const foreign = await other.call('POST', SETTLE, {
    items: [{ source_id: second?.source_id, delivery_id: second?.id, outcome: 'SENT' }],
  });
  expect(foreign.body).toMatchObject({ applied: 0, results: [{ result: 'not-found', status: null }] });
  expect(await rowsByStatus(api.db, second?.source_id ?? '')).toEqual({ SENT: 1, UNCONFIRMED: 1 });
});

test('everything unknown of a campaign at once; the same key answers the same without settling again', async () => {
  const { campaignId, runId } = await unconfirmed(5);
  const request = {
    token: world.workspace.tokens.operator,
    body: { campaign_id: campaignId, outcome: 'NOT_SENT' },
    headers: { 'idempotency-key': uuidv7() },
  };
  const path = SETTLE.replace('{ws}', world.workspace.id);
  const first = await api.request('POST', path, request);
  expect(first.body).toMatchObject({ applied: 5, remaining: 0 });
  expect(first.body.workflows).toEqual([expect.objectContaining({ workflow_id: expect.stringMatching(/^lane\//) })]);
  const second = await api.request('POST', path, request);
  expect(second.body.results).toEqual(first.body.results);
  expect(await rowsByStatus(api.db, runId)).toEqual({ QUEUED: 5 });
  const late = await one<{ n: number }>(
    api.db,
    sql`SELECT count(*) AS n FROM late_settlements WHERE workspace_id = ${world.workspace.id}`,
  );
  expect(late?.n).toBe(5);
  const viewer = await api.request('POST', path, { ...request, token: world.workspace.tokens.viewer });
  expect(viewer.status).toBe(403);
});

test('a campaign that is SENT stays SENT, and its rows that are queued again can be claimed', async () => {
  const { campaignId, runId, claim } = await unconfirmed(2);
  expect(await finishRun(api.db, world.workspace.id, runId)).not.toBeNull();
  await world.call('POST', SETTLE, { campaign_id: campaignId, outcome: 'NOT_SENT' });
  expect(await runState(api.db, runId)).toMatchObject({ status: 'SENT' });
  const lane = await one<{ id: string; awake: boolean }>(
    api.db,
    sql`SELECT l.id, l.awake FROM campaign_runs r JOIN streams s ON s.id = r.stream_id JOIN lanes l ON l.id = s.lane_id
        WHERE r.id = ${runId}`,
  );
  expect(lane?.awake).toBe(true);
  expect(await activeStreams(api.db, lane?.id ?? '')).toEqual([expect.objectContaining({ run_id: runId })]);
  const again = await claimRows(api.db, uuidv7(), await keysOf(api.db, runId));
  expect(again?.claimed).toHaveLength(2);
  expect(again?.claimId).not.toBe(claim.claimId);
  expect(await ledger(campaignId)).toMatchObject({ balanced: true, by_status: { SENDING: 2 } });
});

test('the acceptance of a row that an operator queued again settles it, as long as nobody has claimed it', async () => {
  const { campaignId, runId, keys, claim } = await unconfirmed(2);
  await world.call('POST', SETTLE, { campaign_id: campaignId, outcome: 'NOT_SENT' });
  const [early, late] = keys;
  const accepted = (key: typeof early) => ({
    workspaceId: world.workspace.id,
    sourceId: runId,
    deliveryId: key?.id ?? '',
    claimId: claim.claimId,
    origin: 'REPLY' as const,
    outcome: 'SENT' as const,
    reason: null,
    actorId: null,
    processId: claim.processId,
  });
  expect(await api.db.transaction((tx) => settleLate(tx, accepted(early)))).toBe('applied');
  expect(await ledger(campaignId)).toMatchObject({ balanced: true, by_status: { SENT: 1, QUEUED: 1 } });
  // Too late: the other one is on its way again.
  await claimRows(api.db, uuidv7(), [{ source_id: runId, id: late?.id ?? '' }]);
  expect(await api.db.transaction((tx) => settleLate(tx, accepted(late)))).toBe('moved-on');
  expect(await ledger(campaignId)).toMatchObject({ balanced: true, by_status: { SENT: 1, SENDING: 1 } });
  const alerts = await many(
    api.db,
    sql`SELECT kind, severity, cause FROM alerts WHERE workspace_id = ${world.workspace.id}`,
  );
  expect(alerts).toEqual([{ kind: 'double-acceptance', severity: 'critical', cause: late?.id }]);
});

test("the unit of a provider's day returns with the row", async () => {
  const providerId = uuidv7();
  const { runId, keys } = await unconfirmed(2, {
    limits: [{ kind: 'provider-day', resourceId: providerId, limit: 2 }],
    localDate: '2026-03-29',
  });
  const outcomes = ['SENT', 'NOT_SENT'];
  await world.call('POST', SETTLE, {
    items: keys.map((key, index) => ({ source_id: runId, delivery_id: key.id, outcome: outcomes[index] })),
  });
  const used = await one(api.db, sql`SELECT used FROM capacity WHERE resource_id = ${providerId}`);
  expect(used).toEqual({ used: 1 });
  const dates = await many(api.db, sql`SELECT cap_date FROM deliveries WHERE source_id = ${runId} ORDER BY id`);
  expect(dates).toEqual([{ cap_date: '2026-03-29' }, { cap_date: null }]);
});

test.each([
  ['no items', { items: [] }],
  ['another word', { items: [{ source_id: uuidv7(), delivery_id: uuidv7(), outcome: 'PERHAPS' }] }],
  ['both forms', { items: [], campaign_id: uuidv7(), outcome: 'SENT' }],
  ['a row twice', { items: Array(2).fill({ source_id: uuidv7(), delivery_id: uuidv7(), outcome: 'SENT' }) }],
])('%s is refused', async (_name, body) => {
  const path = SETTLE.replace('{ws}', world.workspace.id);
  expect((await api.request('POST', path, { token: world.workspace.tokens.owner, body })).status).toBe(422);
});

test('a campaign of another workspace is not found', async () => {
  const { campaignId } = await unconfirmed(1);
  const other = await exampleWorld(api);
  const response = await api.request('POST', SETTLE.replace('{ws}', other.workspace.id), {
    token: other.workspace.tokens.owner,
    body: { campaign_id: campaignId, outcome: 'SENT' },
  });
  expect(response.status).toBe(404);
});

describe('the list', () => {
  const list = (query: Record<string, string | number>) =>
    api.request('GET', `/workspaces/${world.workspace.id}/deliveries`, { token: world.workspace.tokens.viewer, query });

  test('shows what is unknown, a page at a time, as it stands in the log of a relay', async () => {
    const { campaignId, runId, keys } = await unconfirmed(3);
    const first = await list({ status: 'UNCONFIRMED', limit: 2 });
    const second = await list({ status: 'UNCONFIRMED', limit: 2, cursor: first.body.next_cursor });
    expect([...first.body.items, ...second.body.items].map((row: { id: string }) => row.id)).toEqual(
      keys.map((key) => key.id),
    );
    expect(second.body.next_cursor).toBeNull();
    expect(first.body.items[0]).toMatchObject({
      source_id: runId,
      campaign_id: campaignId,
      status: 'UNCONFIRMED',
      reason: 'PROCESS_LOST',
      rfc_message_id: expect.stringMatching(/^<[0-9a-f]{32}\.[0-9a-f]{32}@.+>$/),
    });
  });

  test('is bounded by campaign and contact, never the whole ledger', async () => {
    const { campaignId, keys } = await unconfirmed(3);
    expect((await list({ campaign_id: campaignId })).body.items).toHaveLength(3);
    const [key] = keys;
    const ofContact = await list({ contact_id: key?.contact_id ?? '' });
    expect(ofContact.body.items).toEqual([expect.objectContaining({ id: key?.id })]);
    expect((await list({ campaign_id: campaignId, status: 'SENT' })).body.items).toEqual([]);
    expect((await list({})).status).toBe(422);
    expect((await list({ status: 'QUEUED' })).status).toBe(422);
  });
});
