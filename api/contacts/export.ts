import { once } from 'node:events';
import { findAudience } from '../../db/audiences';
import { findContact } from '../../db/contacts';
import {
  cancelExport,
  clockNow,
  type ExportJob,
  type ExportRequest,
  exportColumns,
  findExport,
  insertExport,
  listExports,
  readExportPiece,
} from '../../db/contacts/export';
import { rightsJobWorkflow } from '../../domain/contacts/contract';
import { EXPORT_FORMATS } from '../../domain/contacts/export-format';
import { ensureWorkflow, workflowUrl } from '../../platform/temporal';
import { invalidField, notFound, Problem, wrongState } from '../http/problem';
import { type AnyRoute, defineRoute, type WorkspaceContext } from '../http/route';
import {
  cutPage,
  decodeIdCursor,
  id,
  moment,
  pageOf,
  pageQuery,
  problemDocument,
  workflowReference,
  z,
} from '../http/schemas';
import { CONTACTS, contactParams } from './schemas';

const TAG = 'Data rights';
const EXPORTS = '/workspaces/{ws}/exports';
const ONE = `${EXPORTS}/{export_id}`;
const params = z.object({ export_id: id });

const exportDocument = z
  .object({
    id,
    kind: z.enum(['contacts', 'contact']),
    format: z.enum([...EXPORT_FORMATS, 'json']),
    audience_id: id.nullable(),
    contact_id: id.nullable(),
    status: z.enum(['QUEUED', 'RUNNING', 'DONE', 'FAILED', 'CANCELLED']),
    rows: z.number().int(),
    bytes: z.number().int(),
    expires_at: moment
      .nullable()
      .openapi({ description: 'Until when the file can be fetched; null before it is complete.' }),
    removed: z
      .enum(['ERASURE', 'EXPIRED'])
      .nullable()
      .openapi({ description: 'Why the file is gone: a person in it was erased, or its time is over.' }),
    created_by: id.nullable(),
    created_at: moment,
    finished_at: moment.nullable(),
    workflow: workflowReference,
  })
  .openapi('Export');

function show({ deps }: WorkspaceContext, job: ExportJob): z.input<typeof exportDocument> {
  const { request } = job;
  const workflowId = `job/${job.id}`;
  return {
    id: job.id,
    kind: request.kind === 'exportContacts' ? 'contacts' : 'contact',
    format: request.kind === 'exportContacts' ? request.format : 'json',
    audience_id: request.kind === 'exportContacts' ? request.audienceId : null,
    contact_id: request.kind === 'exportContact' ? request.contactId : null,
    status: job.status,
    rows: job.progress.rows,
    bytes: job.progress.bytes,
    expires_at: job.expiresAt?.toISOString() ?? null,
    removed: job.removed === 'ERASURE' || job.removed === 'EXPIRED' ? job.removed : null,
    created_by: job.createdBy,
    created_at: job.createdAt.toISOString(),
    finished_at: job.finishedAt?.toISOString() ?? null,
    workflow: {
      workflow_id: workflowId,
      run_id: null,
      ui_url: workflowUrl(deps.config.TEMPORAL_UI_URL, deps.config.TEMPORAL_NAMESPACE, workflowId),
    },
  };
}

async function requireExport(context: WorkspaceContext, exportId: string): Promise<ExportJob> {
  const job = await findExport(context.tx, context.workspaceId, exportId);
  if (!job) throw notFound('export');
  return job;
}

/** Makes the job, audits it and starts its workflow after the commit. */
async function begin(context: WorkspaceContext, request: ExportRequest) {
  const { tx, workspaceId, actor, deps } = context;
  const job = await insertExport(tx, { workspaceId, request, createdBy: actor.userId });
  await context.audit({ action: 'export.create', entityType: 'export', entityId: job.id, new: request });
  const body = show(context, job);
  context.afterCommit(async () => {
    const start = rightsJobWorkflow(request.kind, { workspaceId, jobId: job.id });
    body.workflow.run_id = (await ensureWorkflow(deps.temporal, start)).runId;
  });
  return { status: 202, body };
}

const createExport = defineRoute({
  operationId: 'createExport',
  method: 'post',
  path: EXPORTS,
  tag: TAG,
  summary: 'Exports contacts, all or those of a list, to a file',
  description:
    'CSV for spreadsheets (formulas are neutralised with an apostrophe) or NDJSON with values as they are. A job writes ' +
    'the file; fetch it from `/file` until it expires. Contacts that change meanwhile are written as they are when the ' +
    'job comes to them.',
  access: 'workspace',
  permission: 'contacts:write',
  idempotent: true,
  body: z.strictObject({
    format: z.enum(EXPORT_FORMATS).default('csv'),
    audience_id: id.nullable().default(null),
  }),
  responses: { 202: { description: 'The export has been accepted', schema: exportDocument } },
  async handle(context, { body }) {
    const { tx, workspaceId } = context;
    if (body.audience_id !== null && !(await findAudience(tx, workspaceId, body.audience_id))) {
      throw invalidField('audience_id', 'No audience with this id exists in this workspace.');
    }
    const columns = await exportColumns(tx, workspaceId);
    return begin(context, {
      kind: 'exportContacts',
      format: body.format,
      audienceId: body.audience_id,
      ...columns,
    });
  },
});

const exportOneContact = defineRoute({
  operationId: 'exportContact',
  method: 'post',
  path: `${CONTACTS}/{contact_id}/export`,
  tag: TAG,
  summary: 'Exports all that is known of a person to a JSON document',
  description:
    'Profile, external ids, every change, consents with their proof, preferences, memberships, suppressions, messages ' +
    'with what came of them, and events (GDPR, articles 15 and 20).',
  access: 'workspace',
  permission: 'contacts:write',
  idempotent: true,
  params: contactParams,
  responses: { 202: { description: 'The export has been accepted', schema: exportDocument } },
  async handle(context, input) {
    const contact = await findContact(context.tx, context.workspaceId, input.params.contact_id);
    if (!contact) throw notFound('contact');
    return begin(context, { kind: 'exportContact', contactId: contact.id });
  },
});

const listAllExports = defineRoute({
  operationId: 'listExports',
  method: 'get',
  path: EXPORTS,
  tag: TAG,
  summary: 'Lists exports, newest first',
  access: 'workspace',
  permission: 'contacts:read',
  query: pageQuery,
  responses: { 200: { description: 'A page of exports', schema: pageOf(exportDocument) } },
  async handle(context, { query }) {
    const page = { before: decodeIdCursor(query.cursor), limit: query.limit };
    const jobs = await listExports(context.tx, context.workspaceId, page);
    return {
      status: 200,
      body: cutPage(
        jobs,
        query.limit,
        (job) => [job.id],
        (job) => show(context, job),
      ),
    };
  },
});

const getExport = defineRoute({
  operationId: 'getExport',
  method: 'get',
  path: ONE,
  tag: TAG,
  summary: 'Reads an export and how far it is',
  access: 'workspace',
  permission: 'contacts:read',
  params,
  responses: { 200: { description: 'The export', schema: exportDocument } },
  async handle(context, input) {
    return { status: 200, body: show(context, await requireExport(context, input.params.export_id)) };
  },
});

const cancelOneExport = defineRoute({
  operationId: 'cancelExport',
  method: 'post',
  path: `${ONE}/cancel`,
  tag: TAG,
  summary: 'Stops an export; what was written of its file is removed',
  access: 'workspace',
  permission: 'contacts:write',
  idempotent: true,
  params,
  responses: { 200: { description: 'The export, cancelled', schema: exportDocument } },
  async handle(context, input) {
    const before = await requireExport(context, input.params.export_id);
    if (!(await cancelExport(context.tx, context.workspaceId, before.id))) {
      const { status } = await requireExport(context, before.id);
      throw wrongState('export', status, 'Only one that is QUEUED or RUNNING can be cancelled.');
    }
    const after = await requireExport(context, before.id);
    await context.audit({
      action: 'export.cancel',
      entityType: 'export',
      entityId: before.id,
      old: { status: before.status },
      new: { status: after.status },
    });
    return { status: 200, body: show(context, after) };
  },
});

const getExportFile = defineRoute({
  operationId: 'getExportFile',
  method: 'get',
  path: `${ONE}/file`,
  tag: TAG,
  summary: 'Fetches the file of an export',
  access: 'workspace',
  permission: 'contacts:write',
  transaction: false,
  params,
  responses: {
    200: { description: 'The file', contentType: 'application/octet-stream' },
    409: { description: 'It is not complete', schema: problemDocument },
    410: { description: 'Its time is over, or a person in it was erased', schema: problemDocument },
  },
  async handle({ deps, workspaceId, raw: { response } }, input) {
    const jobId = input.params.export_id;
    const found = await deps.db.workspaceTransaction(workspaceId, async (tx) => {
      const job = await findExport(tx, workspaceId, jobId);
      return job && { job, now: await clockNow(tx) };
    });
    if (!found) throw notFound('export');
    const { job, now } = found;
    if (job.status !== 'DONE' || job.expiresAt === null) {
      throw wrongState('export', job.status, 'Its file can be fetched when it is DONE.');
    }
    if (job.removed !== null || job.expiresAt <= now) {
      const why = job.removed === 'ERASURE' ? 'A person in this file was erased.' : 'The time of this file is over.';
      throw new Problem('gone', `${why} Make a new export.`);
    }
    const format = job.request.kind === 'exportContacts' ? job.request.format : 'json';
    response.status(200);
    // To be kept, not to be shown: its name says what it is.
    response.setHeader('Content-Type', 'application/octet-stream');
    response.setHeader('Content-Length', String(job.progress.bytes));
    response.setHeader('Content-Disposition', `attachment; filename="export-${job.id}.${format}"`);
    response.setHeader('Cache-Control', 'no-store');
    for (let position = 0; !response.destroyed; position += 1) {
      const piece = await deps.db.workspaceTransaction(workspaceId, (tx) =>
        readExportPiece(tx, workspaceId, jobId, position),
      );
      if (piece === null) break;
      if (!response.write(piece)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
    }
    response.end();
    return { status: 200, handled: true };
  },
});

/** Operations about exports. */
export const exportRoutes: AnyRoute[] = [
  createExport,
  exportOneContact,
  listAllExports,
  getExport,
  cancelOneExport,
  getExportFile,
];
