import { consentExamples } from './examples/consent';
import { contactsExamples } from './examples/contacts';
import { contentExamples } from './examples/content';
import { deliveryExamples } from './examples/delivery';
import { eventsExamples } from './examples/events';
import type { Examples } from './examples/example';
import { gatesExamples } from './examples/gates';
import { journeysExamples } from './examples/journeys';
import { rightsExamples } from './examples/rights';
import { sendersExamples } from './examples/senders';
import { workspaceExamples } from './examples/workspace';

export type { ExampleRequest, Examples } from './examples/example';
export { exampleWorld, type World } from './examples/world';

/**
 * One valid request per operation of the OpenAPI document, by operationId. The walks over all operations (access,
 * audit, foreign workspaces, OpenAPI) send them; an operation without one fails those tests.
 *
 * operationIds are camelCase. To add one, put it into your area's file below examples/:
 *
 *   updateContact: async (world) => ({ params: { contact_id: await world.contact() }, body: { first_name: 'Ada' } }),
 *
 * It is called anew for every request and makes what the request needs in `world` (whose workspace is fresh for each
 * walk), so that it answers 2xx to the owner each time. `ws` is filled in.
 */
export const examples: Examples = {
  ...workspaceExamples,
  ...contactsExamples,
  ...consentExamples,
  ...contentExamples,
  ...deliveryExamples,
  ...eventsExamples,
  ...sendersExamples,
  ...journeysExamples,
  ...rightsExamples,
  ...gatesExamples,
};
