import {
  clearDefaultDomain,
  type DomainRow,
  type DomainValues,
  findDomain,
  insertDomain,
  listDomains,
  lockDomain,
  missingProviders,
  updateDomain,
} from '../../db/senders';
import { NO_DNS_RECORDS } from '../../domain/senders';
import { violatedConstraint } from '../../platform/postgres';
import { notFound, Problem } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeIdCursor, pageOf, pageQuery, problemDocument, type z } from '../http/schemas';
import { domainChange, domainDocument, domainParams, newDomain, showDomain } from './domain-schemas';
import { wakeWaitingMail } from './providers';

const BASE = '/workspaces/{ws}/email-infrastructure/domains';
const ONE = `${BASE}/{domain_id}`;
const TAG = 'Senders';

async function requireDomain(context: WorkspaceContext, wanted: string): Promise<DomainRow> {
  const row = await findDomain(context.tx, context.workspaceId, wanted);
  if (!row) throw notFound('sending domain');
  return row;
}

async function requireLocked(context: WorkspaceContext, wanted: string, ifMatch: number | null): Promise<DomainRow> {
  await lockDomain(context.tx, context.workspaceId, wanted);
  const row = await requireDomain(context, wanted);
  if (ifMatch !== null && ifMatch !== row.version) {
    throw new Problem('version-mismatch', `The domain is at version ${row.version}. Read it again, then change it.`);
  }
  return row;
}

async function takeDefault(context: WorkspaceContext): Promise<void> {
  const former = await clearDefaultDomain(context.tx, context.workspaceId);
  if (former === null) return;
  const change = { old: { is_default: true }, new: { is_default: false } };
  await context.audit({ action: 'sending-domain.update', entityType: 'sending-domain', entityId: former, ...change });
}

const NEW: DomainValues = {
  ...{ status: 'PENDING', dns_records: NO_DNS_RECORDS, daily_limit: null, providers: [] },
  ...{ default_from_name: '', default_reply_to: null, is_default: false },
};

/** What a domain is after a change; what is absent stays. */
function changed(old: DomainValues, body: z.output<typeof domainChange>): DomainValues {
  const { status, dns_records, daily_limit, default_from_name, default_reply_to, is_default, providers } = body;
  return {
    status: status ?? old.status,
    dns_records: { ...old.dns_records, ...dns_records },
    daily_limit: daily_limit === undefined ? old.daily_limit : daily_limit,
    default_from_name: default_from_name ?? old.default_from_name,
    default_reply_to: default_reply_to === undefined ? old.default_reply_to : default_reply_to,
    is_default: is_default ?? old.is_default,
    providers: providers ?? old.providers,
  };
}

function audited(row: DomainRow) {
  const { domain, subdomain, status, dns_records, daily_limit, default_from_name, default_reply_to, is_default } = row;
  const values = { status, dns_records, daily_limit, default_from_name, default_reply_to, is_default };
  return { domain, subdomain, ...values, providers: row.providers };
}

async function requireNamed(context: WorkspaceContext, providers: DomainRow['providers'] = []): Promise<void> {
  const wanted = providers.map((entry) => entry.provider_id);
  await requireProviders(context, wanted, (index) => `providers/${index}/provider_id`);
}

const createDomain = defineRoute({
  operationId: 'createSendingDomain',
  method: 'post',
  path: BASE,
  tag: TAG,
  summary: 'Adds a domain that mail is sent from',
  description:
    'The workspace’s word on which providers may send for it decides where its mail goes: a message is never moved to ' +
    'a provider that is not named with both DKIM and SPF, once any is named.',
  access: 'workspace',
  permission: 'senders:write',
  idempotent: true,
  body: newDomain,
  responses: { 201: { description: 'The domain', schema: domainDocument } },
  async handle(context, { body }) {
    const { tx, workspaceId, actor } = context;
    const { domain, subdomain, ...values } = body;
    await requireNamed(context, values.providers);
    if (values.is_default) await takeDefault(context);
    const made = { domain, subdomain: subdomain ?? '', ...changed(NEW, values) };
    const id = await insertDomain(tx, workspaceId, made, actor.userId).catch(domainConflict);
    const row = await requireDomain(context, id);
    const entity = { entityType: 'sending-domain', entityId: id };
    await context.audit({ action: 'sending-domain.create', ...entity, new: audited(row) });
    await wakeWaitingMail(context);
    return { status: 201, body: showDomain(row), version: row.version };
  },
});

const getDomain = defineRoute({
  operationId: 'getSendingDomain',
  method: 'get',
  path: ONE,
  tag: TAG,
  summary: 'Shows a sending domain',
  access: 'workspace',
  permission: 'senders:read',
  params: domainParams,
  responses: { 200: { description: 'The domain', schema: domainDocument } },
  async handle(context, { params }) {
    const row = await requireDomain(context, params.domain_id);
    return { status: 200, body: showDomain(row), version: row.version };
  },
});

const updateDomainRoute = defineRoute({
  operationId: 'updateSendingDomain',
  method: 'patch',
  path: ONE,
  tag: TAG,
  summary: 'Changes a sending domain',
  description:
    'Its name stays. `providers`, if given, takes the place of all of them. Delivery processes use the change within ' +
    'seconds, also for campaigns that are being sent.',
  access: 'workspace',
  permission: 'senders:write',
  params: domainParams,
  body: domainChange,
  responses: {
    200: { description: 'The domain', schema: domainDocument },
    412: { description: 'It was changed in the meantime', schema: problemDocument },
  },
  async handle(context, { params, body, ifMatch }) {
    const { tx, workspaceId } = context;
    const old = await requireLocked(context, params.domain_id, ifMatch);
    await requireNamed(context, body.providers);
    if (body.is_default && !old.is_default) await takeDefault(context);
    await updateDomain(tx, workspaceId, old.id, changed(old, body));
    const row = await requireDomain(context, old.id);
    const change = { old: audited(old), new: audited(row) };
    await context.audit({ action: 'sending-domain.update', entityType: 'sending-domain', entityId: old.id, ...change });
    await wakeWaitingMail(context);
    return { status: 200, body: showDomain(row), version: row.version };
  },
});

/** 422 for every provider that does not exist, each at its place in the body. */
export async function requireProviders(
  context: WorkspaceContext,
  ids: string[],
  pointer: (index: number) => string,
): Promise<void> {
  const missing = new Set(await missingProviders(context.tx, context.workspaceId, ids));
  if (missing.size === 0) return;
  const errors = ids.flatMap((id, index) =>
    missing.has(id) ? [{ pointer: `/body/${pointer(index)}`, detail: 'No provider with this id exists.' }] : [],
  );
  throw new Problem('validation-failed', 'A provider does not exist.', { errors });
}

function domainConflict(error: unknown): never {
  if (violatedConstraint(error) !== 'sending_domains_host') throw error;
  throw new Problem('conflict', 'This domain exists already.', {
    errors: [{ pointer: '/body/domain', detail: 'exists already' }],
  });
}

const listDomainsRoute = defineRoute({
  operationId: 'listSendingDomains',
  method: 'get',
  path: BASE,
  tag: TAG,
  summary: 'Lists the sending domains, oldest first',
  access: 'workspace',
  permission: 'senders:read',
  query: pageQuery,
  responses: { 200: { description: 'A page of domains', schema: pageOf(domainDocument) } },
  async handle(context, { query }) {
    const after = decodeIdCursor(query.cursor);
    const rows = await listDomains(context.tx, context.workspaceId, after, query.limit + 1);
    return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], showDomain) };
  },
});

export const domainRoutes = [createDomain, listDomainsRoute, getDomain, updateDomainRoute];
