import { findAudience } from '../../db/audiences';
import { findPurpose } from '../../db/consent';
import { activeFieldDefinitions, findUpload } from '../../db/contacts';
import {
  archiveGate,
  ensureGateTemplate,
  findGate,
  findGrant,
  type Gate,
  type GateResource,
  type GrantRow,
  insertGate,
  listGates,
  listGrants,
  revokeGrant,
  storeGateFile,
  updateGate,
} from '../../db/gates';
import type { GateCondition, GatePolicy } from '../../domain/gates';
import { invalidField, notFound, Problem, wrongState } from '../http/problem';
import { type AnyRoute, defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeIdCursor, headerText, id, jsonObject, moment, pageOf, pageQuery, z } from '../http/schemas';

const GATES = '/workspaces/{ws}/gates';
const ONE = `${GATES}/{gate_id}`;
const TAG = 'Gates';
const params = z.object({ gate_id: id });

const BUILT_IN_FIELDS: ReadonlySet<string> = new Set(['first_name', 'last_name', 'locale', 'time_zone']);

const condition = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('consent'), purpose_id: id }),
  z.strictObject({ type: z.literal('audience'), audience_id: id }),
  z.strictObject({
    type: z.literal('fields'),
    names: z
      .array(z.string().min(1).max(63))
      .min(1)
      .max(50)
      .openapi({ description: 'first_name, last_name, locale, time_zone, or names of custom fields.' }),
  }),
]);
const policy = z.strictObject({ match: z.enum(['all', 'any']).default('all'), conditions: z.array(condition).max(20) });

const url = z
  .url({ protocol: /^https?$/ })
  .max(2_000)
  .openapi({ format: 'uri' });
const newResource = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('url'), url }),
  z.strictObject({ type: z.literal('json'), document: jsonObject(128 * 1024) }),
  z.strictObject({
    type: z.literal('file'),
    upload_id: id.openapi({ description: 'Copied into the gate, so that the upload may go.' }),
    filename: headerText(200).min(1).optional(),
    content_type: z
      .string()
      .regex(/^[\w.+-]{1,80}\/[\w.+-]{1,80}$/, 'must be a media type')
      .default('application/octet-stream'),
  }),
]);
const shownResource = z.discriminatedUnion('type', [
  z.object({ type: z.literal('url'), url: z.string() }),
  z.object({ type: z.literal('json'), document: z.record(z.string(), z.unknown()) }),
  z.object({
    type: z.literal('file'),
    filename: z.string(),
    content_type: z.string(),
    bytes: z.number().int(),
  }),
]);

const settings = {
  name: headerText(200).min(1),
  policy,
  link_seconds: z.number().int().min(300).max(7_776_000).openapi({ description: 'How long a mailed link works.' }),
  max_uses: z.number().int().min(1).max(1_000).openapi({
    description: 'How often a link works. Programs that check links in mails use it as well: leave some room.',
  }),
  opt_in_purpose_id: id.nullable().openapi({ description: 'Marketing purpose whose opt-in a visitor may ask for.' }),
};
const newGate = z.strictObject({
  slug: z.string().regex(/^[a-z0-9][a-z0-9-]{0,99}$/, 'lower-case letters, digits and "-"'),
  ...settings,
  resource: newResource,
  policy: settings.policy.default({ match: 'all', conditions: [] }),
  link_seconds: settings.link_seconds.default(7 * 24 * 3600),
  max_uses: settings.max_uses.default(5),
  opt_in_purpose_id: settings.opt_in_purpose_id.default(null),
});
const gateChange = z.strictObject({ ...settings, resource: newResource }).partial();

const gateDocument = z
  .object({
    id,
    slug: z.string(),
    name: z.string(),
    resource: shownResource,
    policy: z.object({ match: z.enum(['all', 'any']), conditions: z.array(condition) }),
    link_seconds: z.number().int(),
    max_uses: z.number().int(),
    opt_in_purpose_id: id.nullable(),
    version: z.number().int(),
    created_at: moment,
    updated_at: moment,
  })
  .openapi('Gate');

const grantDocument = z
  .object({
    id,
    contact_id: id,
    status: z.enum(['GRANTED', 'REFUSED', 'REVOKED']),
    verdicts: z
      .array(z.object({ condition, met: z.boolean() }))
      .openapi({ description: 'When the link was asked for. Conditions are checked again at each use.' }),
    uses: z.number().int(),
    max_uses: z.number().int(),
    expires_at: moment,
    created_at: moment,
    last_used_at: moment.nullable(),
    revoked_at: moment.nullable(),
  })
  .openapi('GateGrant');

function showCondition(stored: GateCondition): z.input<typeof condition> {
  switch (stored.type) {
    case 'consent':
      return { type: 'consent', purpose_id: stored.purposeId };
    case 'audience':
      return { type: 'audience', audience_id: stored.audienceId };
    case 'fields':
      return { type: 'fields', names: stored.names };
  }
}

function showResource(stored: GateResource): z.input<typeof shownResource> {
  if (stored.type !== 'file') return stored;
  return { type: 'file', filename: stored.filename, content_type: stored.contentType, bytes: stored.bytes };
}

function showGate(gate: Gate): z.input<typeof gateDocument> {
  return {
    id: gate.id,
    slug: gate.slug,
    name: gate.name,
    resource: showResource(gate.resource),
    policy: { match: gate.policy.match, conditions: gate.policy.conditions.map(showCondition) },
    link_seconds: gate.linkSeconds,
    max_uses: gate.maxUses,
    opt_in_purpose_id: gate.optInPurposeId,
    version: gate.version,
    created_at: gate.createdAt.toISOString(),
    updated_at: gate.updatedAt.toISOString(),
  };
}

function showGrant(row: GrantRow): z.input<typeof grantDocument> {
  return {
    id: row.id,
    contact_id: row.contact_id,
    status: row.status,
    verdicts: row.verdicts.map(({ condition: stored, met }) => ({ condition: showCondition(stored), met })),
    uses: row.uses,
    max_uses: row.max_uses,
    expires_at: row.expires_at.toISOString(),
    created_at: row.created_at.toISOString(),
    last_used_at: row.last_used_at?.toISOString() ?? null,
    revoked_at: row.revoked_at?.toISOString() ?? null,
  };
}

/** The policy with everything that it names checked. */
async function readPolicy(context: WorkspaceContext, asked: z.output<typeof policy>): Promise<GatePolicy> {
  const { tx, workspaceId } = context;
  const known = new Set((await activeFieldDefinitions(tx, workspaceId)).map(({ key }) => key));
  const conditions: GateCondition[] = [];
  for (const [index, each] of asked.conditions.entries()) {
    const place = `policy/conditions/${index}`;
    switch (each.type) {
      case 'consent':
        await requirePurpose(context, each.purpose_id, `${place}/purpose_id`);
        conditions.push({ type: 'consent', purposeId: each.purpose_id });
        break;
      case 'audience':
        if (!(await findAudience(tx, workspaceId, each.audience_id))) {
          throw invalidField(`${place}/audience_id`, 'No audience with this id exists in this workspace.');
        }
        conditions.push({ type: 'audience', audienceId: each.audience_id });
        break;
      case 'fields': {
        const unknown = each.names.find((name) => !BUILT_IN_FIELDS.has(name) && !known.has(name));
        if (unknown !== undefined) throw invalidField(`${place}/names`, `No field "${unknown}" exists.`);
        conditions.push({ type: 'fields', names: [...new Set(each.names)] });
      }
    }
  }
  return { match: asked.match, conditions };
}

async function requirePurpose({ tx, workspaceId }: WorkspaceContext, purposeId: string, place: string): Promise<void> {
  const purpose = await findPurpose(tx, workspaceId, purposeId);
  if (purpose?.kind === 'marketing' && purpose.archived_at === null) return;
  throw invalidField(place, 'No marketing purpose with this id is in use in this workspace.');
}

/** The resource as it is stored, and the upload that a file is copied from. */
async function readResource(
  { tx, workspaceId }: WorkspaceContext,
  asked: z.output<typeof newResource>,
): Promise<{ resource: GateResource; uploadId: string | null }> {
  if (asked.type !== 'file') return { resource: asked, uploadId: null };
  const upload = await findUpload(tx, workspaceId, asked.upload_id);
  if (!upload?.completed_at) {
    throw invalidField('resource/upload_id', 'No complete upload with this id exists in this workspace.');
  }
  const resource: GateResource = {
    type: 'file',
    filename: asked.filename ?? upload.filename,
    contentType: asked.content_type,
    bytes: upload.size_bytes,
  };
  return { resource, uploadId: upload.id };
}

async function requireGate(context: WorkspaceContext, gateId: string, lock = false): Promise<Gate> {
  const gate = await findGate(context.tx, context.workspaceId, { id: gateId }, lock);
  if (!gate) throw notFound('gate');
  return gate;
}

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
      await ensureGateTemplate(tx, workspaceId);
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
