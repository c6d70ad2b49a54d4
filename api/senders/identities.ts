import {
  clearDefaultIdentity,
  findDomainOfHost,
  findIdentity,
  type IdentityRow,
  insertIdentity,
  listIdentities,
  lockIdentity,
  updateIdentity,
  usesOfIdentity,
  withdrawIdentity,
} from '../../db/senders';
import { invalidField, notFound, Problem } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeIdCursor, id, pageOf, pageQuery, problemDocument, z } from '../http/schemas';
import { identityChange, identityDocument, newIdentity, showIdentity } from './object-schemas';
import { wakeWaitingMail } from './providers';

const BASE = '/workspaces/{ws}/email-infrastructure/identities';
const ONE = `${BASE}/{identity_id}`;
const TAG = 'Senders';
const params = z.strictObject({ identity_id: id });

async function requireLocked(context: WorkspaceContext, wanted: string, ifMatch: number | null): Promise<IdentityRow> {
  await lockIdentity(context.tx, context.workspaceId, wanted);
  const row = await findIdentity(context.tx, context.workspaceId, wanted);
  if (!row) throw notFound('sending identity');
  if (ifMatch !== null && ifMatch !== row.version) {
    throw new Problem('version-mismatch', `The identity is at version ${row.version}. Read it again, then change it.`);
  }
  return row;
}

async function takeDefault(context: WorkspaceContext): Promise<void> {
  const former = await clearDefaultIdentity(context.tx, context.workspaceId);
  if (former === null) return;
  const change = { old: { is_default: true }, new: { is_default: false } };
  await context.audit({ action: 'identity.update', entityType: 'identity', entityId: former, ...change });
}

function audited(row: IdentityRow) {
  const { email, display_name, reply_to, is_default, is_active } = row;
  return { email, display_name, reply_to, is_default, is_active };
}

const createIdentity = defineRoute({
  operationId: 'createSendingIdentity',
  method: 'post',
  path: BASE,
  tag: TAG,
  summary: 'Adds an address that mail may be sent from',
  description:
    'It belongs to the sending domain of its right part. The default one is the From of campaigns that name neither an ' +
    'identity nor an address.',
  access: 'workspace',
  permission: 'senders:write',
  idempotent: true,
  body: newIdentity,
  responses: { 201: { description: 'The identity', schema: identityDocument } },
  async handle(context, { body }) {
    const { tx, workspaceId, actor } = context;
    const domain = await findDomainOfHost(tx, workspaceId, body.email.slice(body.email.lastIndexOf('@') + 1));
    if (!domain) throw invalidField('email', 'Its domain is no sending domain of this workspace. Add that first.');
    if (body.is_default) await takeDefault(context);
    const made = await insertIdentity(tx, workspaceId, {
      email: body.email,
      domainId: domain.id,
      displayName: body.display_name ?? '',
      replyTo: body.reply_to ?? null,
      isDefault: body.is_default ?? false,
      isActive: body.is_active ?? true,
      createdBy: actor.userId,
    });
    if (made === null) {
      const errors = [{ pointer: '/body/email', detail: 'exists already' }];
      throw new Problem('conflict', 'An identity with this address exists already.', { errors });
    }
    const row = await findIdentity(tx, workspaceId, made);
    if (!row) throw new Error('a sending identity is gone');
    await context.audit({ action: 'identity.create', entityType: 'identity', entityId: made, new: audited(row) });
    return { status: 201, body: showIdentity(row), version: row.version };
  },
});

const listIdentitiesRoute = defineRoute({
  operationId: 'listSendingIdentities',
  method: 'get',
  path: BASE,
  tag: TAG,
  summary: 'Lists the sending identities, oldest first',
  access: 'workspace',
  permission: 'senders:read',
  query: pageQuery,
  responses: { 200: { description: 'A page of identities', schema: pageOf(identityDocument) } },
  async handle(context, { query }) {
    const after = decodeIdCursor(query.cursor);
    const rows = await listIdentities(context.tx, context.workspaceId, after, query.limit + 1);
    return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], showIdentity) };
  },
});

const updateIdentityRoute = defineRoute({
  operationId: 'updateSendingIdentity',
  method: 'patch',
  path: ONE,
  tag: TAG,
  summary: 'Changes the name or use of a sending identity',
  description:
    'What was submitted for approval keeps the name it was approved with. An identity that is not active takes no more ' +
    'messages: those of pools go by other members, others wait.',
  access: 'workspace',
  permission: 'senders:write',
  params,
  body: identityChange,
  responses: {
    200: { description: 'The identity', schema: identityDocument },
    412: { description: 'It was changed in the meantime', schema: problemDocument },
  },
  async handle(context, { params: { identity_id }, body, ifMatch }) {
    const old = await requireLocked(context, identity_id, ifMatch);
    if (body.is_default && !old.is_default) await takeDefault(context);
    await updateIdentity(context.tx, context.workspaceId, old.id, {
      displayName: body.display_name ?? old.display_name,
      replyTo: body.reply_to === undefined ? old.reply_to : body.reply_to,
      isDefault: body.is_default ?? old.is_default,
      isActive: body.is_active ?? old.is_active,
    });
    const row = await findIdentity(context.tx, context.workspaceId, old.id);
    if (!row) throw new Error('a sending identity is gone');
    const change = { old: audited(old), new: audited(row) };
    await context.audit({ action: 'identity.update', entityType: 'identity', entityId: old.id, ...change });
    await wakeWaitingMail(context);
    return { status: 200, body: showIdentity(row), version: row.version };
  },
});

const deleteIdentity = defineRoute({
  operationId: 'deleteSendingIdentity',
  method: 'delete',
  path: ONE,
  tag: TAG,
  summary: 'Removes a sending identity that nothing needs any more',
  access: 'workspace',
  permission: 'senders:write',
  params,
  responses: {
    204: { description: 'Removed' },
    409: { description: 'A pool or a campaign needs it', schema: problemDocument },
  },
  async handle(context, { params: { identity_id }, ifMatch }) {
    const old = await requireLocked(context, identity_id, ifMatch);
    const uses = await usesOfIdentity(context.tx, context.workspaceId, old.id);
    if (uses.pools + uses.campaigns > 0) {
      const detail = `The identity is used by ${uses.pools} pools and ${uses.campaigns} campaigns that are not over. Take it out of them first, or set is_active to false.`;
      throw new Problem('conflict', detail, { members: uses });
    }
    await withdrawIdentity(context.tx, context.workspaceId, old.id);
    await context.audit({ action: 'identity.delete', entityType: 'identity', entityId: old.id, old: audited(old) });
    return { status: 204 };
  },
});

export const identityRoutes = [createIdentity, listIdentitiesRoute, updateIdentityRoute, deleteIdentity];
