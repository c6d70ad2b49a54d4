import {
  archivePurpose,
  findPurpose,
  insertPurpose,
  insertWordingTranslation,
  listPurposes,
  listWordings,
  lockPurpose,
  type PurposeRow,
  updatePurpose,
} from '../../db/consent';
import { invalidField, notFound, Problem, wrongState } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeCursor, pageQuery, z } from '../http/schemas';
import {
  newPurpose,
  newTranslation,
  purpose,
  purposeChange,
  purposePage,
  purposeParams,
  showPurpose,
  wordingList,
} from './schemas';

const BASE = '/workspaces/{ws}/purposes';
const ONE = `${BASE}/{purpose_id}`;
const TAG = 'Consent';

/** The purpose, locked until the end of the transaction and of the version that the client means. */
async function requireLocked(context: WorkspaceContext, id: string, ifMatch: number | null): Promise<PurposeRow> {
  const row = await lockPurpose(context.tx, context.workspaceId, id);
  if (!row) throw notFound('purpose');
  if (ifMatch !== null && ifMatch !== row.version) {
    throw new Problem('version-mismatch', `The purpose is at version ${row.version}. Read it again, then change it.`);
  }
  return row;
}

const audited = ({ key, name, kind, wording_version, archived_at }: PurposeRow) => ({
  key,
  name,
  kind,
  wording_version,
  archived: archived_at !== null,
});

export const purposeRoutes = [
  defineRoute({
    operationId: 'listPurposes',
    method: 'get',
    path: BASE,
    tag: TAG,
    summary: 'List what contacts can agree to',
    access: 'workspace',
    permission: 'consent:read',
    query: pageQuery.extend({ archived: z.enum(['true', 'false']).default('false') }),
    responses: { 200: { description: 'A page of purposes', schema: purposePage } },
    async handle(context, { query }) {
      const after = decodeCursor(query.cursor, 1)?.[0] ?? null;
      const page = { after, limit: query.limit, archived: query.archived === 'true' };
      const rows = await listPurposes(context.tx, context.workspaceId, page);
      return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], showPurpose) };
    },
  }),
  defineRoute({
    operationId: 'createPurpose',
    method: 'post',
    path: BASE,
    tag: TAG,
    summary: 'Create a purpose with its first wording',
    description:
      'A marketing purpose needs consent before anything is sent; a transactional one is allowed unless denied.',
    access: 'workspace',
    permission: 'consent:write',
    body: newPurpose,
    idempotent: true,
    responses: { 201: { description: 'The purpose', schema: purpose } },
    async handle(context, { body }) {
      const row = await insertPurpose(context.tx, context.workspaceId, body);
      await context.audit({ action: 'purpose.create', entityType: 'purpose', entityId: row.id, new: body });
      return { status: 201, body: showPurpose(row), version: row.version };
    },
  }),
  defineRoute({
    operationId: 'getPurpose',
    method: 'get',
    path: ONE,
    tag: TAG,
    summary: 'Read a purpose',
    access: 'workspace',
    permission: 'consent:read',
    params: purposeParams,
    responses: { 200: { description: 'The purpose', schema: purpose } },
    async handle(context, { params }) {
      const row = await findPurpose(context.tx, context.workspaceId, params.purpose_id);
      if (!row) throw notFound('purpose');
      return { status: 200, body: showPurpose(row), version: row.version };
    },
  }),
  defineRoute({
    operationId: 'updatePurpose',
    method: 'patch',
    path: ONE,
    tag: TAG,
    summary: 'Rename a purpose or change its wording',
    description:
      'Another wording gets the next `wording_version`; the old one is kept, since consents given under it refer to it.',
    access: 'workspace',
    permission: 'consent:write',
    params: purposeParams,
    body: purposeChange,
    responses: { 200: { description: 'The purpose', schema: purpose } },
    async handle(context, { params, body, ifMatch }) {
      const before = await requireLocked(context, params.purpose_id, ifMatch);
      if (before.archived_at) throw wrongState('purpose', 'archived', 'An archived purpose cannot be changed.');
      const row = await updatePurpose(context.tx, context.workspaceId, before, body);
      await context.audit({
        action: 'purpose.update',
        entityType: 'purpose',
        entityId: row.id,
        old: { ...audited(before), wording: before.wording },
        new: { ...audited(row), wording: row.wording },
      });
      return { status: 200, body: showPurpose(row), version: row.version };
    },
  }),
  defineRoute({
    operationId: 'archivePurpose',
    method: 'delete',
    path: ONE,
    tag: TAG,
    summary: 'Archive a purpose',
    description: 'No sign-up can use it from now on. Consents and their proof are kept.',
    access: 'workspace',
    permission: 'consent:write',
    params: purposeParams,
    responses: { 204: { description: 'Archived' } },
    async handle(context, { params, ifMatch }) {
      const before = await requireLocked(context, params.purpose_id, ifMatch);
      if (!before.archived_at) await archivePurpose(context.tx, context.workspaceId, before.id);
      await context.audit({
        action: 'purpose.archive',
        entityType: 'purpose',
        entityId: before.id,
        old: audited(before),
        new: { ...audited(before), archived: true },
      });
      return { status: 204 };
    },
  }),
  defineRoute({
    operationId: 'listPurposeWordings',
    method: 'get',
    path: `${ONE}/wordings`,
    tag: TAG,
    summary: 'Every wording that a purpose ever had',
    access: 'workspace',
    permission: 'consent:read',
    params: purposeParams,
    responses: { 200: { description: 'The wordings, oldest first', schema: wordingList } },
    async handle(context, { params }) {
      if (!(await findPurpose(context.tx, context.workspaceId, params.purpose_id))) throw notFound('purpose');
      return { status: 200, body: { items: await showWordings(context, params.purpose_id) } };
    },
  }),
  defineRoute({
    operationId: 'addPurposeWordingTranslation',
    method: 'post',
    path: `${ONE}/wordings`,
    tag: TAG,
    summary: 'Add a wording in another language',
    description:
      'Confirmation mails and pages show it to people of that locale, and the proof names it. It cannot be changed: what people were shown stays as it was. A new wording is a change of the purpose.',
    access: 'workspace',
    permission: 'consent:write',
    params: purposeParams,
    body: newTranslation,
    responses: { 201: { description: 'The wordings, oldest first', schema: wordingList } },
    async handle(context, { params, body }) {
      const { tx, workspaceId, actor } = context;
      const row = await requireLocked(context, params.purpose_id, null);
      const wordingVersion = body.wording_version ?? row.wording_version;
      if (wordingVersion > row.wording_version) {
        throw invalidField('wording_version', `The purpose has the wordings 1 to ${row.wording_version}.`);
      }
      const translation = { purposeId: row.id, wordingVersion, locale: body.locale, wording: body.wording };
      if (!(await insertWordingTranslation(tx, workspaceId, { ...translation, createdBy: actor.userId }))) {
        throw new Problem('conflict', `Wording ${wordingVersion} is there in "${body.locale}" already.`);
      }
      await context.audit({ action: 'purpose.translate', entityType: 'purpose', entityId: row.id, new: body });
      return { status: 201, body: { items: await showWordings(context, row.id) } };
    },
  }),
];

async function showWordings({ tx, workspaceId }: WorkspaceContext, purposeId: string) {
  const rows = await listWordings(tx, workspaceId, purposeId);
  return rows.map((row) => ({ ...row, created_at: row.created_at.toISOString() }));
}
