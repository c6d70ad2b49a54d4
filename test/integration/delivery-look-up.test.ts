import { lookUpUnconfirmed } from '../../activities/delivery/look-up';
import { beginRun, materialiseBatch } from '../../db/campaigns';
import { uuidv7 } from '../../platform/ids';
import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { addConsented, rowsByStatus, sentOff } from '../support/campaign-runs';
import { claimRows, keysOf, loseClaim } from '../support/deliveries';
import { exampleWorld, type World } from '../support/examples';
import { ScriptedHttpServer } from '../support/scripted-http-server';

let api: TestApi;
let world: World;
let postmark: ScriptedHttpServer;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'delivery-look-up', env: { ALLOW_PRIVATE_SMTP: 'true' } });
  postmark = await ScriptedHttpServer.start();
});
beforeEach(async () => {
  world = await exampleWorld(api);
  postmark.requests.length = 0;
});
afterAll(async () => {
  await postmark.stop();
  await api.close();
});

const look = () => lookUpUnconfirmed({ ...api.deps, db: api.db });
const later = (interval: string) =>
  api.db.query(sql`
    UPDATE deliveries SET last_attempt_at = last_attempt_at - ${interval}::interval WHERE workspace_id = ${world.workspace.id}`);

/** A campaign of `count` rows that were lost on the way to a provider of this type. */
async function unknownAt(provider: Record<string, unknown>, count: number) {
  const { body } = await world.call('POST', '/workspaces/{ws}/email-infrastructure/providers', {
    name: `Provider ${world.unique()}`,
    ...provider,
  });
  const identity = await world.insert('sending_identities', { email: 'news@sender.example' });
  const route = await world.insert('routes', { provider_id: body.id, identity_id: identity });
  await addConsented(world, count);
  const { campaignId, runId } = await sentOff(world);
  await beginRun(api.db, world.workspace.id, runId);
  while ((await materialiseBatch(api.db, { workspaceId: world.workspace.id, runId }, 1_000)).kind !== 'stopped');
  const claim = await claimRows(api.db, uuidv7(), await keysOf(api.db, runId), route);
  if (!claim) throw new Error('nothing was claimed');
  await loseClaim(api.db, claim);
  return { campaignId, runId };
}

const atPostmark = () => ({
  provider_type: 'POSTMARK',
  settings: { endpoint: postmark.url },
  credentials: { server_token: 'token' },
});

test('what the provider knows was accepted becomes SENT, with its name there; the rest stays unknown', async () => {
  const { campaignId, runId } = await unknownAt(atPostmark(), 3);
  const [known] = await keysOf(api.db, runId, 'UNCONFIRMED');
  const correlation = `${known?.source_id}.${known?.id}`.replaceAll('-', '');
  postmark.reply = ({ query }) => ({
    status: 200,
    json: { TotalCount: 1, Messages: query.get('metadata_sally') === correlation ? [{ MessageID: 'pm-1' }] : [] },
  });
  // What was begun a moment ago may not be listed yet.
  expect(await look()).toEqual({ asked: 0, found: 0 });
  await later('1 minute');
  expect(await look()).toEqual({ asked: 3, found: 1 });
  expect(await rowsByStatus(api.db, runId)).toEqual({ SENT: 1, UNCONFIRMED: 2 });
  expect(
    await one(
      api.db,
      sql`SELECT id, provider_message_id FROM deliveries WHERE source_id = ${runId} AND status = 'SENT'`,
    ),
  ).toEqual({ id: known?.id, provider_message_id: 'pm-1' });
  expect(
    await many(
      api.db,
      sql`SELECT origin, outcome, applied FROM late_settlements WHERE workspace_id = ${world.workspace.id}`,
    ),
  ).toEqual([{ origin: 'EVIDENCE', outcome: 'SENT', applied: true }]);
  const ledger = await world.call('GET', `/workspaces/{ws}/email-marketing/campaigns/${campaignId}/ledger`);
  expect(ledger.body).toMatchObject({ balanced: true, accepted: { in_groups: 0, late: 1 } });
  // Asked again after a minute, then after two, and no more after a day.
  expect(await look()).toEqual({ asked: 0, found: 0 });
  await api.db.query(sql`UPDATE delivery_lookups SET asked_at = asked_at - interval '61 seconds'`);
  expect(await look()).toEqual({ asked: 2, found: 0 });
  await api.db.query(sql`UPDATE delivery_lookups SET asked_at = asked_at - interval '61 seconds'`);
  expect(await look()).toEqual({ asked: 0, found: 0 });
  await later('1 day');
  await api.db.query(sql`UPDATE delivery_lookups SET asked_at = asked_at - interval '1 day'`);
  expect(await look()).toEqual({ asked: 0, found: 0 });
});

test('a provider that fails or cannot be asked proves nothing', async () => {
  const { runId } = await unknownAt(atPostmark(), 1);
  await later('1 minute');
  postmark.reply = () => ({ status: 500, text: 'broken' });
  expect(await look()).toEqual({ asked: 1, found: 0 });
  const smtp = {
    provider_type: 'SMTP',
    settings: { host: 'relay.invalid' },
    credentials: { username: 'sally', password: 'secret' },
  };
  const other = await exampleWorld(api);
  world = other;
  const { runId: atRelay } = await unknownAt(smtp, 1);
  await later('1 minute');
  expect(await look()).toEqual({ asked: 0, found: 0 });
  for (const id of [runId, atRelay]) expect(await rowsByStatus(api.db, id)).toEqual({ UNCONFIRMED: 1 });
});
