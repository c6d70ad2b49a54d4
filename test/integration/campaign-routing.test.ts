import { messageHash } from '../../db/content';
import { findMessage } from '../../db/content/messages';
import { many, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { exampleWorld, type World } from '../support/examples';
import { approvedCampaign, draftCampaign, submittedCampaign } from '../support/examples/content';

const SENDERS = '/workspaces/{ws}/email-infrastructure';
const CAMPAIGNS = '/workspaces/{ws}/email-marketing/campaigns';
let api: TestApi;
let world: World;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'campaign-routing' });
});
beforeEach(async () => {
  world = await exampleWorld(api);
});
afterAll(() => api.close());

const made = async (path: string, body: object): Promise<string> =>
  (await world.call('POST', `${SENDERS}${path}`, body)).body.id;
const provider = () =>
  made('/providers', { name: world.unique(), provider_type: 'SMTP', settings: { host: 'relay.example' } });

/** Two identities on a domain with a name and a Reply-To, and a pool of a member for each. */
async function objects(more: object = {}) {
  const domain = `${world.unique()}.example`;
  await made('/domains', { domain, default_from_name: 'The house', default_reply_to: `desk@${domain}` });
  const one = {
    email: `one@${domain}`,
    id: await made('/identities', { email: `one@${domain}`, display_name: 'One' }),
  };
  const two = { email: `two@${domain}`, id: await made('/identities', { email: `two@${domain}` }) };
  const provider_id = await provider();
  const members = [one, two].map(({ id }) => ({ provider_id, identity_id: id }));
  const poolId = await made('/pools', { name: world.unique(), members, ...more });
  return { domain, one, two, provider_id, poolId };
}

/** The message that a campaign with these fields is submitted as. */
async function submitted(more: object) {
  const { campaignId, messageId } = await submittedCampaign(world, { from_email: null, from_name: null, ...more });
  const message = (await world.call('GET', `/workspaces/{ws}/email-marketing/messages/${messageId}`)).body;
  return { campaignId, message };
}

function attempt(method: string, path: string, body?: unknown) {
  const url = path.replace('{ws}', world.workspace.id);
  return api.request(method, url, { token: world.workspace.tokens.owner, body });
}

describe('what an approval permits', () => {
  test('is the pool, its identities and the campaign’s wishes', async () => {
    const { one, two, domain, provider_id, poolId } = await objects();
    const routing_config = { strategy: 'weighted', preferred_providers: [provider_id], fallback_enabled: false };
    const { message } = await submitted({ sending_pool_id: poolId, routing_config });
    const addresses = [message.from_email, ...message.routing.senders.map(({ email }: { email: string }) => email)];
    expect(addresses).toEqual([one.email, two.email]);
    expect(message.routing).toMatchObject({ pool_id: poolId, ...routing_config });
    const named = [...message.routing.senders, { email: message.from_email, name: message.from_name }];
    expect(named).toContainEqual(expect.objectContaining({ email: one.email, name: 'One' }));
    expect(named).toContainEqual(expect.objectContaining({ email: two.email, name: 'The house' }));
    expect(message.reply_to).toBe(`desk@${domain}`);
  });

  test('is one address where the campaign names one, by id or as it is', async () => {
    const { two, poolId } = await objects();
    const byId = await submitted({ sending_pool_id: poolId, sending_identity_id: two.id });
    expect(byId.message).toMatchObject({ from_email: two.email, from_name: 'The house', routing: { senders: [] } });
    const byAddress = await submitted({ sending_pool_id: poolId, from_email: two.email, from_name: 'Me' });
    expect(byAddress.message).toMatchObject({ from_email: two.email, from_name: 'Me', routing: { senders: [] } });
  });

  test('is pinned by the hash: each part of it changes the hash, and none of it can be changed unnoticed', async () => {
    const { poolId } = await objects();
    const { message } = await submitted({ sending_pool_id: poolId });
    const frozen = await findMessage(api.db, world.workspace.id, message.id);
    if (!frozen?.routing) throw new Error('no routing');
    expect(messageHash(frozen)).toBe(message.sha256);
    const { routing } = frozen;
    const others = [
      null,
      { ...routing, pool_id: null },
      { ...routing, strategy: 'priority' as const },
      { ...routing, preferred_providers: [poolId] },
      { ...routing, fallback_enabled: false },
      { ...routing, senders: [{ email: 'eve@evil.example', name: 'Eve', reply_to: null }] },
    ];
    for (const other of others) expect(messageHash({ ...frozen, routing: other })).not.toBe(message.sha256);
  });

  test('goes when the campaign’s routing is edited, and stays when the pool gets another member', async () => {
    const { provider_id, poolId, one } = await objects();
    const campaignId = await approvedCampaign(world, { sending_pool_id: poolId, from_email: null });
    const show = async () => (await world.call('GET', `${CAMPAIGNS}/${campaignId}`)).body;
    const members = [{ provider_id, identity_id: one.id }, { provider_id: await provider() }];
    await world.call('PATCH', `${SENDERS}/pools/${poolId}`, { members });
    expect((await show()).approval.state).toBe('APPROVED');
    await world.call('PATCH', `${CAMPAIGNS}/${campaignId}`, { routing_config: { fallback_enabled: false } });
    expect(await show()).toMatchObject({
      approval: { state: 'VOIDED' },
      sending_pool_id: poolId,
      routing_config: { fallback_enabled: false },
    });
  });
});

describe('defaults', () => {
  test('the default pool is taken where the campaign names none', async () => {
    const { poolId } = await objects({ is_default: true });
    expect((await submitted({})).message.routing.pool_id).toBe(poolId);
  });

  test('the default pool holds up no campaign that it cannot send', async () => {
    await objects({ is_default: true });
    expect((await submitted({ from_email: 'me@elsewhere.example' })).message.routing).toBeNull();
  });

  test('the default identity is taken where the campaign names no sender', async () => {
    const { two } = await objects();
    await world.call('PATCH', `${SENDERS}/identities/${two.id}`, { is_default: true });
    const { message } = await submitted({});
    expect(message).toMatchObject({ from_email: two.email, from_name: 'The house', routing: null });
  });

  test('without one, the oldest active identity of the default domain is', async () => {
    const { domain, one, two } = await objects();
    const { items } = (await world.call('GET', `${SENDERS}/domains?limit=200`)).body;
    const { id } = items.find((item: { host: string }) => item.host === domain);
    await world.call('PATCH', `${SENDERS}/domains/${id}`, { is_default: true });
    expect((await submitted({})).message).toMatchObject({ from_email: one.email, from_name: 'One' });
    await world.call('PATCH', `${SENDERS}/identities/${one.id}`, { is_active: false });
    expect((await submitted({})).message.from_email).toBe(two.email);
    // A default identity comes first, whatever its domain.
    const { one: other } = await objects();
    await world.call('PATCH', `${SENDERS}/identities/${other.id}`, { is_default: true });
    expect((await submitted({})).message.from_email).toBe(other.email);
  });
});

describe('a campaign’s run', () => {
  test('takes the lane of its pool', async () => {
    const { poolId } = await objects();
    const campaignId = await approvedCampaign(world, { sending_pool_id: poolId, from_email: null });
    await world.call('POST', `${CAMPAIGNS}/${campaignId}/schedule`, { scheduled_at: '2099-01-01T00:00:00Z' });
    const lanes = await many(
      api.db,
      sql`SELECT l.kind, l.key FROM campaign_runs r JOIN streams s ON s.id = r.stream_id JOIN lanes l ON l.id = s.lane_id
          WHERE r.campaign_id = ${campaignId}`,
    );
    expect(lanes).toEqual([{ kind: 'pool', key: poolId }]);
  });

  test('keeps pool and identity from being deleted until it is over', async () => {
    const { poolId, one } = await objects();
    const campaignId = await draftCampaign(world, {
      sending_pool_id: poolId,
      sending_identity_id: one.id,
      from_email: null,
    });
    const refused = await attempt('DELETE', `${SENDERS}/pools/${poolId}`);
    expect([refused.status, refused.body.campaigns]).toEqual([409, 1]);
    expect((await attempt('DELETE', `${SENDERS}/identities/${one.id}`)).body).toMatchObject({ pools: 1, campaigns: 1 });
    await world.call('DELETE', `${CAMPAIGNS}/${campaignId}`);
    expect((await attempt('DELETE', `${SENDERS}/pools/${poolId}`)).status).toBe(204);
    expect((await attempt('DELETE', `${SENDERS}/identities/${one.id}`)).status).toBe(204);
  });
});

describe('submitting is refused', () => {
  test('for a pool that cannot send from the campaign’s address', async () => {
    const { poolId } = await objects();
    const campaignId = await draftCampaign(world, { sending_pool_id: poolId, from_email: 'me@elsewhere.example' });
    const response = await attempt('POST', `${CAMPAIGNS}/${campaignId}/submit`);
    expect([response.status, response.body.errors[0].pointer]).toEqual([422, '/body/sending_pool_id']);
  });

  test('for an identity that is not active any more', async () => {
    const { one } = await objects();
    const campaignId = await draftCampaign(world, { sending_identity_id: one.id, from_email: null });
    await world.call('PATCH', `${SENDERS}/identities/${one.id}`, { is_active: false });
    const response = await attempt('POST', `${CAMPAIGNS}/${campaignId}/submit`);
    expect([response.status, response.body.errors[0].pointer]).toEqual([422, '/body/sending_identity_id']);
  });
});
