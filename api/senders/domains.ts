import { findDomain, insertDomain, listDomains, missingProviders } from '../../db/senders';
import { violatedConstraint } from '../../platform/postgres';
import { Problem } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeIdCursor, pageOf, pageQuery } from '../http/schemas';
import { domainDocument, newDomain, showDomain } from './object-schemas';
import { wakeWaitingMail } from './providers';

const BASE = '/workspaces/{ws}/email-infrastructure/domains';
const TAG = 'Senders';

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
    const providers = body.providers ?? [];
    const wanted = providers.map((entry) => entry.provider_id);
    await requireProviders(context, wanted, (index) => `providers/${index}/provider_id`);
    const values = {
      domain: body.domain,
      subdomain: body.subdomain ?? '',
      daily_limit: body.daily_limit ?? null,
      default_from_name: body.default_from_name ?? '',
      default_reply_to: body.default_reply_to ?? null,
      providers,
    };
    const { tx, workspaceId, actor } = context;
    const id = await insertDomain(tx, workspaceId, values, actor.userId).catch(domainConflict);
    const row = await findDomain(tx, workspaceId, id);
    if (!row) throw new Error('a sending domain is gone');
    await context.audit({ action: 'sending-domain.create', entityType: 'sending-domain', entityId: id, new: values });
    await wakeWaitingMail(context);
    return { status: 201, body: showDomain(row), version: row.version };
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

export const domainRoutes = [createDomain, listDomainsRoute];
