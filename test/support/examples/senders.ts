import type { Examples } from './example';
import type { World } from './world';

/** A provider of type SMTP that nobody connects to; its id. */
async function aProvider(world: World): Promise<string> {
  const { body } = await world.call('post', '/workspaces/{ws}/email-infrastructure/providers', newProvider(world));
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
};
