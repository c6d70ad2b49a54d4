import { findAudience, previewConditions, resolveConditions } from '../../db/audiences';
import { notFound, Problem, wrongState } from '../http/problem';
import { defineRoute } from '../http/route';
import { id, workflowReference, z } from '../http/schemas';
import { AUDIENCE, AUDIENCES, audienceParams, TAG } from './audiences';
import { conditionTree, requireConditions } from './conditions';
import { followRefresh } from './refresh';

/** Longest count before it becomes an estimate: with the estimate, an answer within a second. */
const LIMITS = { exactMs: 500, estimateMs: 800 };

const preview = z
  .object({
    count: z.number().int(),
    is_estimate: z.boolean().openapi({
      description: 'Counting took too long: `count` is extrapolated from a random sample of contacts.',
    }),
    samples: z.array(
      z.object({
        contact_id: id,
        email: z.string(),
        status: z.enum(['ACTIVE', 'UNSUBSCRIBED', 'BOUNCED', 'COMPLAINED']),
        first_name: z.string().nullable(),
        last_name: z.string().nullable(),
      }),
    ),
  })
  .openapi('AudiencePreview');

export const calculationRoutes = [
  defineRoute({
    method: 'post',
    path: `${AUDIENCES}/preview`,
    operationId: 'previewAudience',
    tag: TAG,
    summary: 'Counts the contacts that conditions are true for',
    description: 'With up to ten of them. Nothing is stored.',
    access: 'workspace',
    permission: 'contacts:read',
    readOnly: true,
    body: z.strictObject({ conditions: conditionTree }),
    responses: { 200: { description: 'The count and samples', schema: preview } },
    async handle(context, { body }) {
      const conditions = await requireConditions(context, body.conditions);
      const resolution = await resolveConditions(context.tx, context.workspaceId, conditions);
      if (!resolution.ok) throw new Error('conditions changed within a transaction');
      const found = await previewConditions(context.tx, conditions, resolution.lookups, LIMITS);
      if (!found) throw new Problem('unavailable', 'Not even an estimate could be made in time. Try again later.');
      const samples = found.samples.map((contact) => ({
        contact_id: contact.id,
        email: contact.email,
        status: contact.status,
        first_name: contact.first_name || null,
        last_name: contact.last_name || null,
      }));
      return { status: 200, body: { count: found.count, is_estimate: found.isEstimate, samples } };
    },
  }),
  defineRoute({
    method: 'post',
    path: `${AUDIENCE}/refresh`,
    operationId: 'refreshAudience',
    tag: TAG,
    summary: 'Calculates a dynamic audience now',
    access: 'workspace',
    permission: 'contacts:write',
    idempotent: true,
    params: audienceParams,
    responses: {
      202: { description: 'The calculation was started', schema: z.object({ workflow: workflowReference }) },
    },
    async handle(context, { params }) {
      const row = await findAudience(context.tx, context.workspaceId, params.audience_id);
      if (!row) throw notFound('audience');
      if (row.type === 'STATIC') throw wrongState('audience', 'STATIC', 'Only a dynamic audience is calculated.');
      await context.audit({ action: 'audience.refresh', entityType: 'audience', entityId: row.id });
      return { status: 202, body: { workflow: followRefresh(context, row.id) } };
    },
  }),
];
