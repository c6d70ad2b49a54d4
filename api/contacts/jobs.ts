import { findAudience } from '../../db/audiences';
import {
  type ContactJob,
  endContactJob,
  existingContactIds,
  findContactJob,
  insertContactJob,
  listContactJobs,
} from '../../db/contacts';
import { tagsProblem } from '../../domain/contacts';
import { CONTACT_JOB_CHANGED_SIGNAL, CONTACT_JOB_KINDS, contactJobWorkflow } from '../../domain/contacts/contract';
import { ensureWorkflow, hintWorkflow, workflowUrl } from '../../platform/temporal';
import { invalidField, notFound, wrongState } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeCursor, id, moment, pageOf, pageQuery, workflowReference, z } from '../http/schemas';
import { cursorId } from './cursor';
import { CONTACTS, contactStatus, TAG } from './schemas';

const JOBS = '/workspaces/{ws}/contact-jobs';
const ONE = `${JOBS}/{job_id}`;
const params = z.object({ job_id: id });
const tagList = z.array(z.string().max(1_000)).max(100);

const contactJob = z
  .object({
    id,
    kind: z.enum(CONTACT_JOB_KINDS),
    status: z.enum(['QUEUED', 'RUNNING', 'DONE', 'FAILED', 'CANCELLED']),
    progress: z.object({
      total: z.number().int().nullable().openapi({ description: 'Contacts to look at; null until they were counted.' }),
      done: z.number().int(),
      changed: z.number().int(),
      skipped: z.number().int(),
    }),
    created_at: moment,
    started_at: moment.nullable(),
    finished_at: moment.nullable(),
    workflow: workflowReference,
  })
  .openapi('ContactJob');

const bulkEdit = z.strictObject({
  contact_ids: z.array(id).min(1).max(10_000).optional(),
  audience_id: id.optional(),
  tag: z.string().min(1).max(100).optional(),
  status: contactStatus.optional(),
  all: z.literal(true).optional().openapi({ description: 'Every contact; instead of the conditions above.' }),
  add_tags: tagList.default([]),
  remove_tags: tagList.default([]),
});

/** The selection that a request describes, checked; contacts have to meet all conditions. */
async function readSelection({ tx, workspaceId }: WorkspaceContext, body: z.infer<typeof bulkEdit>) {
  const { contact_ids, audience_id, tag, status, all } = body;
  const conditions = [contact_ids, audience_id, tag, status].filter((condition) => condition !== undefined).length;
  if ((all === true) === conditions > 0) {
    throw invalidField('all', 'Say which contacts: contact_ids, audience_id, tag, status, or all on its own.');
  }
  if (audience_id !== undefined && !(await findAudience(tx, workspaceId, audience_id))) {
    throw invalidField('audience_id', 'No audience with this id exists in this workspace.');
  }
  const contactIds = contact_ids === undefined ? null : [...new Set(contact_ids)];
  if (contactIds !== null) {
    const known = new Set(await existingContactIds(tx, workspaceId, contactIds));
    const unknown = contactIds.find((candidate) => !known.has(candidate));
    if (unknown) throw invalidField('contact_ids', `No contact ${unknown} exists in this workspace.`);
  }
  return { contactIds, audienceId: audience_id ?? null, tag: tag ?? null, status: status ?? null };
}

function readTags(name: string, tags: readonly string[]): string[] {
  const problem = tagsProblem(tags);
  if (problem) throw invalidField(name, `The tags ${problem}.`);
  return [...new Set(tags.map((tag) => tag.normalize('NFC')))].sort();
}

async function requireJob(context: WorkspaceContext, jobId: string): Promise<ContactJob> {
  const job = await findContactJob(context.tx, context.workspaceId, jobId);
  if (!job) throw notFound('contact job');
  return job;
}

export const contactJobRoutes = [
  defineRoute({
    method: 'post',
    path: `${CONTACTS}/bulk-edit`,
    operationId: 'bulkEditContacts',
    tag: TAG,
    summary: 'Adds and removes tags of many contacts',
    description:
      'A job goes over the contacts that meet all conditions; each changed contact gets a submission. Repeating it changes nothing more.',
    access: 'workspace',
    permission: 'contacts:write',
    idempotent: true,
    bodyLimit: 1024 * 1024,
    body: bulkEdit,
    responses: { 202: { description: 'The job has been accepted', schema: contactJob } },
    async handle(context, { body }) {
      const { tx, workspaceId, deps, actor } = context;
      const addTags = readTags('add_tags', body.add_tags);
      const removeTags = readTags('remove_tags', body.remove_tags);
      if (addTags.length + removeTags.length === 0) throw invalidField('add_tags', 'Name a tag to add or to remove.');
      const both = addTags.find((tag) => removeTags.includes(tag));
      if (both !== undefined) throw invalidField('remove_tags', `${both} is to be added as well.`);
      const selection = await readSelection(context, body);
      const request = { kind: 'bulkEdit' as const, selection, addTags, removeTags };
      const job = await insertContactJob(tx, { workspaceId, request, createdBy: actor.userId });
      await context.audit({
        action: 'contact-job.create',
        entityType: 'contact_job',
        entityId: job.id,
        new: { kind: job.kind, add_tags: addTags, remove_tags: removeTags, ...selection },
      });
      context.afterCommit(async () => {
        await ensureWorkflow(deps.temporal, contactJobWorkflow(job.kind, { workspaceId, jobId: job.id }));
      });
      return { status: 202, body: show(context, job) };
    },
  }),
  defineRoute({
    method: 'get',
    path: JOBS,
    operationId: 'listContactJobs',
    tag: TAG,
    summary: 'Lists jobs over contacts (bulk edits, indexes of custom fields), newest first',
    access: 'workspace',
    permission: 'contacts:read',
    query: pageQuery,
    responses: { 200: { description: 'A page of jobs', schema: pageOf(contactJob) } },
    async handle(context, { query }) {
      const [before] = decodeCursor(query.cursor, 1) ?? [];
      const page = { before: before === undefined ? null : cursorId(before), limit: query.limit };
      const jobs = await listContactJobs(context.tx, context.workspaceId, page);
      const showJob = (job: ContactJob) => show(context, job);
      return { status: 200, body: cutPage(jobs, query.limit, (job) => [job.id], showJob) };
    },
  }),
  defineRoute({
    method: 'get',
    path: ONE,
    operationId: 'getContactJob',
    tag: TAG,
    summary: 'Reads a job over contacts and how far it is',
    access: 'workspace',
    permission: 'contacts:read',
    params,
    responses: { 200: { description: 'The job', schema: contactJob } },
    async handle(context, input) {
      return { status: 200, body: show(context, await requireJob(context, input.params.job_id)) };
    },
  }),
  defineRoute({
    method: 'post',
    path: `${ONE}/cancel`,
    operationId: 'cancelContactJob',
    tag: TAG,
    summary: 'Stops a bulk edit',
    description:
      'The batch under way is rolled back; what was committed before stays. An index is removed by turning is_segmentable off.',
    access: 'workspace',
    permission: 'contacts:write',
    idempotent: true,
    params,
    responses: { 200: { description: 'The job, cancelled', schema: contactJob } },
    async handle(context, input) {
      const { tx, workspaceId, deps } = context;
      const before = await requireJob(context, input.params.job_id);
      if (before.kind === 'buildIndex') {
        throw wrongState('contact job', before.status, 'Turn is_segmentable of the field off, or on, instead.');
      }
      if (!(await endContactJob(tx, { workspaceId, id: before.id, status: 'CANCELLED' }))) {
        const current = await requireJob(context, before.id);
        throw wrongState('contact job', current.status, 'Only one that is QUEUED or RUNNING can be cancelled.');
      }
      const after = await requireJob(context, before.id);
      await context.audit({
        action: 'contact-job.cancel',
        entityType: 'contact_job',
        entityId: before.id,
        old: { status: before.status },
        new: { status: after.status, progress: after.progress },
      });
      context.afterCommit(() => hintWorkflow(deps.temporal, `job/${before.id}`, CONTACT_JOB_CHANGED_SIGNAL));
      return { status: 200, body: show(context, after) };
    },
  }),
];

/** Where a job can be followed in Temporal. */
export function jobReference({ deps }: WorkspaceContext, jobId: string): z.input<typeof workflowReference> {
  const workflowId = `job/${jobId}`;
  return {
    workflow_id: workflowId,
    run_id: null,
    ui_url: workflowUrl(deps.config.TEMPORAL_UI_URL, deps.config.TEMPORAL_NAMESPACE, workflowId),
  };
}

function show(context: WorkspaceContext, job: ContactJob): z.input<typeof contactJob> {
  return {
    id: job.id,
    kind: job.kind,
    status: job.status,
    progress: job.progress,
    created_at: job.createdAt.toISOString(),
    started_at: job.startedAt?.toISOString() ?? null,
    finished_at: job.finishedAt?.toISOString() ?? null,
    workflow: jobReference(context, job.id),
  };
}
