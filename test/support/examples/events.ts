import type { Examples } from './example';
import type { World } from './world';

async function aType(world: World): Promise<string> {
  const { body } = await world.call('post', '/workspaces/{ws}/event-types', { name: `type_${world.unique()}` });
  return body.id;
}

const anEvent = async (world: World) => ({
  event_id: world.unique(),
  event_type: 'purchase',
  contact_id: await world.contact(),
  payload: { amount: 12.5 },
});

/** Requests of the operations of events. */
export const eventsExamples: Examples = {
  createEvent: async (world) => ({ body: await anEvent(world) }),
  createEvents: async (world) => ({ body: { events: [await anEvent(world)] } }),
  createEventType: (world) => ({
    body: { name: `type_${world.unique()}`, fields: [{ name: 'amount', type: 'number', required: true }] },
  }),
  listEventTypes: () => ({}),
  updateEventType: async (world) => ({ params: { event_type_id: await aType(world) }, body: { description: 'New' } }),
  deleteEventType: async (world) => ({ params: { event_type_id: await aType(world) } }),
};
