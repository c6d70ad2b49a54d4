import {
  deleteIp,
  findIp,
  findProvider,
  hurryProbe,
  type IpRow,
  insertIp,
  listIps,
  lockIp,
  resolveBreakerAlert,
  resolveCredentialsAlert,
  sealCredentials,
  updateIp,
} from '../../db/senders';
import { type Egress, type IpCredentials, parseEgress } from '../../domain/senders';
import { violatedConstraint } from '../../platform/postgres';
import { invalidField, notFound, Problem } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeIdCursor, id, pageOf, pageQuery, problemDocument, z } from '../http/schemas';
import { ipChange, ipDocument, newIp, showIp } from './object-schemas';
import { wakeWaitingMail } from './providers';

const BASE = '/workspaces/{ws}/email-infrastructure/dedicated-ips';
const ONE = `${BASE}/{dedicated_ip_id}`;
const TAG = 'Senders';
const params = z.strictObject({ dedicated_ip_id: id });

async function requireLocked(context: WorkspaceContext, wanted: string, ifMatch: number | null): Promise<IpRow> {
  await lockIp(context.tx, context.workspaceId, wanted);
  const row = await findIp(context.tx, context.workspaceId, wanted);
  if (!row) throw notFound('dedicated IP');
  if (ifMatch !== null && ifMatch !== row.version) {
    throw new Problem('version-mismatch', `The IP is at version ${row.version}. Read it again, then change it.`);
  }
  return row;
}

/** The egress in the words of the provider's type; 422 for what that type does not know. */
async function egressOf(
  context: WorkspaceContext,
  providerId: string,
  { egress, hasCredentials }: { egress: unknown; hasCredentials: boolean },
): Promise<Egress> {
  const provider = await findProvider(context.tx, context.workspaceId, providerId);
  if (!provider) throw invalidField('provider_id', 'No provider with this id exists.');
  if (hasCredentials && provider.provider_type !== 'SMTP') {
    throw invalidField('credentials', 'Only IPs of SMTP relays have a log-in of their own.');
  }
  const parsed = parseEgress(provider.provider_type, egress, hasCredentials);
  if (!parsed.ok) {
    const path = parsed.field === '' ? 'egress' : `egress/${parsed.field}`;
    throw invalidField(path, `For a provider of type ${provider.provider_type}: ${parsed.message}`);
  }
  return parsed.egress;
}

/** Undefined keeps what is stored, null removes it. */
function sealed(context: WorkspaceContext, credentials: IpCredentials | null | undefined): Buffer | null | undefined {
  return credentials && sealCredentials(context.deps.keyring, credentials);
}

function audited(row: IpRow) {
  const { provider_id, ip_address, hostname, egress, has_credentials, status, daily_limit } = row;
  return { provider_id, ip_address, hostname, egress, has_credentials, status, daily_limit };
}

const createIp = defineRoute({
  operationId: 'createDedicatedIp',
  method: 'post',
  path: BASE,
  tag: TAG,
  summary: 'Adds a dedicated IP of a provider',
  access: 'workspace',
  permission: 'senders:write',
  idempotent: true,
  body: newIp,
  responses: { 201: { description: 'The IP', schema: ipDocument } },
  async handle(context, { body }) {
    const { tx, workspaceId, actor } = context;
    const made = await insertIp(tx, workspaceId, {
      providerId: body.provider_id,
      ipAddress: body.ip_address,
      hostname: body.hostname ?? null,
      egress: await egressOf(context, body.provider_id, {
        egress: body.egress ?? {},
        hasCredentials: (body.credentials ?? null) !== null,
      }),
      credentials: sealed(context, body.credentials),
      status: body.status ?? 'ACTIVE',
      dailyLimit: body.daily_limit ?? null,
      createdBy: actor.userId,
    }).catch(ipConflict);
    const row = await findIp(tx, workspaceId, made);
    if (!row) throw new Error('a dedicated IP is gone');
    await context.audit({
      action: 'dedicated-ip.create',
      entityType: 'dedicated-ip',
      entityId: made,
      new: audited(row),
    });
    return { status: 201, body: showIp(row), version: row.version };
  },
});

function ipConflict(error: unknown): never {
  if (violatedConstraint(error) !== 'dedicated_ips_address') throw error;
  throw new Problem('conflict', 'The provider has this IP already.', {
    errors: [{ pointer: '/body/ip_address', detail: 'exists already' }],
  });
}

const listIpsRoute = defineRoute({
  operationId: 'listDedicatedIps',
  method: 'get',
  path: BASE,
  tag: TAG,
  summary: 'Lists the dedicated IPs, oldest first',
  access: 'workspace',
  permission: 'senders:read',
  query: pageQuery,
  responses: { 200: { description: 'A page of IPs', schema: pageOf(ipDocument) } },
  async handle(context, { query }) {
    const after = decodeIdCursor(query.cursor);
    const rows = await listIps(context.tx, context.workspaceId, after, query.limit + 1);
    return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], showIp) };
  },
});

const updateIpRoute = defineRoute({
  operationId: 'updateDedicatedIp',
  method: 'patch',
  path: ONE,
  tag: TAG,
  summary: 'Changes a dedicated IP',
  description: 'A paused one takes no more messages.',
  access: 'workspace',
  permission: 'senders:write',
  params,
  body: ipChange,
  responses: {
    200: { description: 'The IP', schema: ipDocument },
    412: { description: 'It was changed in the meantime', schema: problemDocument },
  },
  async handle(context, { params: { dedicated_ip_id }, body, ifMatch }) {
    const { tx, workspaceId } = context;
    const old = await requireLocked(context, dedicated_ip_id, ifMatch);
    const hasCredentials = body.credentials === undefined ? old.has_credentials : body.credentials !== null;
    const egress = body.egress ?? old.egress;
    await updateIp(tx, workspaceId, old.id, {
      hostname: body.hostname === undefined ? old.hostname : body.hostname,
      egress: await egressOf(context, old.provider_id, { egress, hasCredentials }),
      credentials: sealed(context, body.credentials),
      status: body.status ?? old.status,
      dailyLimit: body.daily_limit === undefined ? old.daily_limit : body.daily_limit,
    });
    const row = await findIp(tx, workspaceId, old.id);
    if (!row) throw new Error('a dedicated IP is gone');
    if (body.credentials !== undefined) {
      // Whether the new ones can be opened is looked at by whoever sends.
      await resolveCredentialsAlert(tx, workspaceId, `${old.provider_id}/${old.id}`);
    }
    if (body.egress || body.credentials !== undefined) await hurryProbe(tx, workspaceId, old.provider_id, old.id);
    const change = {
      old: audited(old),
      new: { ...audited(row), ...(body.credentials ? { credentials: 'changed' } : {}) },
    };
    await context.audit({ action: 'dedicated-ip.update', entityType: 'dedicated-ip', entityId: old.id, ...change });
    await wakeWaitingMail(context);
    return { status: 200, body: showIp(row), version: row.version };
  },
});

const deleteIpRoute = defineRoute({
  operationId: 'deleteDedicatedIp',
  method: 'delete',
  path: ONE,
  tag: TAG,
  summary: 'Removes a dedicated IP that is in no pool',
  access: 'workspace',
  permission: 'senders:write',
  params,
  responses: {
    204: { description: 'Removed' },
    409: { description: 'A pool needs it', schema: problemDocument },
  },
  async handle(context, { params: { dedicated_ip_id }, ifMatch }) {
    const old = await requireLocked(context, dedicated_ip_id, ifMatch);
    await deleteIp(context.tx, context.workspaceId, old.id).catch((error: unknown) => {
      if (violatedConstraint(error) !== 'sending_pool_members_ip') throw error;
      throw new Problem('conflict', 'The IP is in a pool. Take it out of it first, or set status to PAUSED.');
    });
    await resolveCredentialsAlert(context.tx, context.workspaceId, `${old.provider_id}/${old.id}`);
    await resolveBreakerAlert(context.tx, context.workspaceId, `${old.provider_id}/${old.id}`);
    await context.audit({
      action: 'dedicated-ip.delete',
      entityType: 'dedicated-ip',
      entityId: old.id,
      old: audited(old),
    });
    return { status: 204 };
  },
});

export const ipRoutes = [createIp, listIpsRoute, updateIpRoute, deleteIpRoute];
