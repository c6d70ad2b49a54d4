import {
  archiveGate,
  ensureGateTemplates,
  findGrant,
  insertGate,
  listGates,
  listGrants,
  revokeGrant,
  storeGateFile,
  updateGate,
} from '../../db/gates';
import { notFound, Problem, wrongState } from '../http/problem';
import { type AnyRoute, defineRoute } from '../http/route';
import { cutPage, decodeIdCursor, id, pageOf, pageQuery, z } from '../http/schemas';
import { readPolicy, readResource, requireGate, requirePurpose } from './rules';
import { gateChange, gateDocument, grantDocument, newGate, showGate, showGrant } from './schemas';

const GATES = '/workspaces/{ws}/gates';
const ONE = `${GATES}/{gate_id}`;
const TAG = 'Gates';
const params = z.object({ gate_id: id });

/** Operations about content gates. */
export const gateRoutes: AnyRoute[] = [
  defineRoute({
    operationId: 'createGate',
    method: 'post',
    path: GATES,
    tag: TAG,
    summary: 'Puts a resource behind a gate',
    description:
      'Visitors ask for it at POST /public/{ws}/gates/{slug}. Who meets the conditions gets a link by mail (template ' +
      '`gate-access`), which shows that the address is theirs.',
    access: 'workspace',
    permission: 'content:write',
    idempotent: true,
    body: newGate,
    responses: { 201: { description: 'The gate', schema: gateDocument } },
    async handle(context, { body }) {
      const { tx, workspaceId, actor } = context;
      const { resource, uploadId } = await readResource(context, body.resource);
      if (body.opt_in_purpose_id) await requirePurpose(context, body.opt_in_purpose_id, 'opt_in_purpose_id');
      const gate = await insertGate(tx, workspaceId, {
        slug: body.slug,
        name: body.name,
        resource,
        policy: await readPolicy(context, body.policy),
        linkSeconds: body.link_seconds,
        maxUses: body.max_uses,
        optInPurposeId: body.opt_in_purpose_id,
        createdBy: actor.userId,
      });
      if (uploadId !== null) await storeGateFile(tx, workspaceId, gate.id, uploadId);
      await ensureGateTemplates(tx, workspaceId);
      await context.audit({ action: 'gate.create', entityType: 'gate', entityId: gate.id, new: showGate(gate) });
      return { status: 201, body: showGate(gate), version: gate.version };
    },
  }),
  defineRoute({
    operationId: 'listGates',
    method: 'get',
    path: GATES,
    tag: TAG,
    summary: 'Lists gates, newest first',
    access: 'workspace',
    permission: 'content:read',
    query: pageQuery,
    responses: { 200: { description: 'A page of gates', schema: pageOf(gateDocument) } },
    async handle({ tx, workspaceId }, { query }) {
      const page = { before: decodeIdCursor(query.cursor), limit: query.limit };
      const gates = await listGates(tx, workspaceId, page);
      return { status: 200, body: cutPage(gates, query.limit, (gate) => [gate.id], showGate) };
    },
  }),
  defineRoute({
    operationId: 'getGate',
    method: 'get',
    path: ONE,
    tag: TAG,
    summary: 'Reads a gate',
    access: 'workspace',
    permission: 'content:read',
    params,
    responses: { 200: { description: 'The gate', schema: gateDocument } },
    async handle(context, input) {
      const gate = await requireGate(context, input.params.gate_id);
      return { status: 200, body: showGate(gate), version: gate.version };
    },
  }),
  defineRoute({
    operationId: 'updateGate',
    method: 'patch',
    path: ONE,
    tag: TAG,
    summary: 'Changes a gate',
    description: 'Links that were mailed lead to the resource as it is now, by the conditions as they are now.',
    access: 'workspace',
    permission: 'content:write',
    params,
    body: gateChange,
    responses: { 200: { description: 'The gate', schema: gateDocument } },
    async handle(context, { params: { gate_id }, body, ifMatch }) {
      const { tx, workspaceId } = context;
      const before = await requireGate(context, gate_id, true);
      if (ifMatch !== null && ifMatch !== before.version) {
        throw new Problem(
          'version-mismatch',
          `The gate is at version ${before.version}. Read it again, then change it.`,
        );
      }
      const replaced = body.resource === undefined ? null : await readResource(context, body.resource);
      if (body.opt_in_purpose_id) await requirePurpose(context, body.opt_in_purpose_id, 'opt_in_purpose_id');
      const after = await updateGate(tx, workspaceId, before.id, {
        name: body.name ?? before.name,
        resource: replaced?.resource ?? before.resource,
        policy: body.policy === undefined ? before.policy : await readPolicy(context, body.policy),
        linkSeconds: body.link_seconds ?? before.linkSeconds,
        maxUses: body.max_uses ?? before.maxUses,
        optInPurposeId: body.opt_in_purpose_id === undefined ? before.optInPurposeId : body.opt_in_purpose_id,
      });
      if (replaced?.uploadId) await storeGateFile(tx, workspaceId, before.id, replaced.uploadId);
      const [old, now] = [showGate(before), showGate(after)];
      await context.audit({ action: 'gate.update', entityType: 'gate', entityId: before.id, old, new: now });
      return { status: 200, body: now, version: after.version };
    },
  }),
  defineRoute({
    operationId: 'deleteGate',
    method: 'delete',
    path: ONE,
    tag: TAG,
    summary: 'Closes a gate for good',
    description: 'Links that were mailed no longer work. What was granted stays on record.',
    access: 'workspace',
    permission: 'content:write',
    params,
    responses: { 204: { description: 'It is closed' } },
    async handle(context, input) {
      const gate = await requireGate(context, input.params.gate_id, true);
      await archiveGate(context.tx, context.workspaceId, gate.id);
      await context.audit({ action: 'gate.delete', entityType: 'gate', entityId: gate.id, old: showGate(gate) });
      return { status: 204 };
    },
  }),
  defineRoute({
    operationId: 'listGateGrants',
    method: 'get',
    path: `${ONE}/grants`,
    tag: TAG,
    summary: 'Lists who asked for a resource and was granted or refused a link, newest first',
    access: 'workspace',
    permission: 'contacts:read',
    params,
    query: pageQuery,
    responses: { 200: { description: 'A page of grants', schema: pageOf(grantDocument) } },
    async handle(context, { params: { gate_id }, query }) {
      const gate = await requireGate(context, gate_id);
      const page = { before: decodeIdCursor(query.cursor), limit: query.limit };
      const rows = await listGrants(context.tx, context.workspaceId, gate.id, page);
      return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], showGrant) };
    },
  }),
  defineRoute({
    operationId: 'revokeGateGrant',
    method: 'post',
    path: `${ONE}/grants/{grant_id}/revoke`,
    tag: TAG,
    summary: 'Takes a granted link back',
    access: 'workspace',
    permission: 'content:write',
    idempotent: true,
    params: z.object({ gate_id: id, grant_id: id }),
    responses: { 200: { description: 'The grant, revoked', schema: grantDocument } },
    async handle(context, { params: { gate_id, grant_id } }) {
      const { tx, workspaceId, actor } = context;
      const gate = await requireGate(context, gate_id);
      const before = await findGrant(tx, workspaceId, gate.id, grant_id);
      if (!before) throw notFound('grant');
      if (!(await revokeGrant(tx, workspaceId, before.id, actor.userId))) {
        throw wrongState('grant', before.status, 'Only one that is GRANTED can be revoked.');
      }
      const after = await findGrant(tx, workspaceId, gate.id, before.id);
      await context.audit({
        action: 'gate.revoke',
        entityType: 'gate_grant',
        entityId: before.id,
        old: { status: before.status, uses: before.uses },
        new: { status: 'REVOKED', gate_id: gate.id },
      });
      return { status: 200, body: showGrant(after ?? before) };
    },
  }),
];
