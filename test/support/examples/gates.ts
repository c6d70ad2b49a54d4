import type { Examples } from './example';
import type { World } from './world';

const newGate = (world: World) => ({
  slug: `guide-${world.unique()}`,
  name: 'The guide',
  resource: { type: 'url', url: 'https://files.example/guide.pdf' },
});

async function aGate(world: World): Promise<{ id: string; slug: string }> {
  return (await world.call('post', '/workspaces/{ws}/gates', newGate(world))).body;
}

async function aGrant(world: World): Promise<{ gate_id: string; grant_id: string }> {
  const { id: gate_id } = await aGate(world);
  const grant_id = await world.insert('gate_grants', {
    gate_id,
    contact_id: await world.contact(),
    status: 'GRANTED',
    verdicts: '[]',
    max_uses: 5,
    expires_at: new Date(Date.now() + 3_600_000),
  });
  return { gate_id, grant_id };
}

/** Requests of the operations of gates. */
export const gatesExamples: Examples = {
  createGate: async (world) => ({
    body: {
      ...newGate(world),
      policy: { match: 'any', conditions: [{ type: 'audience', audience_id: await world.audience() }] },
    },
  }),
  listGates: () => ({}),
  getGate: async (world) => ({ params: { gate_id: (await aGate(world)).id } }),
  updateGate: async (world) => ({ params: { gate_id: (await aGate(world)).id }, body: { max_uses: 2 } }),
  deleteGate: async (world) => ({ params: { gate_id: (await aGate(world)).id } }),
  listGateGrants: async (world) => ({ params: { gate_id: (await aGrant(world)).gate_id } }),
  revokeGateGrant: async (world) => ({ params: await aGrant(world) }),
  askAtGate: async (world) => ({
    params: { ws: world.workspace.slug, slug: (await aGate(world)).slug },
    body: { email: `${world.unique()}@contacts.example` },
  }),
};
