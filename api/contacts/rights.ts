import { lockContact } from '../../db/contacts';
import { beginErasure, type ErasureJob, erasureSubject, findErasure, listErasures } from '../../db/contacts/erase';
import { rightsJobWorkflow } from '../../domain/contacts/contract';
import { sealAddresses } from '../../domain/contacts/erasure';
import { ensureWorkflow, workflowUrl } from '../../platform/temporal';
import { notFound, Problem } from '../http/problem';
import { type AnyRoute, defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeIdCursor, id, moment, pageOf, pageQuery, workflowReference, z } from '../http/schemas';
import { exportRoutes } from './export';
import { retentionRoutes } from './retention';
import { CONTACTS, contactParams } from './schemas';
import { timelineRoutes } from './timeline';

const TAG = 'Data rights';
const ERASURES = '/workspaces/{ws}/erasures';

const erasure = z
  .object({
    id,
    contact_id: id,
    status: z.enum(['QUEUED', 'RUNNING', 'DONE', 'FAILED', 'CANCELLED']),
    rows: z
      .record(z.string(), z.number().int())
      .nullable()
      .openapi({ description: 'Changed or removed rows by table; null until it is done.' }),
    created_by: id.nullable(),
    created_at: moment,
    finished_at: moment.nullable(),
    workflow: workflowReference,
  })
  .openapi('Erasure');

function show({ deps }: WorkspaceContext, job: ErasureJob, runId: string | null = null): z.input<typeof erasure> {
  const workflowId = `job/${job.id}`;
  return {
    id: job.id,
    contact_id: job.contact_id,
    status: job.status,
    rows: job.counts,
    created_by: job.created_by,
    created_at: job.created_at.toISOString(),
    finished_at: job.finished_at?.toISOString() ?? null,
    workflow: {
      workflow_id: workflowId,
      run_id: runId,
      ui_url: workflowUrl(deps.config.TEMPORAL_UI_URL, deps.config.TEMPORAL_NAMESPACE, workflowId),
    },
  };
}

const deleteContact = defineRoute({
  operationId: 'deleteContact',
  method: 'delete',
  path: `${CONTACTS}/{contact_id}`,
  tag: TAG,
  summary: 'Erases a person',
  description:
    'From the answer on the contact is gone, no message to it begins, and its addresses are suppressed by their keyed ' +
    'hashes, also after a re-import. A job then removes address, name and everything else that is known of the person ' +
    'from profiles, history, ledger, files and audit values. Counts stay. It cannot be undone.',
  access: 'workspace',
  permission: 'contacts:write',
  params: contactParams,
  responses: { 202: { description: 'The contact is closed, and the erasure has begun', schema: erasure } },
  async handle(context, { params, ifMatch }) {
    const { deps, tx, workspaceId, actor } = context;
    const contact = await lockContact(tx, workspaceId, params.contact_id);
    if (!contact) throw notFound('contact');
    if (ifMatch !== null && ifMatch !== contact.version) {
      throw new Problem(
        'version-mismatch',
        `The contact is at version ${contact.version}. Read it again, then erase it.`,
      );
    }
    const subject = await erasureSubject(tx, workspaceId, contact.id);
    const sealed = sealAddresses(deps.keyring, subject.addresses);
    const begun = { workspaceId, contactId: contact.id, subject, sealed, hasher: deps.addressHasher };
    const job = await beginErasure(tx, { ...begun, createdBy: actor.userId });
    await context.audit({
      action: 'contact.erase',
      entityType: 'contact',
      entityId: contact.id,
      new: { job_id: job.id, contact_ids: subject.contactIds, addresses: subject.addresses.length },
    });
    const body = show(context, job);
    context.afterCommit(async () => {
      const started = await ensureWorkflow(
        deps.temporal,
        rightsJobWorkflow('eraseContact', { workspaceId, jobId: job.id }),
      );
      body.workflow.run_id = started.runId;
    });
    return { status: 202, body };
  },
});

const getErasure = defineRoute({
  operationId: 'getErasure',
  method: 'get',
  path: `${ERASURES}/{erasure_id}`,
  tag: TAG,
  summary: 'Reads an erasure and whether it is done',
  access: 'workspace',
  permission: 'contacts:read',
  params: z.object({ erasure_id: id }),
  responses: { 200: { description: 'The erasure', schema: erasure } },
  async handle(context, { params }) {
    const job = await findErasure(context.tx, context.workspaceId, params.erasure_id);
    if (!job) throw notFound('erasure');
    return { status: 200, body: show(context, job) };
  },
});

const listAllErasures = defineRoute({
  operationId: 'listErasures',
  method: 'get',
  path: ERASURES,
  tag: TAG,
  summary: 'Lists erasures, newest first',
  access: 'workspace',
  permission: 'contacts:read',
  query: pageQuery,
  responses: { 200: { description: 'A page of erasures', schema: pageOf(erasure) } },
  async handle(context, { query }) {
    const page = { before: decodeIdCursor(query.cursor), limit: query.limit };
    const jobs = await listErasures(context.tx, context.workspaceId, page);
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

/** Operations about data rights, and about what is known of one person. */
export const rightsRoutes: AnyRoute[] = [
  deleteContact,
  getErasure,
  listAllErasures,
  ...exportRoutes,
  ...timelineRoutes,
  ...retentionRoutes,
];
