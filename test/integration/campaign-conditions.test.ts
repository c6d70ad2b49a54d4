import { createCampaignActivities } from '../../activities/campaigns';
import { refreshAudience } from '../../db/audiences';
import { materialiseBatch } from '../../db/campaigns';
import { many, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { addConsented, audienceOf, runState, sentOff } from '../support/campaign-runs';
import { exampleWorld, type World } from '../support/examples';
import { approvedCampaign } from '../support/examples/content';

const CAMPAIGNS = '/workspaces/{ws}/email-marketing/campaigns';
const tagged = (tag: string) => ({ type: 'field', field: 'tags', operator: 'contains', value: tag });

let api: TestApi;
let world: World;
let contacts: string[];
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'campaign conditions' });
});
beforeEach(async () => {
  world = await exampleWorld(api);
  contacts = await addConsented(world, 12);
  await api.db.query(sql`UPDATE contacts SET tags = '{even}' WHERE id = ANY (${every(2)}::uuid[])`);
});
afterAll(() => api.close());

const every = (step: number) => contacts.filter((_id, index) => index % step === 0);
const activities = () => createCampaignActivities({ ...api.deps, db: api.db });

/** Advances a run that is due; then inserts all its rows, three at a time. */
async function run(runId: string) {
  const input = { workspaceId: world.workspace.id, runId };
  const { next } = await activities().advanceCampaignRun(input);
  while ((await materialiseBatch(api.db, input, 3)).kind === 'batch');
  const rows = await many<{ contact_id: string }>(
    api.db,
    sql`SELECT contact_id FROM deliveries WHERE source_id = ${runId} ORDER BY contact_id`,
  );
  return { step: next.step, recipients: rows.map((row) => row.contact_id), state: await runState(api.db, runId) };
}

const alerts = () =>
  many<{ cause: string; reason: string }>(
    api.db,
    sql`SELECT cause, details ->> 'reason' AS reason FROM alerts
        WHERE workspace_id = ${world.workspace.id} AND kind = 'campaign-audience'`,
  );

test.each([
  ['everybody who consented', { all_consented: true }, () => every(2)],
  ['all contacts, where nothing is included', { all_consented: false }, () => every(2)],
])('conditions narrow %s', async (_what, audience, expected) => {
  const { runId, campaignId } = await sentOff(world, { ...audience, audience_conditions: tagged('even') });
  const { recipients, state } = await run(runId);
  expect(recipients).toEqual(expected());
  expect(state).toMatchObject({ phase: 'MATERIALISED', audience_size: 6 });
  const ledger = await world.call('GET', `${CAMPAIGNS}/${campaignId}/ledger`);
  expect(ledger.body).toMatchObject({ balanced: true, rows: 6 });
});

test('conditions narrow included audiences, and excluded ones stay out', async () => {
  const include = [await audienceOf(world, contacts.slice(0, 6))];
  const exclude = [await audienceOf(world, contacts.slice(0, 1))];
  const { runId } = await sentOff(world, {
    all_consented: false,
    audiences: { include, exclude },
    audience_conditions: { not: tagged('even') },
  });
  expect((await run(runId)).recipients).toEqual([contacts[1], contacts[3], contacts[5]]);
});

test('the approval covers the conditions', async () => {
  const campaignId = await approvedCampaign(world, { audience_conditions: tagged('even') });
  const before = (await world.call('GET', `${CAMPAIGNS}/${campaignId}`)).body;
  expect(before).toMatchObject({ approval: { state: 'APPROVED' }, audience_conditions: tagged('even') });
  await world.call('PATCH', `${CAMPAIGNS}/${campaignId}`, { audience_conditions: { not: tagged('even') } });
  const after = (await world.call('GET', `${CAMPAIGNS}/${campaignId}`)).body;
  expect(after.approval.state).toBe('VOIDED');
  const submitted = await world.call('POST', `${CAMPAIGNS}/${campaignId}/submit`);
  expect(submitted.body.audience.conditions).toEqual({ not: tagged('even') });
  const shown = await world.call('GET', `/workspaces/{ws}/email-marketing/messages/${before.approval.message_id}`);
  expect(shown.body.audience.conditions).toEqual(tagged('even'));
  expect(shown.body.sha256).not.toBe(submitted.body.sha256);
});

test('a wrong condition is refused where it stands', async () => {
  const refused = await api.request('POST', CAMPAIGNS.replace('{ws}', world.workspace.id), {
    token: world.workspace.tokens.owner,
    body: {
      name: 'Wrong',
      audience_conditions: { all: [{ type: 'custom_field', field: 'nope', operator: 'missing' }] },
    },
  });
  expect(refused.status).toBe(422);
  expect(refused.body.errors[0].pointer).toBe('/body/audience_conditions/all/0/field');
});

describe('a dynamic audience of a campaign', () => {
  async function dynamic(conditions: unknown): Promise<string> {
    const made = await world.call('POST', '/workspaces/{ws}/audiences', { name: world.unique(), conditions });
    return made.body.id;
  }
  const including = (id: string) => ({ all_consented: false, audiences: { include: [id] } });

  test('is calculated before the run begins if it never was', async () => {
    const { runId } = await sentOff(world, including(await dynamic(tagged('even'))));
    expect((await run(runId)).recipients).toEqual(every(2));
  });

  test('is taken with the members of its last success while its refresh fails', async () => {
    const audience = await dynamic(tagged('even'));
    await refreshAudience(api.db, { workspaceId: world.workspace.id, audienceId: audience });
    const { runId } = await sentOff(world, including(audience));
    await api.db.query(
      sql`UPDATE audiences SET calculation_error = 'TIMEOUT', dirty_at = now() WHERE id = ${audience}`,
    );
    await api.db.query(sql`UPDATE contacts SET tags = '{}' WHERE workspace_id = ${world.workspace.id}`);
    expect((await run(runId)).recipients).toEqual(every(2));
  });

  test('stops the run when it was redefined after the approval', async () => {
    const audience = await dynamic(tagged('even'));
    const { runId } = await sentOff(world, including(audience));
    await world.call('PATCH', `/workspaces/{ws}/audiences/${audience}`, { conditions: { not: tagged('even') } });
    const { step, recipients, state } = await run(runId);
    expect(step).toBe('wait-for-resume');
    expect(recipients).toEqual([]);
    expect(state).toMatchObject({ status: 'PAUSED', stop_reason: 'AUDIENCE_CHANGED' });
    expect(await alerts()).toEqual([{ cause: runId, reason: 'AUDIENCE_CHANGED' }]);
  });
});

test('a run whose conditions cannot be asked any more is paused, also in the middle of its audience', async () => {
  const field = { name: 'seats', label: 'Seats', type: 'number', is_segmentable: true, index_state: 'READY' };
  const id = await world.insert('contact_field_definitions', field);
  const conditions = { type: 'custom_field', field: 'seats', operator: 'missing' };
  const { runId } = await sentOff(world, { audience_conditions: conditions });
  const input = { workspaceId: world.workspace.id, runId };
  await activities().advanceCampaignRun(input);
  expect(await materialiseBatch(api.db, input, 5)).toMatchObject({ kind: 'batch', inserted: 5, finished: false });
  const segmentable = (yes: boolean) =>
    api.db.query(sql`UPDATE contact_field_definitions SET is_segmentable = ${yes}, index_state = ${yes ? 'READY' : 'NONE'}
      WHERE id = ${id}`);
  await segmentable(false);
  expect(await materialiseBatch(api.db, input, 5)).toEqual({ kind: 'stopped' });
  expect(await runState(api.db, runId)).toMatchObject({ status: 'PAUSED', stop_reason: 'AUDIENCE_UNAVAILABLE' });
  expect(await alerts()).toEqual([{ cause: runId, reason: 'AUDIENCE_UNAVAILABLE' }]);
  await segmentable(true);
  await api.db.query(sql`UPDATE campaign_runs SET status = 'SENDING' WHERE id = ${runId}`);
  expect((await run(runId)).recipients).toEqual(contacts);

  const other = await sentOff(world, { audience_conditions: conditions });
  await segmentable(false);
  const stopped = await run(other.runId);
  expect(stopped.step).toBe('wait-for-resume');
  expect(stopped.state).toMatchObject({ status: 'PAUSED', stop_reason: 'AUDIENCE_UNAVAILABLE' });
});
