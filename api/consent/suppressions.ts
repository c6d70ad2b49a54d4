import {
  findSuppression,
  listSuppressionRemovals,
  listSuppressions,
  REMOVAL_REASONS,
  releaseSuppression,
  removeSuppression,
  type SuppressionRemovalRow,
  type SuppressionRow,
  suppressManually,
} from '../../db/consent/suppressions';
import { normaliseDomain, normaliseEmail } from '../../domain/contacts';
import { notFound, Problem, wrongState } from '../http/problem';
import { type AnyRoute, defineRoute } from '../http/route';
import { cutPage, decodeIdCursor, id, moment, pageOf, pageQuery, plainText, z } from '../http/schemas';
import { bouncePolicyRoutes } from './bounce-policy';
import { newSuppressions, readTargets } from './suppression-targets';

const SUPPRESSIONS = '/workspaces/{ws}/suppressions';
const ONE = `${SUPPRESSIONS}/{suppression_id}`;
const TAG = 'Suppressions';

const params = z.object({ suppression_id: id });
const reason = z.enum(['BOUNCE', 'COMPLAINT', 'MANUAL']);
const state = z.enum(['ACTIVE', 'HELD']);

const suppression = z
  .object({
    id,
    domain: z.string().nullable().openapi({ description: 'Of a suppressed domain; null for an address.' }),
    hint: z.string().openapi({ description: 'Enough to recognise the address; the address itself is not kept.' }),
    reason,
    source: z.enum(['API', 'DELIVERY', 'IMPORT']),
    state: state.openapi({
      description: 'HELD: learnt while a breaker was open; does not count until it is released.',
    }),
    note: z.string(),
    created_at: moment,
  })
  .openapi('Suppression');

const removal = z.object({
  id,
  suppression_id: id,
  domain: z.string().nullable(),
  hint: z.string(),
  suppressed_reason: reason,
  suppressed_source: z.enum(['API', 'DELIVERY', 'IMPORT']),
  suppressed_at: moment,
  reason: z.enum(REMOVAL_REASONS),
  evidence: z.string(),
  removed_by: id,
  removed_at: moment,
});

export const suppressionRoutes: AnyRoute[] = [
  defineRoute({
    method: 'get',
    path: SUPPRESSIONS,
    operationId: 'listSuppressions',
    tag: TAG,
    summary: 'Lists what gets no mail from this workspace, newest first',
    access: 'workspace',
    permission: 'suppressions:read',
    query: pageQuery.extend({
      state: state.optional(),
      reason: reason.optional(),
      source: z.enum(['API', 'DELIVERY', 'IMPORT']).optional(),
      domain: z.string().max(300).optional().openapi({ description: 'A suppressed domain.' }),
      at_domain: z
        .string()
        .max(300)
        .optional()
        .openapi({ description: 'Everything suppressed at a domain: itself and single addresses.' }),
    }),
    responses: { 200: { description: 'A page of suppressions', schema: pageOf(suppression) } },
    async handle(context, { query }) {
      const rows = await listSuppressions(context.tx, context.workspaceId, {
        before: decodeIdCursor(query.cursor),
        limit: query.limit,
        state: query.state ?? null,
        reason: query.reason ?? null,
        addressHash: null,
        domain: query.domain === undefined ? null : (normaliseDomain(query.domain) ?? query.domain),
        source: query.source ?? null,
        atDomain: query.at_domain === undefined ? null : (normaliseDomain(query.at_domain) ?? query.at_domain),
      });
      return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], show) };
    },
  }),
  defineRoute({
    method: 'post',
    path: SUPPRESSIONS,
    operationId: 'createSuppressions',
    tag: TAG,
    summary: 'Suppresses addresses and domains in this workspace',
    description:
      'At most 1,000 at a time. What is suppressed already is left as it is. Other workspaces are not affected.',
    access: 'workspace',
    permission: 'suppressions:write',
    idempotent: true,
    body: newSuppressions,
    bodyLimit: 2 * 1024 * 1024,
    responses: {
      201: {
        description: 'What was added; `already_suppressed` counts the others',
        schema: z.object({ items: z.array(suppression), already_suppressed: z.number().int() }),
      },
    },
    async handle(context, { body }) {
      const { tx, workspaceId, actor, deps } = context;
      const targets = readTargets(body, deps.addressHasher);
      const rows = await suppressManually(tx, workspaceId, targets, body.note, actor.userId);
      await context.audit({
        action: 'suppression.create',
        entityType: 'suppression',
        entityId: rows.length === 1 ? (rows[0]?.id ?? null) : null,
        new: { count: rows.length, ids: rows.map((row) => row.id), note: body.note },
      });
      return { status: 201, body: { items: rows.map(show), already_suppressed: targets.length - rows.length } };
    },
  }),
  defineRoute({
    method: 'post',
    path: `${SUPPRESSIONS}/check`,
    operationId: 'checkSuppression',
    tag: TAG,
    summary: 'Says which suppressions concern an address',
    description: 'The list shows hints only; this finds an address by its keyed hash. Changes nothing.',
    access: 'workspace',
    permission: 'suppressions:read',
    body: z.strictObject({ address: z.string().max(2_000) }),
    responses: { 200: { description: 'The suppressions', schema: z.object({ items: z.array(suppression) }) } },
    async handle(context, { body }) {
      const email = normaliseEmail(body.address);
      if (!email.ok) {
        throw new Problem('validation-failed', email.message, {
          errors: [{ pointer: '/body/address', detail: email.message }],
        });
      }
      const all = { before: null, limit: 1, state: null, reason: null };
      const addressHash = context.deps.addressHasher.hash(email.email);
      const rows = [
        ...(await listSuppressions(context.tx, context.workspaceId, { ...all, addressHash, domain: null })),
        ...(await listSuppressions(context.tx, context.workspaceId, {
          ...all,
          addressHash: null,
          domain: email.domain,
        })),
      ];
      await context.audit({
        action: 'suppression.check',
        entityType: 'suppression',
        entityId: rows[0]?.id ?? null,
        new: { found: rows.length },
      });
      return { status: 200, body: { items: rows.map(show) } };
    },
  }),
  defineRoute({
    method: 'post',
    path: `${ONE}/release`,
    operationId: 'releaseSuppression',
    tag: TAG,
    summary: 'Lets a held suppression count',
    access: 'workspace',
    permission: 'suppressions:write',
    params,
    responses: { 200: { description: 'The suppression', schema: suppression } },
    async handle(context, input) {
      const { tx, workspaceId } = context;
      const before = await findSuppression(tx, workspaceId, input.params.suppression_id);
      if (!before) throw notFound('suppression');
      if (!(await releaseSuppression(tx, workspaceId, before.id))) {
        throw wrongState('suppression', before.state, 'Only a HELD one can be released.');
      }
      await context.audit({
        action: 'suppression.release',
        entityType: 'suppression',
        entityId: before.id,
        old: { state: 'HELD' },
        new: { state: 'ACTIVE' },
      });
      return { status: 200, body: show({ ...before, state: 'ACTIVE' }) };
    },
  }),
  defineRoute({
    method: 'post',
    path: `${ONE}/remove`,
    operationId: 'removeSuppression',
    tag: TAG,
    summary: 'Lifts a suppression, for a reason that is kept',
    description:
      'A contact that bounced is ACTIVE again; one that complained becomes UNSUBSCRIBED, so that bulk mail takes a new opt-in.',
    access: 'workspace',
    permission: 'suppressions:write',
    params,
    body: z.strictObject({
      reason: z.enum(REMOVAL_REASONS),
      evidence: plainText(2_000)
        .min(1)
        .openapi({ description: 'How it is known: a ticket, a letter, a test message that arrived.' }),
    }),
    responses: { 200: { description: 'What was lifted, and why', schema: removal } },
    async handle(context, input) {
      const { tx, workspaceId, actor } = context;
      const before = await findSuppression(tx, workspaceId, input.params.suppression_id);
      const removed =
        before && (await removeSuppression(tx, { workspaceId, id: before.id, removedBy: actor.userId, ...input.body }));
      if (!before || !removed) throw notFound('suppression');
      await context.audit({
        action: 'suppression.remove',
        entityType: 'suppression',
        entityId: before.id,
        old: show(before),
        new: input.body,
      });
      return { status: 200, body: showRemoval(removed) };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/workspaces/{ws}/suppression-removals',
    operationId: 'listSuppressionRemovals',
    tag: TAG,
    summary: 'Lists suppressions that were lifted, with reason and evidence, newest first',
    access: 'workspace',
    permission: 'suppressions:read',
    query: pageQuery,
    responses: { 200: { description: 'A page of removals', schema: pageOf(removal) } },
    async handle(context, { query }) {
      const page = { before: decodeIdCursor(query.cursor), limit: query.limit };
      const rows = await listSuppressionRemovals(context.tx, context.workspaceId, page);
      return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], showRemoval) };
    },
  }),
  ...bouncePolicyRoutes,
];

function showRemoval(row: SuppressionRemovalRow): z.output<typeof removal> {
  return { ...row, suppressed_at: row.suppressed_at.toISOString(), removed_at: row.removed_at.toISOString() };
}

function show(row: SuppressionRow): z.input<typeof suppression> {
  return {
    id: row.id,
    domain: row.domain,
    hint: row.hint,
    reason: row.reason,
    source: row.source,
    state: row.state,
    note: row.note,
    created_at: row.created_at.toISOString(),
  };
}
