import {
  activeFieldDefinitions,
  type ContactRow,
  changeContact,
  createContact,
  findByMergedAddress,
  findContact,
  findContactId,
  findExternalIds,
  listContacts,
  listSubmissions,
  lockContact,
  SUBMISSION_ORIGINS,
  type SubmissionRow,
  searchContacts,
  toProfile,
} from '../../db/contacts';
import {
  applySubmission,
  EMPTY_PROFILE,
  type ExternalId,
  normaliseEmail,
  type ProfileChanges,
  profileDifference,
  snapshotProblem,
} from '../../domain/contacts';
import { violatedConstraint } from '../../platform/postgres';
import { invalidField, notFound, Problem } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeCursor, id, moment, pageOf, pageQuery, z } from '../http/schemas';
import { cursorId } from './cursor';
import { externalId, externalIds, replaceExternalIds } from './external-ids';
import { profileChange, profileInput, readProfile } from './profile-input';
import { CONTACTS, contact, contactPage, contactParams, contactStatus, showContact, TAG } from './schemas';

const ONE = `${CONTACTS}/{contact_id}`;

const submission = z
  .object({
    id,
    contact_id: id.openapi({ description: 'Another one where it is of a contact that was merged into this one.' }),
    origin: z.enum(SUBMISSION_ORIGINS),
    origin_id: id.nullable(),
    origin_row: z.number().int().nullable(),
    payload: z.record(z.string(), z.unknown()).openapi({ description: 'What changed; null removes.' }),
    actor_id: id.nullable(),
    created_at: moment,
  })
  .openapi('Submission');

async function requireContact(context: WorkspaceContext, contactId: string): Promise<ContactRow> {
  const row = await findContact(context.tx, context.workspaceId, contactId);
  if (!row) throw notFound('contact');
  return row;
}

async function addressTaken(context: WorkspaceContext, email: string): Promise<Problem> {
  const contactId = await findContactId(context.tx, context.workspaceId, email);
  return new Problem('conflict', 'A contact with this address exists already. Change that one instead.', {
    members: { contact_id: contactId },
    errors: [{ pointer: '/body/email', detail: 'another contact has this address' }],
  });
}

/** A profile whose custom fields are larger than the column takes is the client's mistake. */
function requireStorable(changes: ProfileChanges, before: ContactRow | null): void {
  const { fields } = applySubmission(before === null ? EMPTY_PROFILE : toProfile(before), changes);
  const problem = snapshotProblem(fields);
  if (problem) throw invalidField('fields', `Custom fields ${problem.message}.`);
}

function origin(context: WorkspaceContext) {
  return { origin: 'API' as const, originId: context.requestId, actorId: context.actor.userId };
}

export const contactRoutes = [
  defineRoute({
    method: 'post',
    path: CONTACTS,
    operationId: 'createContact',
    tag: TAG,
    summary: 'Creates a contact',
    access: 'workspace',
    permission: 'contacts:write',
    idempotent: true,
    body: profileInput.extend({ external_ids: externalIds.default([]) }),
    responses: { 201: { description: 'The contact', schema: contact } },
    async handle(context, { body: { external_ids, ...body } }) {
      const definitions = await activeFieldDefinitions(context.tx, context.workspaceId);
      const changes = readProfile(body, definitions, 'create');
      const { email } = changes;
      if (email === undefined) throw invalidField('email', 'is required');
      requireStorable(changes, null);
      const hash = context.deps.addressHasher.hash(email);
      const made = await createContact(context.tx, context.workspaceId, { ...changes, email }, hash, origin(context));
      if (!made) throw await addressTaken(context, email);
      if (external_ids.length > 0) await replaceExternalIds(context, made.id, external_ids);
      const row = external_ids.length > 0 ? await requireContact(context, made.id) : made;
      await context.audit({ action: 'contact.create', entityType: 'contact', entityId: row.id, new: showContact(row) });
      return { status: 201, body: showContact(row), version: row.version };
    },
  }),
  defineRoute({
    method: 'get',
    path: CONTACTS,
    operationId: 'listContacts',
    tag: TAG,
    summary: 'Lists contacts, newest first',
    access: 'workspace',
    permission: 'contacts:read',
    query: pageQuery.extend({
      search: z
        .string()
        .trim()
        .min(1)
        .max(320)
        .regex(/^[^\0]*$/, 'must not contain NUL')
        .optional()
        .openapi({ description: 'How the address, the first or the last name begins, in any letter case.' }),
      status: contactStatus.optional(),
      tag: z.string().min(1).max(100).optional(),
    }),
    responses: { 200: { description: 'A page of contacts', schema: contactPage } },
    async handle(context, { query }) {
      const [before] = decodeCursor(query.cursor, 1) ?? [];
      const filter = {
        status: query.status ?? null,
        tag: query.tag ?? null,
        before: before === undefined ? null : cursorId(before),
        limit: query.limit,
      };
      const rows =
        query.search === undefined
          ? await listContacts(context.tx, context.workspaceId, filter)
          : await searchContacts(context.tx, context.workspaceId, query.search.normalize('NFC'), filter);
      return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], showContact) };
    },
  }),
  defineRoute({
    method: 'post',
    path: `${CONTACTS}/lookup`,
    operationId: 'lookUpContact',
    tag: TAG,
    summary: 'Finds the contact with an address or an external id',
    description:
      'A POST, so that no address stands in a URL or an access log. Give one of the two. The address of a contact that was merged leads to the one that is left, unless a new contact has it by now.',
    access: 'workspace',
    permission: 'contacts:read',
    readOnly: true,
    body: z.strictObject({ email: z.string().max(2_000).optional(), external_id: externalId.optional() }),
    responses: { 200: { description: 'The contact', schema: contact } },
    async handle(context, { body }) {
      const { tx, workspaceId } = context;
      const contactId = await lookUp(context, body);
      const row = contactId === null ? null : await findContact(tx, workspaceId, contactId);
      if (!row) throw new Problem('not-found', 'No contact with this address or external id exists in this workspace.');
      return { status: 200, body: showContact(row), version: row.version };
    },
  }),
  defineRoute({
    method: 'get',
    path: ONE,
    operationId: 'getContact',
    tag: TAG,
    summary: 'Reads a contact',
    access: 'workspace',
    permission: 'contacts:read',
    params: contactParams,
    responses: { 200: { description: 'The contact', schema: contact } },
    async handle(context, { params }) {
      const row = await requireContact(context, params.contact_id);
      return { status: 200, body: showContact(row), version: row.version };
    },
  }),
  defineRoute({
    method: 'patch',
    path: ONE,
    operationId: 'updateContact',
    tag: TAG,
    summary: 'Changes a contact',
    description:
      'Only what is given changes. Every change is kept as a submission. A new address of a contact that bounced makes it ACTIVE again.',
    access: 'workspace',
    permission: 'contacts:write',
    params: contactParams,
    body: profileChange.extend({ external_ids: externalIds.optional().openapi({ description: 'Replaces all.' }) }),
    responses: { 200: { description: 'The contact', schema: contact } },
    async handle(context, { params, body: { external_ids, ...body }, ifMatch }) {
      const before = await lockContact(context.tx, context.workspaceId, params.contact_id);
      if (!before) throw notFound('contact');
      if (ifMatch !== null && ifMatch !== before.version) {
        throw new Problem(
          'version-mismatch',
          `The contact is at version ${before.version}. Read it again, then change it.`,
        );
      }
      const definitions = await activeFieldDefinitions(context.tx, context.workspaceId);
      const asked = readProfile(body, definitions, 'update');
      requireStorable(asked, before);
      const profile = toProfile(before);
      const changes = profileDifference(profile, applySubmission(profile, asked));
      const saved = await save(context, before, changes);
      if (external_ids !== undefined) await replaceExternalIds(context, before.id, external_ids);
      const after = external_ids === undefined ? saved : await requireContact(context, before.id);
      await context.audit({
        action: 'contact.update',
        entityType: 'contact',
        entityId: before.id,
        old: showContact(before),
        new: showContact(after),
      });
      return { status: 200, body: showContact(after), version: after.version };
    },
  }),
  defineRoute({
    method: 'get',
    path: `${ONE}/submissions`,
    operationId: 'listSubmissions',
    tag: TAG,
    summary: 'Lists what changed a contact, newest first',
    access: 'workspace',
    permission: 'contacts:read',
    params: contactParams,
    query: pageQuery,
    responses: { 200: { description: 'A page of submissions', schema: pageOf(submission) } },
    async handle(context, { params, query }) {
      await requireContact(context, params.contact_id);
      const [before] = decodeCursor(query.cursor, 1) ?? [];
      const page = { before: before === undefined ? null : cursorId(before), limit: query.limit };
      const rows = await listSubmissions(context.tx, context.workspaceId, params.contact_id, page);
      return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], showSubmission) };
    },
  }),
];

async function lookUp(
  { tx, workspaceId, deps }: WorkspaceContext,
  key: { email?: string | undefined; external_id?: ExternalId | undefined },
): Promise<string | null> {
  if ((key.email === undefined) === (key.external_id === undefined)) {
    throw invalidField('email', 'Give either an address or an external id.');
  }
  if (key.external_id !== undefined) {
    const [found] = await findExternalIds(tx, workspaceId, [key.external_id]);
    return found?.contactId ?? null;
  }
  const address = normaliseEmail(key.email ?? '');
  if (!address.ok) throw invalidField('email', address.message);
  const found = await findContactId(tx, workspaceId, address.email);
  return found ?? findByMergedAddress(tx, workspaceId, deps.addressHasher.hash(address.email));
}

async function save(context: WorkspaceContext, before: ContactRow, changes: ProfileChanges): Promise<ContactRow> {
  const { tx, workspaceId } = context;
  if (changes.email === undefined) return changeContact(tx, workspaceId, before, changes, null, origin(context));
  const { email } = changes;
  if ((await findContactId(tx, workspaceId, email)) !== null) throw await addressTaken(context, email);
  try {
    const hash = context.deps.addressHasher.hash(email);
    return await changeContact(tx, workspaceId, before, changes, hash, origin(context));
  } catch (error) {
    // Made between the look and the change; the transaction is lost, so nothing more can be asked.
    if (violatedConstraint(error) !== 'contacts_workspace_id_email_key') throw error;
    throw new Problem('conflict', 'A contact with this address exists already. Change that one instead.');
  }
}

function showSubmission(row: SubmissionRow): z.input<typeof submission> {
  return {
    id: row.id,
    contact_id: row.contact_id,
    origin: row.origin,
    origin_id: row.origin_id,
    origin_row: row.origin_row,
    payload: row.payload,
    actor_id: row.actor_id,
    created_at: row.created_at.toISOString(),
  };
}
