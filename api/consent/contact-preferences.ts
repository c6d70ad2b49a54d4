import {
  findPreferenceContact,
  leaveEverything,
  listPreferences,
  listUnsubscribes,
  type PreferenceContact,
  savePreferences,
} from '../../db/consent';
import { preferencesUrl, UNSUBSCRIBE_SOURCES } from '../../domain/consent';
import { mayDo } from '../../domain/workspace';
import { invalidField, notFound } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeIdCursor, id, moment, pageOf, pageQuery, z } from '../http/schemas';
import { contactParams, frequency, preferenceChange } from './schemas';

const CONTACT = '/workspaces/{ws}/contacts/{contact_id}';
const TAG = 'Preferences';

const contactPreferences = z.object({
  contact_id: id,
  status: z.enum(['ACTIVE', 'UNSUBSCRIBED', 'BOUNCED', 'COMPLAINED']),
  categories: z.array(
    z.object({
      category_id: id,
      key: z.string(),
      name: z.string(),
      subscribed: z.boolean(),
      frequency,
      updated_at: moment.nullable(),
    }),
  ),
  preferences_url: z.string().nullable().openapi({
    description: 'The contact’s own link; whoever has it can change all this. Null without consent:write.',
  }),
});

const leaving = z.object({
  id,
  contact_id: id,
  source: z.enum(UNSUBSCRIBE_SOURCES),
  scope: z.enum(['ALL', 'CATEGORY']),
  category_id: id.nullable(),
  delivery_id: id.nullable(),
  campaign_id: id.nullable(),
  occurred_at: moment,
});

async function requireContact(context: WorkspaceContext, contactId: string, lock: boolean): Promise<PreferenceContact> {
  const contact = await findPreferenceContact(context.tx, context.workspaceId, contactId, lock);
  if (!contact) throw notFound('contact');
  return contact;
}

async function show(
  { tx, workspaceId, actor, deps }: WorkspaceContext,
  contact: PreferenceContact,
): Promise<z.output<typeof contactPreferences>> {
  const rows = await listPreferences(tx, workspaceId, contact.id);
  const mayChange = mayDo(actor.role, actor.scopes, 'consent:write');
  const reference = { workspaceId, contactId: contact.id };
  return {
    contact_id: contact.id,
    status: contact.status,
    categories: rows.map(({ description: _description, translations: _translations, ...row }) => ({
      ...row,
      updated_at: row.updated_at?.toISOString() ?? null,
    })),
    preferences_url: mayChange ? preferencesUrl(deps.keyring, deps.config.PUBLIC_URL, reference) : null,
  };
}

export const contactPreferenceRoutes = [
  defineRoute({
    operationId: 'getContactPreferences',
    method: 'get',
    path: `${CONTACT}/preferences`,
    tag: TAG,
    summary: 'What a contact wants, and how often',
    access: 'workspace',
    permission: 'consent:read',
    params: contactParams,
    responses: { 200: { description: 'The preferences', schema: contactPreferences } },
    async handle(context, { params }) {
      return { status: 200, body: await show(context, await requireContact(context, params.contact_id, false)) };
    },
  }),
  defineRoute({
    operationId: 'updateContactPreferences',
    method: 'patch',
    path: `${CONTACT}/preferences`,
    tag: TAG,
    summary: 'Change what a contact wants, as they asked you to',
    description: 'All or nothing; noted with source API.',
    access: 'workspace',
    permission: 'consent:write',
    params: contactParams,
    body: preferenceChange,
    responses: { 200: { description: 'The preferences as they are now', schema: contactPreferences } },
    async handle(context, { params, body }) {
      const { tx, workspaceId, actor, requestId } = context;
      const contact = await requireContact(context, params.contact_id, true);
      const unknown = await savePreferences(tx, {
        workspaceId,
        contactId: contact.id,
        choices: body.categories,
        source: 'API',
        actor: { type: actor.apiKeyId ? 'api_key' : 'user', userId: actor.userId, apiKeyId: actor.apiKeyId },
        httpRequestId: requestId,
      });
      if (unknown !== null) throw invalidField('categories', `No category has the key "${unknown}".`);
      return { status: 200, body: await show(context, contact) };
    },
  }),
  defineRoute({
    operationId: 'unsubscribeContact',
    method: 'post',
    path: `${CONTACT}/unsubscribe`,
    tag: TAG,
    summary: 'Unsubscribe a contact from all bulk mail, as they asked you to',
    description:
      'Counts from the next claim on, also in a campaign that is being sent. Subscribing again takes an opt-in. Noted with source API.',
    access: 'workspace',
    permission: 'consent:write',
    params: contactParams,
    responses: { 200: { description: 'The preferences as they are now', schema: contactPreferences } },
    async handle(context, { params }) {
      const { tx, workspaceId, actor } = context;
      const contact = await requireContact(context, params.contact_id, true);
      const changed = await leaveEverything(tx, {
        workspaceId,
        contactId: contact.id,
        source: 'API',
        purposeId: null,
        visitor: { ipAddress: null, userAgent: null },
        actorId: actor.userId,
      });
      await context.audit({
        action: 'contact.unsubscribe',
        entityType: 'contact',
        entityId: contact.id,
        old: { status: contact.status },
        new: { scope: 'everything', source: 'API', changed },
      });
      const status = contact.status === 'ACTIVE' ? ('UNSUBSCRIBED' as const) : contact.status;
      return { status: 200, body: await show(context, { ...contact, status }) };
    },
  }),
  defineRoute({
    operationId: 'listUnsubscribes',
    method: 'get',
    path: '/workspaces/{ws}/unsubscribes',
    tag: TAG,
    summary: 'Who left, when and how, newest first',
    access: 'workspace',
    permission: 'consent:read',
    query: pageQuery.extend({ source: z.enum(UNSUBSCRIBE_SOURCES).optional(), campaign_id: id.optional() }),
    responses: { 200: { description: 'A page of leavings', schema: pageOf(leaving) } },
    async handle({ tx, workspaceId }, { query }) {
      const rows = await listUnsubscribes(tx, workspaceId, {
        before: decodeIdCursor(query.cursor),
        limit: query.limit,
        source: query.source ?? null,
        campaignId: query.campaign_id ?? null,
      });
      return {
        status: 200,
        body: cutPage(
          rows,
          query.limit,
          (row) => [row.id],
          (row) => ({ ...row, occurred_at: row.occurred_at.toISOString() }),
        ),
      };
    },
  }),
];
