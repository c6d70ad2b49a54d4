import {
  campaignsOfPool,
  clearDefaultPool,
  deletePool,
  findDomain,
  findIdentity,
  findIp,
  findPool,
  insertPool,
  listPools,
  lockPool,
  type PoolRow,
  replaceMembers,
  updatePool,
} from '../../db/senders';
import { violatedConstraint } from '../../platform/postgres';
import { invalidField, notFound, Problem } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeIdCursor, id, pageOf, pageQuery, problemDocument, z } from '../http/schemas';
import { requireProviders } from './domains';
import { type newMember, newPool, poolChange, poolDocument, showPool } from './object-schemas';
import { wakeWaitingMail } from './providers';

const BASE = '/workspaces/{ws}/email-infrastructure/pools';
const ONE = `${BASE}/{pool_id}`;
const TAG = 'Senders';
const params = z.strictObject({ pool_id: id });

type Members = z.output<typeof newMember>[];

async function requirePool(context: WorkspaceContext, wanted: string): Promise<PoolRow> {
  const row = await findPool(context.tx, context.workspaceId, wanted);
  if (!row) throw notFound('sending pool');
  return row;
}

async function requireLocked(context: WorkspaceContext, wanted: string, ifMatch: number | null): Promise<PoolRow> {
  await lockPool(context.tx, context.workspaceId, wanted);
  const row = await requirePool(context, wanted);
  if (ifMatch !== null && ifMatch !== row.version) {
    throw new Problem('version-mismatch', `The pool is at version ${row.version}. Read it again, then change it.`);
  }
  return row;
}

async function takeDefault(context: WorkspaceContext): Promise<void> {
  const former = await clearDefaultPool(context.tx, context.workspaceId);
  if (former === null) return;
  const change = { old: { is_default: true }, new: { is_default: false } };
  await context.audit({ action: 'pool.update', entityType: 'pool', entityId: former, ...change });
}

/** Refuses members whose parts do not exist, do not belong together, or could never carry a message. */
async function requireMembers(context: WorkspaceContext, members: Members): Promise<void> {
  const { tx, workspaceId } = context;
  await requireProviders(
    context,
    members.map((member) => member.provider_id),
    (index) => `members/${index}/provider_id`,
  );
  for (const [index, member] of members.entries()) {
    if (member.dedicated_ip_id !== null) {
      const ip = await findIp(tx, workspaceId, member.dedicated_ip_id);
      if (ip?.provider_id !== member.provider_id) {
        throw invalidField(`members/${index}/dedicated_ip_id`, 'The provider has no dedicated IP with this id.');
      }
    }
    if (member.identity_id === null) continue;
    const identity = await findIdentity(tx, workspaceId, member.identity_id);
    if (!identity) throw invalidField(`members/${index}/identity_id`, 'No sending identity with this id exists.');
    const domain = await findDomain(tx, workspaceId, identity.domain_id);
    const named = domain?.providers.find((entry) => entry.provider_id === member.provider_id);
    if (domain && domain.providers.length > 0 && !named) {
      const detail = `Mail from ${domain.host} may not be sent by this provider: the domain names others.`;
      throw invalidField(`members/${index}/identity_id`, detail);
    }
  }
}

function audited(row: PoolRow) {
  const { name, description, strategy, is_default, members } = row;
  return { name, description, strategy, is_default, members };
}

function nameConflict(error: unknown): never {
  if (violatedConstraint(error) !== 'sending_pools_name') throw error;
  throw new Problem('conflict', 'A pool with this name exists already.', {
    errors: [{ pointer: '/body/name', detail: 'is in use' }],
  });
}

const createPool = defineRoute({
  operationId: 'createSendingPool',
  method: 'post',
  path: BASE,
  tag: TAG,
  summary: 'Groups ways to send into a pool',
  description:
    'A member is a provider, perhaps with a sending identity and a dedicated IP. Each message takes the best member at ' +
    'the moment it is sent; its row in the ledger says which, and why.',
  access: 'workspace',
  permission: 'senders:write',
  idempotent: true,
  body: newPool,
  responses: { 201: { description: 'The pool', schema: poolDocument } },
  async handle(context, { body }) {
    const { tx, workspaceId, actor } = context;
    await requireMembers(context, body.members);
    if (body.is_default) await takeDefault(context);
    const values = {
      name: body.name,
      description: body.description ?? '',
      strategy: body.strategy ?? ('priority' as const),
      is_default: body.is_default ?? false,
    };
    const made = await insertPool(tx, workspaceId, values, actor.userId).catch(nameConflict);
    await replaceMembers(tx, workspaceId, made, body.members);
    const row = await requirePool(context, made);
    await context.audit({ action: 'pool.create', entityType: 'pool', entityId: made, new: audited(row) });
    return { status: 201, body: showPool(row), version: row.version };
  },
});

const listPoolsRoute = defineRoute({
  operationId: 'listSendingPools',
  method: 'get',
  path: BASE,
  tag: TAG,
  summary: 'Lists the sending pools, oldest first',
  access: 'workspace',
  permission: 'senders:read',
  query: pageQuery,
  responses: { 200: { description: 'A page of pools', schema: pageOf(poolDocument) } },
  async handle(context, { query }) {
    const after = decodeIdCursor(query.cursor);
    const rows = await listPools(context.tx, context.workspaceId, after, query.limit + 1);
    return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], showPool) };
  },
});

const getPool = defineRoute({
  operationId: 'getSendingPool',
  method: 'get',
  path: ONE,
  tag: TAG,
  summary: 'Shows a sending pool',
  access: 'workspace',
  permission: 'senders:read',
  params,
  responses: { 200: { description: 'The pool', schema: poolDocument } },
  async handle(context, input) {
    const row = await requirePool(context, input.params.pool_id);
    return { status: 200, body: showPool(row), version: row.version };
  },
});

const updatePoolRoute = defineRoute({
  operationId: 'updateSendingPool',
  method: 'patch',
  path: ONE,
  tag: TAG,
  summary: 'Changes a sending pool',
  description:
    '`members`, if given, takes the place of all of them. Delivery processes use the change within seconds, also for ' +
    'campaigns that are being sent; From addresses that an approval does not cover are left out there.',
  access: 'workspace',
  permission: 'senders:write',
  params,
  body: poolChange,
  responses: {
    200: { description: 'The pool', schema: poolDocument },
    412: { description: 'It was changed in the meantime', schema: problemDocument },
  },
  async handle(context, { params: { pool_id }, body, ifMatch }) {
    const { tx, workspaceId } = context;
    const old = await requireLocked(context, pool_id, ifMatch);
    if (body.members) await requireMembers(context, body.members);
    if (body.is_default && !old.is_default) await takeDefault(context);
    const values = {
      name: body.name ?? old.name,
      description: body.description ?? old.description,
      strategy: body.strategy ?? old.strategy,
      is_default: body.is_default ?? old.is_default,
    };
    await updatePool(tx, workspaceId, old.id, values).catch(nameConflict);
    if (body.members) await replaceMembers(tx, workspaceId, old.id, body.members);
    const row = await requirePool(context, old.id);
    const change = { old: audited(old), new: audited(row) };
    await context.audit({ action: 'pool.update', entityType: 'pool', entityId: old.id, ...change });
    await wakeWaitingMail(context);
    return { status: 200, body: showPool(row), version: row.version };
  },
});

const deletePoolRoute = defineRoute({
  operationId: 'deleteSendingPool',
  method: 'delete',
  path: ONE,
  tag: TAG,
  summary: 'Removes a sending pool that no campaign needs any more',
  access: 'workspace',
  permission: 'senders:write',
  params,
  responses: {
    204: { description: 'Removed' },
    409: { description: 'A campaign needs it', schema: problemDocument },
  },
  async handle(context, { params: { pool_id }, ifMatch }) {
    const { tx, workspaceId } = context;
    const old = await requireLocked(context, pool_id, ifMatch);
    const campaigns = await campaignsOfPool(tx, workspaceId, old.id);
    if (campaigns > 0) {
      const detail = `${campaigns} campaigns that are not over use this pool. Give them another one first.`;
      throw new Problem('conflict', detail, { members: { campaigns } });
    }
    await deletePool(tx, workspaceId, old.id);
    await context.audit({ action: 'pool.delete', entityType: 'pool', entityId: old.id, old: audited(old) });
    return { status: 204 };
  },
});

export const poolRoutes = [createPool, listPoolsRoute, getPool, updatePoolRoute, deletePoolRoute];
