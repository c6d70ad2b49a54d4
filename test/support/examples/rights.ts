import type { Examples } from './example';
import type { World } from './world';

async function anErasure(world: World): Promise<string> {
  const { body } = await world.call('delete', `/workspaces/{ws}/contacts/${await world.contact()}`);
  return body.id;
}

/** Requests of the operations about data rights. */
export const rightsExamples: Examples = {
  deleteContact: async (world) => ({ params: { contact_id: await world.contact() } }),
  getErasure: async (world) => ({ params: { erasure_id: await anErasure(world) } }),
  listErasures: () => ({}),
};
