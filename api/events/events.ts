import { type ContactReference, describedFields, findEventContacts, ingestEvents, readClock } from '../../db/events';
import { type EventField, eventTypeProblem, occurredAtProblem, payloadProblem } from '../../domain/events';
import type { AddressHasher } from '../../platform/crypto';
import { uuidv7 } from '../../platform/ids';
import { Problem } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { emailAddress, id, jsonObject, moment, plainText, z } from '../http/schemas';

export const EVENTS = '/workspaces/{ws}/events';
export const TAG = 'Events';
const MAX_BATCH = 500;
const MAX_PAYLOAD = 8 * 1024;

const incoming = z.strictObject({
  event_id: plainText(200).min(1).optional().openapi({
    description: 'Your id of the event. The same id again, in whatever month, is the same event and changes nothing.',
  }),
  event_type: z.string().max(200),
  contact_id: id.optional(),
  email: emailAddress.optional(),
  external_id: z
    .strictObject({ kind: z.string().regex(/^[a-z][a-z0-9_]{0,62}$/), value: plainText(255).min(1) })
    .optional(),
  occurred_at: moment.optional().openapi({ description: 'Within the last 28 days; now when left out.' }),
  payload: jsonObject(MAX_PAYLOAD).default({}),
});
type Incoming = z.output<typeof incoming>;

const outcome = z
  .object({
    status: z.enum(['ACCEPTED', 'DUPLICATE', 'REJECTED']),
    event_id: z.uuid().nullable().openapi({ description: 'Sally’s id of the event.' }),
    field: z.string().nullable().openapi({ description: 'What is wrong with a rejected event.' }),
    detail: z.string().nullable(),
  })
  .openapi('EventOutcome');
type Outcome = z.output<typeof outcome>;

export const intakeRoutes = [
  defineRoute({
    method: 'post',
    path: EVENTS,
    operationId: 'createEvent',
    tag: TAG,
    summary: 'Takes in one event about a contact',
    description:
      'Name the contact by one of contact_id, email and external_id. When this answers, the event is stored.',
    access: 'workspace',
    permission: 'contacts:write',
    body: incoming,
    responses: {
      200: { description: 'It was there already', schema: outcome },
      201: { description: 'Stored', schema: outcome },
    },
    async handle(context, { body }) {
      const [result] = await takeIn(context, [body]);
      if (!result) throw new Error('an event without an outcome');
      if (result.status === 'REJECTED') {
        const detail = result.detail ?? 'The event is not valid.';
        throw new Problem('validation-failed', detail, { errors: [{ pointer: `/body/${result.field}`, detail }] });
      }
      return { status: result.status === 'ACCEPTED' ? 201 : 200, body: result };
    },
  }),
  defineRoute({
    method: 'post',
    path: `${EVENTS}/batch`,
    operationId: 'createEvents',
    tag: TAG,
    summary: `Takes in up to ${MAX_BATCH} events`,
    description:
      'An event that is wrong in itself is rejected by itself; all others are stored, in one transaction. Events without an event_id of yours are stored anew whenever the batch is repeated.',
    access: 'workspace',
    permission: 'contacts:write',
    bodyLimit: 8 * 1024 * 1024,
    body: z.strictObject({ events: z.array(incoming).min(1).max(MAX_BATCH) }),
    responses: { 200: { description: 'What became of each event', schema: z.object({ results: z.array(outcome) }) } },
    async handle(context, { body }) {
      return { status: 200, body: { results: await takeIn(context, body.events) } };
    },
  }),
];

async function takeIn(context: WorkspaceContext, events: readonly Incoming[]): Promise<Outcome[]> {
  const { tx, workspaceId, deps } = context;
  const now = await readClock(tx);
  const fields = await describedFields(tx, workspaceId, [...new Set(events.map((event) => event.event_type))]);
  const contacts = await findEventContacts(
    tx,
    workspaceId,
    events.map((event) => referenceOf(event, deps.addressHasher)),
  );
  const checked = events.map((event, index) => {
    const contactId = contacts[index] ?? null;
    const problem = problemOf(event, contactId, fields.get(event.event_type) ?? [], now);
    if (problem !== null || contactId === null) return { problem };
    const occurredAt = event.occurred_at === undefined ? now : new Date(event.occurred_at);
    const clientEventId = event.event_id ?? null;
    return {
      event: { id: uuidv7(), clientEventId, type: event.event_type, contactId, payload: event.payload, occurredAt },
    };
  });
  const accepted = checked.flatMap(({ event }) => event ?? []);
  const ids = accepted.length === 0 ? [] : await ingestEvents(tx, workspaceId, accepted);
  const idOf = new Map(accepted.map((event, index) => [event.id, ids[index] ?? event.id]));
  const outcomes = checked.map(({ event, problem }): Outcome => {
    if (!event)
      return { status: 'REJECTED', event_id: null, field: problem?.field ?? null, detail: problem?.detail ?? null };
    const stored = idOf.get(event.id) ?? event.id;
    return { status: stored === event.id ? 'ACCEPTED' : 'DUPLICATE', event_id: stored, field: null, detail: null };
  });
  const count = (status: Outcome['status']) => outcomes.filter((one) => one.status === status).length;
  await context.audit({
    action: 'event.ingest',
    entityType: 'event',
    entityId: events.length === 1 ? (outcomes[0]?.event_id ?? null) : null,
    new: { accepted: count('ACCEPTED'), duplicates: count('DUPLICATE'), rejected: count('REJECTED') },
  });
  return outcomes;
}

function referenceOf(event: Incoming, hasher: AddressHasher): ContactReference {
  return {
    contactId: event.contact_id ?? null,
    email: event.email ?? null,
    emailHash: event.email === undefined ? null : hasher.hash(event.email),
    externalId: event.external_id ?? null,
  };
}

function problemOf(
  event: Incoming,
  contactId: string | null,
  fields: readonly EventField[],
  now: Date,
): { field: string; detail: string } | null {
  const type = eventTypeProblem(event.event_type);
  if (type) return { field: 'event_type', detail: `The type ${type}.` };
  const references = [event.contact_id, event.email, event.external_id].filter((one) => one !== undefined);
  if (references.length !== 1)
    return { field: 'contact_id', detail: 'Name the contact by one of contact_id, email and external_id.' };
  const field = event.contact_id ? 'contact_id' : event.email ? 'email' : 'external_id';
  if (contactId === null) return { field, detail: 'There is no such contact in this workspace.' };
  const time = event.occurred_at === undefined ? null : occurredAtProblem(new Date(event.occurred_at), now);
  if (time) return { field: 'occurred_at', detail: `The moment ${time}.` };
  const payload = payloadProblem(event.payload, fields);
  return payload === null ? null : { field: 'payload', detail: payload };
}
