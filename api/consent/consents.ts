import {
  findPurpose,
  listConsentEvents,
  listConsents,
  listConsentsAsOf,
  listWordings,
  lockOptInContact,
  recordConsent,
} from '../../db/consent';
import { parseLocale } from '../../domain/contacts';
import { invalidField, notFound } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeCursor, pageQuery } from '../http/schemas';
import {
  consent,
  consentChange,
  consentEventPage,
  consentList,
  consentParams,
  consentsQuery,
  contactParams,
  showConsent,
  showConsentEvent,
} from './schemas';

const BASE = '/workspaces/{ws}/contacts/{contact_id}';
const TAG = 'Consent';

/** Holds the contact until the end of the transaction, or 404. */
async function requireContact(context: WorkspaceContext, contactId: string): Promise<void> {
  if (!(await lockOptInContact(context.tx, context.workspaceId, contactId))) throw notFound('contact');
}

export const consentRoutes = [
  defineRoute({
    operationId: 'listConsents',
    method: 'get',
    path: `${BASE}/consents`,
    tag: TAG,
    summary: 'What a contact has agreed to, now or at a moment',
    description:
      'With `as_of`, what held at that moment, out of the proof (`consent-events`): the answer to "was this mail allowed?".',
    access: 'workspace',
    permission: 'consent:read',
    params: contactParams,
    query: consentsQuery,
    responses: { 200: { description: 'The consents', schema: consentList } },
    async handle(context, { params, query }) {
      const { tx, workspaceId } = context;
      await requireContact(context, params.contact_id);
      const rows =
        query.as_of === undefined
          ? await listConsents(tx, workspaceId, params.contact_id)
          : await listConsentsAsOf(tx, workspaceId, params.contact_id, new Date(query.as_of));
      return { status: 200, body: { items: rows.map(showConsent) } };
    },
  }),
  defineRoute({
    operationId: 'setConsent',
    method: 'put',
    path: `${BASE}/consents/{purpose_id}`,
    tag: TAG,
    summary: 'Record that a contact granted or denied consent',
    description: 'Each call adds to the proof, also one that changes nothing. Takes effect at the next claim.',
    access: 'workspace',
    permission: 'consent:write',
    params: consentParams,
    body: consentChange,
    responses: { 200: { description: 'The consent', schema: consent } },
    async handle(context, { params, body }) {
      const { tx, workspaceId } = context;
      await requireContact(context, params.contact_id);
      const purpose = await findPurpose(tx, workspaceId, params.purpose_id);
      if (!purpose) throw notFound('purpose');
      const wordingVersion = body.wording_version ?? purpose.wording_version;
      const wordings = await listWordings(tx, workspaceId, purpose.id);
      if (!wordings.some((wording) => wording.wording_version === wordingVersion)) {
        throw invalidField('wording_version', `The purpose has the wordings 1 to ${purpose.wording_version}.`);
      }
      const locale = body.locale === undefined ? null : parseLocale(body.locale);
      if (body.locale !== undefined && locale === null) throw invalidField('locale', 'must be a BCP 47 language tag');
      const before = (await listConsents(tx, workspaceId, params.contact_id)).find(
        (row) => row.purpose_id === purpose.id && row.channel === body.channel,
      );
      await recordConsent(tx, {
        workspaceId,
        contactId: params.contact_id,
        purposeId: purpose.id,
        channel: body.channel,
        status: body.status,
        source: body.source,
        wordingVersion,
        locale,
        ipAddress: body.ip_address ?? null,
        userAgent: body.user_agent ?? null,
        actorId: context.actor.userId,
      });
      await context.audit({
        action: body.status === 'granted' ? 'consent.grant' : 'consent.revoke',
        entityType: 'contact',
        entityId: params.contact_id,
        old: { purpose: purpose.key, channel: body.channel, status: before?.status ?? null },
        new: {
          purpose: purpose.key,
          channel: body.channel,
          status: body.status,
          source: body.source,
          wording_version: wordingVersion,
        },
      });
      const after = (await listConsents(tx, workspaceId, params.contact_id)).find(
        (row) => row.purpose_id === purpose.id && row.channel === body.channel,
      );
      if (!after) throw new Error('the consent is gone');
      return { status: 200, body: showConsent(after) };
    },
  }),
  defineRoute({
    operationId: 'listConsentEvents',
    method: 'get',
    path: `${BASE}/consent-events`,
    tag: TAG,
    summary: 'The proof: every statement of a contact about consent, newest first',
    access: 'workspace',
    permission: 'consent:read',
    params: contactParams,
    query: pageQuery,
    responses: { 200: { description: 'A page of statements', schema: consentEventPage } },
    async handle(context, { params, query }) {
      await requireContact(context, params.contact_id);
      const before = decodeCursor(query.cursor, 1)?.[0] ?? null;
      const page = { before, limit: query.limit };
      const rows = await listConsentEvents(context.tx, context.workspaceId, params.contact_id, page);
      return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], showConsentEvent) };
    },
  }),
];
