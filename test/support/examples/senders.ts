import type { Examples } from './example';
import type { World } from './world';

/** A provider of type SMTP that nobody connects to; its id. */
async function aProvider(world: World): Promise<string> {
  const { body } = await world.call('post', '/workspaces/{ws}/email-infrastructure/providers', newProvider(world));
  return body.id;
}

const DMARC = { type: 'TXT', name: '_dmarc.sender.example', value: 'v=DMARC1; p=none' };

async function aDomain(world: World): Promise<string> {
  const domain = `${world.unique()}.example`;
  const { body } = await world.call('POST', '/workspaces/{ws}/email-infrastructure/domains', { domain });
  return body.id;
}

/** A sending domain of its own, and an identity on it; the identity's id. */
async function anIdentity(world: World): Promise<string> {
  const domain = `${world.unique()}.example`;
  await world.call('post', '/workspaces/{ws}/email-infrastructure/domains', { domain });
  const { body } = await world.call('post', '/workspaces/{ws}/email-infrastructure/identities', {
    email: `news@${domain}`,
  });
  return body.id;
}

let lastIp = 0;
const newIp = async (world: World) => {
  lastIp += 1;
  const ip_address = `198.51.${lastIp >> 8}.${lastIp & 255}`;
  return { provider_id: await aProvider(world), ip_address, egress: { port: 2_526 } };
};

async function anIp(world: World): Promise<string> {
  const { body } = await world.call('post', '/workspaces/{ws}/email-infrastructure/dedicated-ips', await newIp(world));
  return body.id;
}

const newPool = async (world: World) => ({
  name: `Pool ${world.unique()}`,
  strategy: 'weighted',
  members: [
    { provider_id: await aProvider(world), weight: 3 },
    { provider_id: await aProvider(world), identity_id: await anIdentity(world), mx_groups: ['gmail'] },
  ],
});

async function aPool(world: World): Promise<string> {
  const { body } = await world.call('post', '/workspaces/{ws}/email-infrastructure/pools', await newPool(world));
  return body.id;
}

const newProvider = (world: World) => ({
  name: `Relay ${world.unique()}`,
  provider_type: 'SMTP',
  settings: { host: 'relay.invalid' },
  credentials: { username: 'sally', password: 'secret' },
});

/** Requests of the operations of senders. */
export const sendersExamples: Examples = {
  createProvider: (world) => ({ body: newProvider(world) }),
  listProviders: () => ({}),
  getProvider: async (world) => ({ params: { provider_id: await aProvider(world) } }),
  updateProvider: async (world) => ({
    params: { provider_id: await aProvider(world) },
    body: { max_sends_per_second: 50, settings: { connections: 4 } },
  }),
  deleteProvider: async (world) => ({ params: { provider_id: await aProvider(world) } }),
  testProvider: async (world) => ({ params: { provider_id: await aProvider(world) } }),
  resetProviderBreaker: async (world) => {
    const provider_id = await aProvider(world);
    await world.db.query(
      `INSERT INTO breakers (workspace_id, provider_id, state, reason, opened_at) VALUES ($1, $2, 'OPEN', 'TLS', now())`,
      [world.workspace.id, provider_id],
    );
    return { params: { provider_id } };
  },
  createSendingDomain: async (world) => ({
    body: {
      domain: `${world.unique()}.example`,
      subdomain: 'news',
      daily_limit: 1_000,
      default_from_name: 'News',
      dns_records: { dmarc: [DMARC] },
      providers: [{ provider_id: await aProvider(world), dkim: true, spf: true }],
    },
  }),
  listSendingDomains: () => ({}),
  getSendingDomain: async (world) => ({ params: { domain_id: await aDomain(world) } }),
  updateSendingDomain: async (world) => ({
    params: { domain_id: await aDomain(world) },
    body: { daily_limit: 2_000, is_default: true, dns_records: { dmarc: [DMARC] } },
  }),
  createSendingIdentity: async (world) => {
    const domain = `${world.unique()}.example`;
    await world.call('post', '/workspaces/{ws}/email-infrastructure/domains', { domain });
    return { body: { email: `News@${domain}`, display_name: 'News', is_default: true } };
  },
  listSendingIdentities: () => ({}),
  updateSendingIdentity: async (world) => ({
    params: { identity_id: await anIdentity(world) },
    body: { display_name: 'Support', is_active: false },
  }),
  deleteSendingIdentity: async (world) => ({ params: { identity_id: await anIdentity(world) } }),
  createDedicatedIp: async (world) => ({ body: await newIp(world) }),
  listDedicatedIps: () => ({}),
  updateDedicatedIp: async (world) => ({
    params: { dedicated_ip_id: await anIp(world) },
    body: { status: 'PAUSED', hostname: 'mta1.example' },
  }),
  deleteDedicatedIp: async (world) => ({ params: { dedicated_ip_id: await anIp(world) } }),
  createSendingPool: async (world) => ({ body: await newPool(world) }),
  listSendingPools: () => ({}),
  getSendingPool: async (world) => ({ params: { pool_id: await aPool(world) } }),
  updateSendingPool: async (world) => ({
    params: { pool_id: await aPool(world) },
    body: { strategy: 'priority', is_default: true },
  }),
  deleteSendingPool: async (world) => ({ params: { pool_id: await aPool(world) } }),
};
