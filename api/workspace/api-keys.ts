import { type ApiKey, findApiKey, insertApiKey, listApiKeys, revokeApiKey } from '../../db/workspace';
import { mayDo } from '../../domain/workspace';
import { randomToken, sha256 } from '../../platform/crypto';
import { API_KEY_PREFIX } from '../http/authenticate';
import { invalidField, notFound, Problem } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeIdCursor, headerText, id, moment, pageOf, pageQuery, z } from '../http/schemas';
import { apiKey, permission, showApiKey } from './schemas';

const TAG = 'API keys';
const BASE = '/workspaces/{ws}/api-keys';

export const createApiKey = defineRoute({
  operationId: 'createApiKey',
  method: 'post',
  path: BASE,
  tag: TAG,
  summary: 'Create an API key',
  description:
    'The key acts for you, within its scopes and never beyond your role of the moment. It is shown once; only its hash is kept.',
  access: 'workspace',
  permission: 'keys:write',
  body: z.strictObject({
    name: headerText(200).min(1),
    scopes: z.array(permission).min(1).max(100),
    expires_at: moment.nullable().default(null),
  }),
  responses: { 201: { description: 'Created', schema: apiKey.extend({ key: z.string() }) } },
  async handle(context, { body }) {
    const { tx, workspaceId, actor } = context;
    const beyond = body.scopes.findIndex((scope) => !mayDo(actor.role, actor.scopes, scope));
    if (beyond >= 0) {
      throw invalidField(`scopes/${beyond}`, `You do not have ${body.scopes[beyond]} yourself.`);
    }
    const expiresAt = body.expires_at === null ? null : new Date(body.expires_at);
    if (expiresAt && expiresAt.getTime() <= Date.now()) throw invalidField('expires_at', 'must be in the future');
    const key = API_KEY_PREFIX + randomToken();
    const made = await insertApiKey(tx, {
      workspaceId,
      userId: actor.userId,
      name: body.name,
      keyHash: sha256(key),
      hint: key.slice(0, API_KEY_PREFIX.length + 4),
      scopes: [...new Set(body.scopes)],
      expiresAt,
    });
    await context.audit({
      action: 'api-key.create',
      entityType: 'api_key',
      entityId: made.id,
      new: showApiKey(made),
    });
    return { status: 201, body: { ...showApiKey(made), key } };
  },
});

export const listWorkspaceApiKeys = defineRoute({
  operationId: 'listApiKeys',
  method: 'get',
  path: BASE,
  tag: TAG,
  summary: 'List API keys, newest first',
  description: 'Owners see all keys of the workspace, others their own.',
  access: 'workspace',
  permission: 'keys:read',
  query: pageQuery,
  responses: { 200: { description: 'A page of keys', schema: pageOf(apiKey) } },
  async handle({ tx, workspaceId, actor }, { query }) {
    const before = decodeIdCursor(query.cursor);
    const userId = actor.role === 'owner' ? null : actor.userId;
    const rows = await listApiKeys(tx, workspaceId, { userId, before, limit: query.limit + 1 });
    return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], showApiKey) };
  },
});

/** A key that the actor may look after: an owner any, others their own. */
async function requireOwnKey(context: WorkspaceContext, keyId: string): Promise<ApiKey> {
  const found = await findApiKey(context.tx, context.workspaceId, keyId);
  if (!found || (context.actor.role !== 'owner' && found.userId !== context.actor.userId)) throw notFound('API key');
  return found;
}

export const revokeWorkspaceApiKey = defineRoute({
  operationId: 'revokeApiKey',
  method: 'delete',
  path: `${BASE}/{api_key_id}`,
  tag: TAG,
  summary: 'Revoke an API key',
  description: 'It stops working with the next request. Owners may revoke any key, others their own.',
  access: 'workspace',
  permission: 'keys:write',
  params: z.object({ api_key_id: id }),
  responses: { 204: { description: 'Revoked' } },
  async handle(context, { params }) {
    const found = await requireOwnKey(context, params.api_key_id);
    if (!(await revokeApiKey(context.tx, context.workspaceId, found.id))) {
      throw new Problem('conflict', 'The key was revoked before.', { members: { state: 'REVOKED' } });
    }
    await context.audit({
      action: 'api-key.revoke',
      entityType: 'api_key',
      entityId: found.id,
      old: showApiKey(found),
    });
    return { status: 204 };
  },
});
