import { materialiseBatch } from '../../db/campaigns';
import { changed, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { acceptQueued, addConsented, audienceOf, sentOff } from '../support/campaign-runs';
import { exampleWorld, type World } from '../support/examples';
import { approvedCampaign, draftCampaign } from '../support/examples/content';
import { setClock } from '../support/sequence-world';

const CAMPAIGNS = '/workspaces/{ws}/email-marketing/campaigns';
const PROVIDERS = '/workspaces/{ws}/email-infrastructure/providers';
/** A Tuesday, half past one in Berlin. */
const NOW = '2027-03-02T12:30:00Z';

let api: TestApi;
let world: World;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'campaign-forecast' });
});
beforeEach(async () => {
  world = await exampleWorld(api);
  await api.db.query(sql`UPDATE workspaces SET time_zone = 'Europe/Berlin' WHERE id = ${world.workspace.id}`);
  await setClock(api, NOW);
});
afterAll(() => api.close());

async function provider(limits: object = {}): Promise<string> {
  const settings = { host: 'relay.example' };
  const { body } = await world.call('POST', PROVIDERS, {
    name: world.unique(),
    provider_type: 'SMTP',
    settings,
    ...limits,
  });
  return body.id;
}

/** So many contacts who consented, half of them at Gmail, and a list of them. */
async function readers(count: number) {
  const people = await addConsented(world, count, world.unique().toLowerCase());
  return { people, audiences: { include: [await audienceOf(world, people)] } };
}

async function forecast(campaignId: string, body?: object) {
  return (await world.call('POST', `${CAMPAIGNS}/${campaignId}/forecast`, body)).body;
}

const act = (campaignId: string, action: string, body?: object) =>
  world.call('POST', `${CAMPAIGNS}/${campaignId}/${action}`, body);

interface Part {
  date: string;
  hour: number | null;
  mx_group: string;
  provider_id: string;
  messages: number;
  first_at: string;
  last_at: string;
}
const seconds = (at: string) => Math.round((Date.parse(at) - Date.parse(NOW)) / 1_000);
/** Messages by day, all groups together. */
function days(parts: Part[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { date, messages } of parts) counts[date] = (counts[date] ?? 0) + messages;
  return counts;
}

test('a draft: its audience as it is now, by mailbox provider and day, less whom the checks refuse', async () => {
  const id = await provider({ max_sends_per_second: 10, max_sends_per_day: 60 });
  const { people, audiences } = await readers(100);
  const [first, second, third] = people;
  await api.db.query(sql`UPDATE contacts SET status = 'UNSUBSCRIBED' WHERE id = ${first}`);
  await api.db.query(sql`UPDATE consents SET status = 'denied' WHERE contact_id = ANY (${[second, third]}::uuid[])`);
  const campaign = await draftCampaign(world, { all_consented: false, audiences });
  const found = await forecast(campaign);
  expect(found).toMatchObject({
    status: 'DRAFT',
    run_id: null,
    is_estimate: false,
    assumes: ['APPROVED', 'SENT_OFF'],
    messages: 100,
    sent: 97,
    not_sent: { UNSUBSCRIBED: 1, CONSENT_DENIED: 2 },
    waiting: {},
    others: 0,
  });
  expect(days(found.parts)).toEqual({ '2027-03-02': 60, '2027-03-03': 37 });
  expect(found.holds).toMatchObject([{ reason: 'CAPACITY', to: '2027-03-02T23:00:00.000Z', messages: 37 }]);
  expect(found.routes).toEqual([
    {
      provider_id: id,
      from_email: 'news@mail.example',
      ip_id: null,
      per_second: 10,
      breaker_until: null,
      limits: [{ kind: 'provider-day', limit: 60, used: 0 }],
    },
  ]);
  expect(new Set(found.parts.map((part: Part) => part.mx_group))).toEqual(new Set(['gmail', 'other']));
  expect(seconds(found.finished_at)).toBeCloseTo(10.5 * 3_600, -2);
});

test('a scheduled campaign begins at its time, with its window, behind those that come before it', async () => {
  await provider({ max_sends_per_second: 10, max_sends_per_day: 60 });
  const { audiences } = await readers(50);
  const send_window = { start: '09:00', end: '18:00', timezone: 'Europe/Berlin', weekdays: [2, 3, 5] };
  const wanted = { all_consented: false, audiences };
  const earlier = await approvedCampaign(world, wanted);
  await act(earlier, 'schedule', { scheduled_at: '2027-03-03T10:00:00+01:00' });
  const campaign = await approvedCampaign(world, { ...wanted, send_window });
  await act(campaign, 'schedule', { scheduled_at: '2027-03-03T16:00:00+01:00' });
  const found = await forecast(campaign, { parts: 'hour' });
  expect(found).toMatchObject({ status: 'SCHEDULED', assumes: [], messages: 50, sent: 50, others: 50 });
  expect(found.begins_at).toBe('2027-03-03T15:00:00.000Z');
  // Ten are left of Wednesday, and Thursday is none of its days.
  const hours = found.parts.map((part: Part) => `${part.date} ${part.hour}`);
  expect(days(found.parts)).toEqual({ '2027-03-03': 10, '2027-03-05': 40 });
  expect(new Set(hours)).toEqual(new Set(['2027-03-03 16', '2027-03-05 9']));
  expect(found.holds.map(({ reason }: { reason: string }) => reason)).toEqual(
    expect.arrayContaining(['CAPACITY', 'OUTSIDE_SEND_WINDOW']),
  );
  // As if it were sent before the other one.
  const today = await forecast(campaign, { scheduled_at: '2027-03-02T14:00:00+01:00' });
  expect(days(today.parts)).toEqual({ '2027-03-02': 50 });
  // The other one is not told of it: it goes first.
  expect(days((await forecast(earlier)).parts)).toEqual({ '2027-03-03': 50 });
});

test('what has begun is told of what is left of it; a pause is taken to end now', async () => {
  await provider({ max_sends_per_second: 10 });
  const { people, audiences } = await readers(40);
  const { campaignId, runId } = await sentOff(world, { all_consented: false, audiences });
  // Half of it is in the ledger, the other half is still to be made.
  await api.db.query(sql`
    UPDATE campaign_runs SET status = 'SENDING', phase = 'MATERIALISING', started_at = sally_now() WHERE id = ${runId}`);
  await api.db.query(
    sql`UPDATE streams s SET state = 'ACTIVE' FROM campaign_runs r WHERE r.id = ${runId} AND s.id = r.stream_id`,
  );
  expect(await materialiseBatch(api.db, { workspaceId: world.workspace.id, runId }, 20)).toMatchObject({
    inserted: 20,
  });
  await acceptQueued(api.db, runId, 5);
  const queued = await one<{ contact_id: string }>(
    api.db,
    sql`SELECT contact_id FROM deliveries WHERE source_id = ${runId} AND status = 'QUEUED' LIMIT 1`,
  );
  const unwilling = [queued?.contact_id, people[30]];
  const denied = sql`
    UPDATE consents SET status = 'denied'
    WHERE workspace_id = ${world.workspace.id} AND contact_id = ANY (${unwilling}::uuid[])`;
  expect(await changed(api.db, denied)).toBe(2);
  const left = { messages: 35, not_sent: { CONSENT_DENIED: 2 }, sent: 33, waiting: {} };
  expect(await forecast(campaignId)).toMatchObject({ status: 'SENDING', assumes: [], run_id: runId, ...left });
  await act(campaignId, 'pause');
  expect(await forecast(campaignId)).toMatchObject({ status: 'PAUSED', assumes: ['RESUMED'], ...left });
  const problem = async (body?: object) => {
    const path = `${CAMPAIGNS}/${campaignId}/forecast`.replace('{ws}', world.workspace.id);
    const answer = await api.request('post', path, { token: world.workspace.tokens.owner, body });
    return [answer.status, answer.body.errors?.[0]?.pointer];
  };
  expect(await problem({ scheduled_at: '2027-03-02T14:00:00+01:00' })).toEqual([422, '/body/scheduled_at']);
  expect(await problem({ days: 0 })).toEqual([422, '/body/days']);
  expect(await problem({ days: 61 })).toEqual([422, '/body/days']);
  await act(campaignId, 'cancel');
  expect(await problem()).toEqual([409, undefined]);
});

test('what blocks it: a provider that is shut, none that keeps its From address in line, none at all', async () => {
  const { audiences } = await readers(10);
  const campaign = await draftCampaign(world, { all_consented: false, audiences });
  await api.db.query(sql`DELETE FROM providers WHERE workspace_id = ${world.workspace.id}`);
  const id = await provider();
  const breaker = await one<{ probe_at: Date }>(
    api.db,
    sql`INSERT INTO breakers (workspace_id, provider_id, state, reason, failures, opened_at, probe_at)
        VALUES (${world.workspace.id}, ${id}, 'OPEN', 'AUTHENTICATION', 1, sally_now(), sally_now() + interval '10 minutes')
        RETURNING probe_at`,
  );
  const to = breaker?.probe_at.toISOString();
  const shut = await forecast(campaign);
  expect(shut).toMatchObject({ sent: 10, holds: [{ reason: 'BREAKER_OPEN', to, messages: 10 }] });
  expect(shut.routes).toMatchObject([{ provider_id: id, breaker_until: to }]);
  const other = await provider();
  await world.call('POST', '/workspaces/{ws}/email-infrastructure/domains', {
    domain: 'mail.example',
    providers: [{ provider_id: other, dkim: false, spf: false }],
  });
  expect(await forecast(campaign)).toMatchObject({ sent: 0, waiting: { MISALIGNED: 10 }, finished_at: null });
  await api.db.query(sql`UPDATE providers SET is_active = false WHERE workspace_id = ${world.workspace.id}`);
  expect(await forecast(campaign)).toMatchObject({ sent: 0, waiting: { NO_SENDER: 10 }, routes: [] });
});

test('a large audience is extrapolated from a sample', async () => {
  await provider({ max_sends_per_second: 100 });
  const { people, audiences } = await readers(6_000);
  // A fifth of those at Gmail has left.
  const gone = people.filter((_, n) => n % 10 === 1);
  await api.db.query(sql`UPDATE contacts SET status = 'UNSUBSCRIBED' WHERE id = ANY (${gone}::uuid[])`);
  const found = await forecast(await draftCampaign(world, { all_consented: false, audiences }), { parts: 'hour' });
  expect(found).toMatchObject({ is_estimate: true, messages: 6_000, waiting: {} });
  expect(found.sent + found.not_sent.UNSUBSCRIBED).toBeGreaterThanOrEqual(5_998);
  const refused = found.not_sent.UNSUBSCRIBED / gone.length;
  expect(refused).toBeGreaterThan(0.85);
  expect(refused).toBeLessThan(1.15);
  const took = seconds(found.finished_at) - seconds(found.from);
  expect(took).toBeGreaterThan(50);
  expect(took).toBeLessThan(60);
});
