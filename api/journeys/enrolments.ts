import {
  audienceSize,
  enrol,
  findEnrolment,
  listEnrolments,
  planWorkspace,
  stopEnrolments,
  unknownContacts,
} from '../../db/journeys';
import { ENROLMENT_STATUSES } from '../../domain/journeys';
import { followLane } from '../delivery';
import { invalidField, notFound, wrongState } from '../http/problem';
import { type AnyRoute, defineRoute } from '../http/route';
import { cutPage, decodeIdCursor, id, pageOf, pageQuery, problemDocument, workflowReference, z } from '../http/schemas';
import { planSoon } from './plan-soon';
import { enrolmentDocument, showEnrolment } from './schemas';
import { ONE, params, requireLockedSequence, requireSequence, requireSequenceState, TAG } from './shared';

const PATH = `${ONE}/enrolments`;
const oneParams = params.extend({ enrolment_id: id });
/** Largest list that one request enrols. */
const MOST_MEMBERS = 50_000;

const contacts = z.array(id).min(1).max(1_000);
const whom = z
  .strictObject({ contact_ids: contacts, audience_id: id })
  .partial()
  .refine((body) => (body.contact_ids === undefined) !== (body.audience_id === undefined), {
    path: ['contact_ids'],
    message: 'give either contact_ids or audience_id',
  });

const create = defineRoute({
  operationId: 'enrolContacts',
  method: 'post',
  path: PATH,
  tag: TAG,
  summary: 'Enrols contacts, or all present members of an audience',
  description:
    'Nobody is in a sequence twice at a time, and who has gone through it comes back only as its `reenrol_after_days` ' +
    'says: others are left alone and counted. The first mail of ' +
    '`contact_ids` goes at once if the window is open and the mailboxes have quota that is not reserved (a minute apart ' +
    'where one mailbox has several); members of an audience are spread over the window. An audience may have at most ' +
    `${MOST_MEMBERS} members.`,
  access: 'workspace',
  permission: 'campaigns:write',
  idempotent: true,
  params,
  body: whom,
  responses: {
    202: {
      description: 'Enrolled',
      schema: z.object({
        enrolled: z.number().int(),
        already_enrolled: z.number().int(),
        enrolment_ids: z.array(z.uuid()).openapi({ description: 'Of new enrolments by `contact_ids`, in no order.' }),
        workflow: workflowReference.nullable(),
      }),
    },
    409: { description: 'The sequence was never activated', schema: problemDocument },
  },
  async handle(context, { params: { sequence_id }, body }) {
    const { tx, workspaceId, actor } = context;
    const sequence = await requireLockedSequence(context, sequence_id, null);
    requireSequenceState('enrol', sequence);
    const asked = body.contact_ids ? [...new Set(body.contact_ids)] : null;
    let wanted = asked?.length ?? 0;
    if (asked) {
      const unknown = new Set(await unknownContacts(tx, workspaceId, asked));
      for (const [n, contactId] of (body.contact_ids ?? []).entries()) {
        if (unknown.has(contactId)) throw invalidField(`contact_ids/${n}`, 'No contact with this id exists.');
      }
    } else {
      const members = await audienceSize(tx, workspaceId, body.audience_id ?? '');
      if (members === null) throw invalidField('audience_id', 'No audience with this id exists.');
      if (members > MOST_MEMBERS) {
        throw invalidField('audience_id', `It has ${members} members; one request enrols at most ${MOST_MEMBERS}.`);
      }
      wanted = members;
    }
    const chosen = asked ? { contactIds: asked } : { audienceId: body.audience_id ?? '' };
    const made = await enrol(tx, workspaceId, sequence_id, chosen, actor.userId);
    await context.audit({
      action: 'sequence.enrol',
      entityType: 'sequence',
      entityId: sequence_id,
      new: { enrolled: made.length, audience_id: body.audience_id ?? null },
    });
    let workflow = null;
    if (asked) {
      const plan = await planWorkspace(tx, workspaceId, { only: made.map((one) => one.id) });
      for (const laneId of plan.wakeLaneIds) followLane(context, { laneId, wake: true });
    } else workflow = planSoon(context);
    const answer = {
      enrolled: made.length,
      already_enrolled: wanted - made.length,
      enrolment_ids: asked ? made.map((one) => one.id) : [],
      workflow,
    };
    return { status: 202, body: answer };
  },
});

const list = defineRoute({
  operationId: 'listEnrolments',
  method: 'get',
  path: PATH,
  tag: TAG,
  summary: 'Lists the enrolments of a sequence, oldest first',
  access: 'workspace',
  permission: 'campaigns:read',
  params,
  query: pageQuery.extend({ status: z.enum(ENROLMENT_STATUSES).optional() }),
  responses: { 200: { description: 'A page of enrolments', schema: pageOf(enrolmentDocument) } },
  async handle(context, { params: { sequence_id }, query }) {
    await requireSequence(context, sequence_id);
    const rows = await listEnrolments(context.tx, context.workspaceId, sequence_id, {
      status: query.status ?? null,
      after: decodeIdCursor(query.cursor),
      limit: query.limit,
    });
    return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], showEnrolment) };
  },
});

const get = defineRoute({
  operationId: 'getEnrolment',
  method: 'get',
  path: `${PATH}/{enrolment_id}`,
  tag: TAG,
  summary: 'Shows an enrolment with its last mail',
  access: 'workspace',
  permission: 'campaigns:read',
  params: oneParams,
  responses: { 200: { description: 'The enrolment', schema: enrolmentDocument } },
  async handle(context, { params: { sequence_id, enrolment_id } }) {
    const row = await findEnrolment(context.tx, context.workspaceId, sequence_id, enrolment_id);
    if (!row) throw notFound('enrolment');
    return { status: 200, body: showEnrolment(row) };
  },
});

const stop = defineRoute({
  operationId: 'stopEnrolment',
  method: 'post',
  path: `${PATH}/{enrolment_id}/stop`,
  tag: TAG,
  summary: 'Ends an enrolment and cancels its planned mail',
  description: 'With reason GOAL for somebody who has done what the sequence was for.',
  access: 'workspace',
  permission: 'campaigns:write',
  params: oneParams,
  body: z.strictObject({ reason: z.enum(['MANUAL', 'GOAL']) }),
  responses: {
    200: { description: 'Ended', schema: enrolmentDocument },
    409: { description: 'It has ended', schema: problemDocument },
  },
  async handle(context, { params: { sequence_id, enrolment_id }, body }) {
    const { tx, workspaceId } = context;
    const before = await findEnrolment(tx, workspaceId, sequence_id, enrolment_id);
    if (!before) throw notFound('enrolment');
    if ((await stopEnrolments(tx, workspaceId, { enrolmentId: enrolment_id }, body.reason)) === 0) {
      throw wrongState('enrolment', before.status, 'Only an ACTIVE enrolment can be stopped.');
    }
    await context.audit({
      action: 'enrolment.stop',
      entityType: 'enrolment',
      entityId: enrolment_id,
      old: { status: before.status },
      new: { status: 'STOPPED', reason: body.reason },
    });
    const after = await findEnrolment(tx, workspaceId, sequence_id, enrolment_id);
    return { status: 200, body: showEnrolment(after ?? before) };
  },
});

export const enrolmentRoutes: AnyRoute[] = [create, list, get, stop];
