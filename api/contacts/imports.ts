import { findAudience } from '../../db/audiences';
import { findSignUpPurpose } from '../../db/consent';
import { cancelImport, findImport, findUpload, type ImportJob, insertImport, listImports } from '../../db/contacts';
import { tagsProblem } from '../../domain/contacts';
import { IMPORT_CHANGED_SIGNAL, importWorkflow, importWorkflowId } from '../../domain/contacts/contract';
import { mayDo } from '../../domain/workspace';
import { ensureWorkflow, hintWorkflow, workflowUrl } from '../../platform/temporal';
import { invalidField, notFound, Problem, wrongState } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeCursor, id, moment, pageOf, pageQuery, plainText, workflowReference, z } from '../http/schemas';
import { cursorId } from './cursor';
import { streamRejected } from './rejected-csv';
import { TAG } from './schemas';

const IMPORTS = '/workspaces/{ws}/imports';
const ONE = `${IMPORTS}/{import_id}`;
const params = z.object({ import_id: id });

const options = {
  upload_id: id,
  mapping: z.record(z.string().max(1_000), z.string().max(100).nullable()).openapi({
    description:
      'Header → email, first_name, last_name, locale, time_zone, tags or fields.<name>; null leaves the column out. Headers that are not named are guessed.',
  }),
  dry_run: z.boolean().openapi({ description: 'Says what would happen and changes nothing.' }),
  on_invalid_field: z.enum(['reject', 'skip-field']).openapi({
    description: 'What a bad locale, zone, tag list or custom field does: reject the row, or be left out.',
  }),
  tags: z.array(z.string().max(1_000)).max(100).openapi({ description: 'Added to every contact of the file.' }),
  audience_id: id.nullable(),
};

const importRequest = z.strictObject({
  upload_id: options.upload_id,
  mapping: options.mapping.default({}),
  dry_run: options.dry_run.default(false),
  on_invalid_field: options.on_invalid_field.default('reject'),
  tags: options.tags.default([]),
  audience_id: options.audience_id.default(null),
  consent: z
    .strictObject({
      purpose: z.string().max(63).openapi({ description: 'Key of the purpose.' }),
      statement: plainText(2_000)
        .min(1)
        .openapi({ description: 'Where, when and to what these people agreed: the basis, kept as proof.' }),
    })
    .nullable()
    .default(null)
    .openapi({
      description: 'Records consent of contacts that have said nothing about the purpose yet. Never lifts a refusal.',
    }),
});

const contactImport = z
  .object({
    id,
    status: z.enum(['QUEUED', 'RUNNING', 'DONE', 'FAILED', 'CANCELLED']),
    ...options,
    consent: z.object({ purpose: z.string(), statement: z.string() }).nullable(),
    progress: z.object({
      bytes_total: z.number().int(),
      bytes_done: z.number().int(),
      rows_total: z.number().int().nullable().openapi({ description: 'Null until the file was checked.' }),
      rows_done: z.number().int(),
      created: z.number().int(),
      updated: z.number().int(),
      unchanged: z.number().int(),
      rejected: z.number().int(),
      skipped_cells: z.number().int(),
      consents_granted: z.number().int(),
      members_added: z.number().int(),
    }),
    error: z
      .object({
        code: z.string(),
        message: z.string(),
        line: z.number().int().nullable(),
        column: z.string().nullable(),
      })
      .nullable(),
    created_at: moment,
    started_at: moment.nullable(),
    finished_at: moment.nullable(),
    workflow: workflowReference,
  })
  .openapi('ContactImport');

async function requireImport(context: WorkspaceContext, importId: string): Promise<ImportJob> {
  const job = await findImport(context.tx, context.workspaceId, importId);
  if (!job) throw notFound('import');
  return job;
}

type ImportRequest = z.infer<typeof importRequest>;

/** Everything the request refers to exists, and the actor may do what it asks. */
async function readRequest(context: WorkspaceContext, body: ImportRequest) {
  const { tx, workspaceId, actor } = context;
  const upload = await findUpload(tx, workspaceId, body.upload_id);
  if (!upload) throw invalidField('upload_id', 'No upload with this id exists in this workspace.');
  if (!upload.completed_at) throw wrongState('upload', 'INCOMPLETE', 'Upload the file again.');
  const tagProblem = tagsProblem(body.tags);
  if (tagProblem) throw invalidField('tags', tagProblem);
  if (body.audience_id !== null) {
    const audience = await findAudience(tx, workspaceId, body.audience_id);
    if (!audience) throw invalidField('audience_id', 'No audience with this id exists in this workspace.');
    if (audience.type === 'DYNAMIC') {
      throw invalidField('audience_id', 'This audience is dynamic: its members follow from its conditions.');
    }
  }
  if (body.consent === null) return { upload, consent: null };
  if (!mayDo(actor.role, actor.scopes, 'consent:write')) {
    throw new Problem('forbidden', 'Recording consent needs the permission consent:write.');
  }
  const purpose = await findSignUpPurpose(tx, workspaceId, body.consent.purpose);
  if (!purpose) {
    throw invalidField('consent/purpose', 'No marketing purpose with this key exists in this workspace.');
  }
  return { upload, consent: { purposeId: purpose.id, purpose: purpose.key, statement: body.consent.statement } };
}

export const importRoutes = [
  defineRoute({
    method: 'post',
    path: IMPORTS,
    operationId: 'createImport',
    tag: TAG,
    summary: 'Imports the contacts of an uploaded CSV file',
    description:
      'The file is checked to its end before anything is written. Repeating an import changes nothing: rows are matched by address, and an empty cell never removes a value. A later row for the same address changes what the earlier one left.',
    access: 'workspace',
    permission: 'contacts:write',
    idempotent: true,
    body: importRequest,
    responses: { 202: { description: 'The import has been accepted', schema: contactImport } },
    async handle(context, { body }) {
      const { deps, tx, workspaceId, actor } = context;
      const { upload, consent } = await readRequest(context, body);
      const job = await insertImport(tx, {
        workspaceId,
        bytesTotal: upload.size_bytes,
        createdBy: actor.userId,
        input: {
          uploadId: upload.id,
          mapping: body.mapping,
          dryRun: body.dry_run,
          onInvalidField: body.on_invalid_field,
          tags: [...new Set(body.tags.map((tag) => tag.normalize('NFC')))].sort(),
          audienceId: body.audience_id,
          consent,
        },
      });
      await context.audit({ action: 'import.create', entityType: 'import', entityId: job.id, new: job.input });
      context.afterCommit(async () => {
        await ensureWorkflow(deps.temporal, importWorkflow({ workspaceId, jobId: job.id }));
      });
      return { status: 202, body: show(context, job) };
    },
  }),
  defineRoute({
    method: 'get',
    path: IMPORTS,
    operationId: 'listImports',
    tag: TAG,
    summary: 'Lists imports, newest first',
    access: 'workspace',
    permission: 'contacts:read',
    query: pageQuery,
    responses: { 200: { description: 'A page of imports', schema: pageOf(contactImport) } },
    async handle(context, { query }) {
      const [before] = decodeCursor(query.cursor, 1) ?? [];
      const page = { before: before === undefined ? null : cursorId(before), limit: query.limit };
      const jobs = await listImports(context.tx, context.workspaceId, page);
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
  }),
  defineRoute({
    method: 'get',
    path: ONE,
    operationId: 'getImport',
    tag: TAG,
    summary: 'Reads an import and how far it is',
    access: 'workspace',
    permission: 'contacts:read',
    params,
    responses: { 200: { description: 'The import', schema: contactImport } },
    async handle(context, input) {
      return { status: 200, body: show(context, await requireImport(context, input.params.import_id)) };
    },
  }),
  defineRoute({
    method: 'post',
    path: `${ONE}/cancel`,
    operationId: 'cancelImport',
    tag: TAG,
    summary: 'Stops an import',
    description:
      'The batch under way is rolled back; what was committed before stays. Importing the file again completes it.',
    access: 'workspace',
    permission: 'contacts:write',
    idempotent: true,
    params,
    responses: { 200: { description: 'The import, cancelled', schema: contactImport } },
    async handle(context, input) {
      const { deps, tx, workspaceId } = context;
      const before = await requireImport(context, input.params.import_id);
      if (!(await cancelImport(tx, workspaceId, before.id))) {
        const current = await requireImport(context, before.id);
        throw wrongState('import', current.status, 'Only one that is QUEUED or RUNNING can be cancelled.');
      }
      const after = await requireImport(context, before.id);
      await context.audit({
        action: 'import.cancel',
        entityType: 'import',
        entityId: before.id,
        old: { status: before.status },
        new: { status: after.status, progress: after.progress },
      });
      context.afterCommit(() => hintWorkflow(deps.temporal, importWorkflowId(before.id), IMPORT_CHANGED_SIGNAL));
      return { status: 200, body: show(context, after) };
    },
  }),
  defineRoute({
    method: 'get',
    path: `${ONE}/rejected.csv`,
    operationId: 'getImportRejections',
    tag: TAG,
    summary: 'The rows that were not imported, with their number and the reason, as CSV',
    access: 'workspace',
    permission: 'contacts:read',
    transaction: false,
    params,
    responses: { 200: { description: 'The rejected rows', contentType: 'text/csv' } },
    async handle({ deps, workspaceId, raw }, input) {
      const job = await deps.db.workspaceTransaction(workspaceId, (tx) =>
        findImport(tx, workspaceId, input.params.import_id),
      );
      if (!job) throw notFound('import');
      await streamRejected(deps.db, raw.response, { workspaceId, id: job.id, headers: job.cursor?.headers ?? [] });
      return { status: 200, handled: true };
    },
  }),
];

function show({ deps }: WorkspaceContext, job: ImportJob): z.input<typeof contactImport> {
  const { input, progress } = job;
  const workflowId = importWorkflowId(job.id);
  return {
    id: job.id,
    status: job.status,
    upload_id: input.uploadId,
    mapping: input.mapping,
    dry_run: input.dryRun,
    on_invalid_field: input.onInvalidField,
    tags: input.tags,
    audience_id: input.audienceId,
    consent: input.consent === null ? null : { purpose: input.consent.purpose, statement: input.consent.statement },
    progress: {
      bytes_total: progress.bytesTotal,
      bytes_done: progress.bytesDone,
      rows_total: progress.rowsTotal,
      rows_done: progress.rowsDone,
      created: progress.created,
      updated: progress.updated,
      unchanged: progress.unchanged,
      rejected: progress.rejected,
      skipped_cells: progress.skippedCells,
      consents_granted: progress.consentsGranted,
      members_added: progress.membersAdded,
    },
    error: job.error,
    created_at: job.createdAt.toISOString(),
    started_at: job.startedAt?.toISOString() ?? null,
    finished_at: job.finishedAt?.toISOString() ?? null,
    workflow: {
      workflow_id: workflowId,
      run_id: null,
      ui_url: workflowUrl(deps.config.TEMPORAL_UI_URL, deps.config.TEMPORAL_NAMESPACE, workflowId),
    },
  };
}
