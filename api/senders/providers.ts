import { isIP } from 'node:net';
import {
  clearDefaultProvider,
  deleteProvider,
  findProvider,
  hurryProbe,
  insertProvider,
  listProviders,
  lockProvider,
  openCredentials,
  type ProviderRow,
  sealCredentials,
  updateProvider,
  wakeLanesWithWork,
} from '../../db/senders';
import { laneWorkflow } from '../../domain/delivery/contract';
import {
  changeSetup,
  type ProviderSetup,
  type ProviderType,
  type SetupBefore,
  type SetupChange,
  targetOf,
} from '../../domain/senders';
import { isPublicAddress } from '../../platform/outbound-guard';
import { violatedConstraint } from '../../platform/postgres';
import { ensureWorkflow } from '../../platform/temporal';
import { invalidField, notFound, Problem } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeCursor, pageQuery, problemDocument } from '../http/schemas';
import {
  auditedProvider,
  newProvider,
  provider,
  providerChange,
  providerPage,
  providerParams,
  showProvider,
} from './schemas';

const BASE = '/workspaces/{ws}/email-infrastructure/providers';
const ONE = `${BASE}/{provider_id}`;
const TAG = 'Senders';

/** The provider, or 404. */
export async function requireProvider(context: WorkspaceContext, id: string): Promise<ProviderRow> {
  const row = await findProvider(context.tx, context.workspaceId, id);
  if (!row) throw notFound('provider');
  return row;
}

/** The provider, held until the end of the transaction and of the version that the client means. */
async function requireLocked(context: WorkspaceContext, id: string, ifMatch: number | null): Promise<ProviderRow> {
  if (!(await lockProvider(context.tx, context.workspaceId, id))) throw notFound('provider');
  const row = await requireProvider(context, id);
  if (ifMatch !== null && ifMatch !== row.version) {
    throw new Problem('version-mismatch', `The provider is at version ${row.version}. Read it again, then change it.`);
  }
  return row;
}

/** The setup after a change; refuses what is wrong in it, and targets that Sally must not connect to. */
function requireSetup(
  context: WorkspaceContext,
  type: ProviderType,
  before: SetupBefore,
  change: SetupChange,
): ProviderSetup {
  const changed = changeSetup(type, before, change);
  if (!changed.ok) {
    const errors = changed.problems.map(({ field, detail }) => ({ pointer: `/body/${field}`, detail }));
    throw new Problem('validation-failed', errors[0]?.detail ?? 'The provider is not valid.', { errors });
  }
  const target = targetOf(changed.setup);
  if (target !== null && !context.deps.config.ALLOW_PRIVATE_SMTP) {
    if (isIP(target.host) !== 0 && !isPublicAddress(target.host)) {
      throw invalidField(target.field, 'must not be a private, loopback or link-local address (ALLOW_PRIVATE_SMTP)');
    }
    if (!target.encrypted) throw invalidField(target.field, 'must begin with https:// (ALLOW_PRIVATE_SMTP)');
  }
  return changed.setup;
}

/**
 * The setup of a provider after a change. Credentials that no key opens any more can only be replaced as a whole, and
 * until they are, the settings stay: nobody could tell whether the two fit together.
 */
function changedSetup(context: WorkspaceContext, old: ProviderRow, change: SetupChange): ProviderSetup {
  const credentials = openCredentials(context.deps.keyring, old.credentials);
  if (!credentials && !change.credentials) {
    throw invalidField(
      'credentials',
      'The stored credentials cannot be opened: the key they were sealed with is missing. Give them again.',
    );
  }
  return requireSetup(context, old.provider_type, { settings: old.settings, credentials }, change);
}

/** Takes the default mark from the provider that has it, with its own audit row. */
async function takeDefault(context: WorkspaceContext): Promise<void> {
  const former = await clearDefaultProvider(context.tx, context.workspaceId);
  if (former === null) return;
  await context.audit({
    action: 'provider.update',
    entityType: 'provider',
    entityId: former,
    old: { is_default: true },
    new: { is_default: false },
  });
}

/** Mail that waited for a sender goes on at once. */
export async function wakeWaitingMail(context: WorkspaceContext): Promise<void> {
  for (const laneId of await wakeLanesWithWork(context.tx, context.workspaceId)) {
    context.afterCommit(async () => {
      await ensureWorkflow(context.deps.temporal, laneWorkflow({ workspaceId: context.workspaceId, laneId }));
    });
  }
}

/** What still refers to a provider, by the constraint that keeps it. */
const USES: Readonly<Record<string, string>> = {
  mailboxes_provider: 'a mailbox',
  sending_pool_members_provider: 'a sending pool',
  dedicated_ips_provider: 'a dedicated IP',
  sending_domain_providers_provider: 'a sending domain',
};

function providerInUse(error: unknown): never {
  const use = USES[violatedConstraint(error) ?? ''];
  if (use === undefined) throw error;
  const detail = `The provider is used by ${use}, which needs another one first. To stop sending through it, set is_active to false.`;
  throw new Problem('conflict', detail);
}

function nameConflict(error: unknown): never {
  if (violatedConstraint(error) === 'providers_workspace_id_name_key') {
    throw new Problem('conflict', 'A provider with this name exists already.', {
      errors: [{ pointer: '/body/name', detail: 'is in use' }],
    });
  }
  throw error;
}

const createProvider = defineRoute({
  operationId: 'createProvider',
  method: 'post',
  path: BASE,
  tag: TAG,
  summary: 'Adds a provider: an SMTP relay, or the API of SES, SendGrid, Mailgun or Postmark',
  description:
    'Credentials are sealed and never shown again. Without any active provider a workspace uses the fallback sender of the installation.',
  access: 'workspace',
  permission: 'senders:write',
  idempotent: true,
  body: newProvider,
  responses: { 201: { description: 'The provider', schema: provider } },
  async handle(context, { body }) {
    const setup = requireSetup(context, body.provider_type, { settings: null, credentials: null }, body);
    if (body.is_default) await takeDefault(context);
    const values = {
      name: body.name,
      credentials: sealCredentials(context.deps.keyring, setup.credentials),
      settings: setup.settings,
      maxSendsPerSecond: body.max_sends_per_second ?? null,
      maxSendsPerDay: body.max_sends_per_day ?? null,
      maxSendsPer24Hours: body.max_sends_per_24_hours ?? null,
      priority: body.priority ?? 5,
      isDefault: body.is_default ?? false,
      isActive: body.is_active ?? true,
    };
    const id = await insertProvider(
      context.tx,
      context.workspaceId,
      setup.providerType,
      values,
      context.actor.userId,
    ).catch(nameConflict);
    const row = await requireProvider(context, id);
    await context.audit({ action: 'provider.create', entityType: 'provider', entityId: id, new: auditedProvider(row) });
    await wakeWaitingMail(context);
    return { status: 201, body: showProvider(row), version: row.version };
  },
});

const listProvidersRoute = defineRoute({
  operationId: 'listProviders',
  method: 'get',
  path: BASE,
  tag: TAG,
  summary: 'Lists the providers, oldest first',
  access: 'workspace',
  permission: 'senders:read',
  query: pageQuery,
  responses: { 200: { description: 'A page of providers', schema: providerPage } },
  async handle(context, { query }) {
    const [after = null] = decodeCursor(query.cursor, 1) ?? [];
    const rows = await listProviders(context.tx, context.workspaceId, after, query.limit + 1);
    return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], showProvider) };
  },
});

const getProvider = defineRoute({
  operationId: 'getProvider',
  method: 'get',
  path: ONE,
  tag: TAG,
  summary: 'Shows a provider with its health, quota and breaker',
  access: 'workspace',
  permission: 'senders:read',
  params: providerParams,
  responses: { 200: { description: 'The provider', schema: provider } },
  async handle(context, { params }) {
    const row = await requireProvider(context, params.provider_id);
    return { status: 200, body: showProvider(row), version: row.version };
  },
});

const updateProviderRoute = defineRoute({
  operationId: 'updateProvider',
  method: 'patch',
  path: ONE,
  tag: TAG,
  summary: 'Changes a provider',
  description:
    'What is absent stays, also inside settings and credentials; null removes. The type stays. Delivery processes use the change within seconds.',
  access: 'workspace',
  permission: 'senders:write',
  params: providerParams,
  body: providerChange,
  responses: { 200: { description: 'The provider', schema: provider } },
  async handle(context, { params, body, ifMatch }) {
    const old = await requireLocked(context, params.provider_id, ifMatch);
    const setup = body.settings || body.credentials ? changedSetup(context, old, body) : null;
    if (body.is_default && !old.is_default) await takeDefault(context);
    const values = {
      name: body.name ?? old.name,
      credentials:
        setup && body.credentials ? sealCredentials(context.deps.keyring, setup.credentials) : old.credentials,
      settings: setup?.settings ?? old.settings,
      maxSendsPerSecond: body.max_sends_per_second === undefined ? old.max_sends_per_second : body.max_sends_per_second,
      maxSendsPerDay: body.max_sends_per_day === undefined ? old.max_sends_per_day : body.max_sends_per_day,
      maxSendsPer24Hours:
        body.max_sends_per_24_hours === undefined ? old.max_sends_per_24_hours : body.max_sends_per_24_hours,
      priority: body.priority ?? old.priority,
      isDefault: body.is_default ?? old.is_default,
      isActive: body.is_active ?? old.is_active,
    };
    await updateProvider(context.tx, context.workspaceId, old.id, values).catch(nameConflict);
    if (body.settings || body.credentials) await hurryProbe(context.tx, context.workspaceId, old.id);
    const row = await requireProvider(context, old.id);
    await context.audit({
      action: 'provider.update',
      entityType: 'provider',
      entityId: old.id,
      old: auditedProvider(old),
      new: { ...auditedProvider(row), ...(body.credentials ? { credentials: 'changed' } : {}) },
    });
    await wakeWaitingMail(context);
    return { status: 200, body: showProvider(row), version: row.version };
  },
});

const deleteProviderRoute = defineRoute({
  operationId: 'deleteProvider',
  method: 'delete',
  path: ONE,
  tag: TAG,
  summary: 'Removes a provider',
  description:
    'Messages already begun on it are finished; what is queued takes another provider or the fallback sender.',
  access: 'workspace',
  permission: 'senders:write',
  params: providerParams,
  responses: {
    204: { description: 'Removed' },
    409: { description: 'A pool, IP, domain or mailbox needs it', schema: problemDocument },
  },
  async handle(context, { params, ifMatch }) {
    const old = await requireLocked(context, params.provider_id, ifMatch);
    await deleteProvider(context.tx, context.workspaceId, old.id).catch(providerInUse);
    await context.audit({
      action: 'provider.delete',
      entityType: 'provider',
      entityId: old.id,
      old: auditedProvider(old),
    });
    return { status: 204 };
  },
});

export const providerRoutes = [
  createProvider,
  listProvidersRoute,
  getProvider,
  updateProviderRoute,
  deleteProviderRoute,
];
